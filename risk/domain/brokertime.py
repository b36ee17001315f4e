"""The broker's day: its midnight by a named zone with its summer time, or by the offset that the terminal shows."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NEW_YORK = ZoneInfo("America/New_York")
SEVEN_HOURS = timedelta(hours=7)


def check_zone(name: str) -> None:
    """Raise ValueError unless a zone's name is empty, ny+7, or known."""
    if name and name != "ny+7":
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"broker_time_zone: there is no zone {name!r}; write ny+7 or a name like Europe/Athens"
            ) from None


def broker_wall(at: datetime, zone: str, measured: timedelta | None) -> datetime:
    """Return the broker's wall clock at a UTC time, without a zone: for dates and times of day only."""
    if zone == "ny+7":
        return at.astimezone(NEW_YORK).replace(tzinfo=None) + SEVEN_HOURS
    if zone:
        return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return at.astimezone(UTC).replace(tzinfo=None) + (measured or timedelta(0))


def broker_day(at: datetime, zone: str, measured: timedelta | None) -> date:
    """Return the date at the broker."""
    return broker_wall(at, zone, measured).date()


def next_midnight(at: datetime, zone: str, measured: timedelta | None) -> datetime:
    """Return when the broker's next day begins, in UTC; a change of its summer time in between counts."""
    wall = broker_wall(at, zone, measured)
    midnight = datetime.combine(wall.date() + timedelta(days=1), time())
    guess = at + (midnight - wall)
    return guess + (midnight - broker_wall(guess, zone, measured))


def in_forex_week(at: datetime) -> bool:
    """Tell whether currencies trade: Sunday 17:00 to Friday 17:00 in New York."""
    wall = at.astimezone(NEW_YORK)
    weekday, is_evening = wall.weekday(), wall.hour >= 17
    return weekday < 4 or (weekday == 4 and not is_evening) or (weekday == 6 and is_evening)
