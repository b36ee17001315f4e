"""The broker's clock: MetaTrader times are its wall clock written as if it were UTC (brokers reference §5.2)."""

from datetime import datetime, timedelta

GRID = timedelta(minutes=15)
FRESH = timedelta(minutes=2)
OFFSET_MAX = timedelta(hours=14)


class ServerClock:
    """Measures the offset of server time from UTC on a 15-minute grid; old ticks (weekends) measure nothing."""

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self.known = False
        self.changed_from: timedelta | None = None
        self._newest = 0.0

    def measure(self, tick_seconds: float, now: datetime) -> None:
        """Look at the newest tick: `tick_seconds` in server time, `now` in UTC.

        The distance to UTC is rounded down to the grid and must leave a rest below two minutes: a stale tick would
        pretend another offset. Only a tick newer than the last one counts.
        """
        if tick_seconds <= self._newest:
            return
        lag = timedelta(seconds=tick_seconds - now.timestamp())
        offset = GRID * round(lag / GRID)
        rest = abs(lag - offset)
        if rest > FRESH or abs(offset) > OFFSET_MAX:
            return
        self._newest = tick_seconds
        if self.known and offset != self.offset:
            self.changed_from = self.offset
        self.offset, self.known = offset, True

    def to_server(self, at: datetime) -> int:
        """Return a UTC time as integer seconds of the server's clock."""
        return int((at + self.offset).timestamp())
