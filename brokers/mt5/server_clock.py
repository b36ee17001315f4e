"""The broker's clock: MetaTrader times are its wall clock written as if it were UTC (brokers reference §5.2)."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from brokers.candles import Floats
from brokers.gateway import ClockOffset

GRID = timedelta(minutes=15)
PROOF = timedelta(seconds=5)
FRESH = timedelta(minutes=2)
OFFSET_MAX = timedelta(hours=14)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
# 17:00 in New York, winter and summer: between these hours a last price is surely, or perhaps, one of Friday
CLOSED_FROM_HOUR, OPEN_AGAIN_HOUR = 21, 22


class ServerClock:
    """Measures the offset of server time from UTC on a 15-minute grid, and remembers what it was before each change.

    A price that lay there at the first look may be hours old, and would pretend another offset whenever its age is
    near a multiple of 15 minutes. So only prices that were seen to arrive, between two looks less than two minutes
    apart, prove an offset or a change (DST): two of them, 5 s apart, since a terminal that reconnects shows old ones
    as new. Until then the first look counts provisionally; at weekends the first price that arrives.
    """

    def __init__(self, history: Sequence[ClockOffset] = ()) -> None:
        self._history = sorted(history, key=lambda entry: entry.since)
        self._begins: list[float] = []
        self._provisional: timedelta | None = None
        self._candidate: tuple[timedelta, datetime] | None = None
        self._looks: dict[str, tuple[float, datetime]] = {}
        self._index()

    @property
    def known(self) -> bool:
        """Tell whether any price has told the offset yet."""
        return bool(self._history) or self._provisional is not None

    @property
    def offset(self) -> timedelta:
        """The offset of this moment; zero while it is not known."""
        return self._history[-1].offset if self._history else self._provisional or timedelta(0)

    @property
    def current(self) -> ClockOffset | None:
        """The offset of this moment, since when it holds, and whether it is proved."""
        if self._history:
            return self._history[-1]
        if self._provisional is None:
            return None
        return ClockOffset(self._provisional, datetime.fromtimestamp(0, UTC), is_confirmed=False)

    def measure(self, symbol: str, tick_seconds: float, now: datetime) -> None:
        """Look at the newest price of a symbol: `tick_seconds` in server time, `now` in UTC."""
        newest, looked_at = self._looks.get(symbol, (0.0, None))
        self._looks[symbol] = (max(newest, tick_seconds), now)
        lag = timedelta(seconds=tick_seconds - now.timestamp())
        offset = GRID * round(lag / GRID)
        if abs(lag - offset) > FRESH or abs(offset) > OFFSET_MAX:
            return
        has_arrived = looked_at is not None and tick_seconds > newest and now - looked_at <= FRESH
        if not self.known and (has_arrived or not _is_weekend(now)):
            self._provisional = offset
        if has_arrived:
            self._prove(offset, now)

    def _prove(self, offset: timedelta, now: datetime) -> None:
        if self._history and offset == self._history[-1].offset:
            self._candidate = None
        elif self._candidate is None or self._candidate[0] != offset:
            self._candidate = (offset, now)
        elif now - self._candidate[1] >= PROOF:
            self._history.append(ClockOffset(offset, self._candidate[1], is_confirmed=True))
            self._candidate = None
            self._index()

    def _index(self) -> None:
        """Keep, in server time, from when each offset but the first one holds."""
        self._begins = [(entry.since + entry.offset).timestamp() for entry in self._history[1:]]

    def offset_at(self, server_seconds: float) -> timedelta:
        """Return the offset that held at a time of the server's clock; what came before the first is the first."""
        if not self._begins:
            return self.offset
        return self._history[bisect_right(self._begins, server_seconds)].offset

    def to_utc(self, server_seconds: Floats) -> Floats:
        """Return times of the server's clock as UTC epoch seconds, each by the offset that held then."""
        if not self._begins:
            return server_seconds - self.offset.total_seconds()
        offsets = np.array([entry.offset.total_seconds() for entry in self._history])
        moved: Floats = server_seconds - offsets[np.searchsorted(self._begins, server_seconds, side="right")]
        return moved

    def to_server(self, at: datetime) -> int:
        """Return a UTC time as integer seconds of the server's clock, by the offset of that time."""
        held = [entry.offset for entry in self._history[1:] if entry.since <= at]
        offset = held[-1] if held else self._history[0].offset if self._history else self.offset
        return int((at + offset).timestamp())


def _is_weekend(now: datetime) -> bool:
    day, hour = now.weekday(), now.hour
    return day == SATURDAY or (day == FRIDAY and hour >= CLOSED_FROM_HOUR) or (day == SUNDAY and hour < OPEN_AGAIN_HOUR)
