"""The broker's wall clock in a backtest: by the zone that guards are told, else as the simulated server shows it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from brokers.simulator.server_time import offset
from risk.domain.brokertime import broker_wall, next_midnight

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BrokerWall:
    """A zone as guard settings name it ("" for none), and the kind of clock that the simulated server has."""

    zone: str
    server_clock: str

    def _offset(self, at: datetime) -> timedelta:
        return timedelta(seconds=offset(self.server_clock, at.timestamp()))

    def at(self, at: datetime) -> datetime:
        """Return the wall clock at a UTC time, without a zone."""
        return broker_wall(at, self.zone, self._offset(at))

    def next_midnight(self, at: float) -> float:
        """Return when the next day begins; both in UTC epoch seconds."""
        now = datetime.fromtimestamp(at, UTC)
        guess = next_midnight(now, self.zone, self._offset(now))
        return next_midnight(now, self.zone, self._offset(guess)).timestamp()

    def midnight_before(self, at: float) -> float:
        """Return when the day began; both in UTC epoch seconds."""
        wall = self.at(datetime.fromtimestamp(at, UTC))
        return at - (wall - wall.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()

    def next_times(self, now: datetime, clock_times: Iterable[str]) -> Iterator[datetime]:
        """Give when times of day ("07:30") come next, and the next whole hour: summer time may begin on it."""
        wall = self.at(now)
        for text in clock_times:
            hours, minutes = (int(part) for part in text.split(":"))
            edge = wall.replace(hour=hours, minute=minutes, second=0, microsecond=0)
            yield now + ((edge if edge > wall else edge + timedelta(days=1)) - wall)
        yield now.replace(minute=0, second=0, microsecond=0) + HOUR
