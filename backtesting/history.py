"""The prices of a backtest: ticks of each symbol, what charts would show of them, and a hash that names them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from backtesting.domain import BacktestError
from brokers.simulator.scan import Floats, Stream, Ticks
from marketdata.indications import average_true_range, direction
from marketdata.quotes import CANDLE_SECONDS, CANDLES_KEPT

MICRO = 1e6


@dataclass(slots=True)
class Charts:
    """Closed M1 candles of one symbol's bids, and the indications on them; each is computed when it is first needed."""

    opened: list[int]
    high: Floats
    low: Floats
    close: Floats
    _atr: dict[int, float | None] = field(default_factory=dict)
    _direction: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, ticks: Ticks) -> "Charts":
        """Cut ticks into minutes; a minute without a tick has no candle."""
        minutes = np.floor(ticks.at / CANDLE_SECONDS).astype(np.int64) * CANDLE_SECONDS
        starts = np.flatnonzero(np.diff(minutes, prepend=minutes[0] - 1))
        ends = np.append(starts[1:], len(minutes)) - 1
        return cls(
            minutes[starts].tolist(),
            np.maximum.reduceat(ticks.bid, starts),
            np.minimum.reduceat(ticks.bid, starts),
            ticks.bid[ends],
        )

    def closed(self, at: float) -> int:
        """Count the candles that are closed at a time."""
        return bisect_right(self.opened, at - CANDLE_SECONDS)

    def atr(self, count: int) -> float | None:
        """Return the average true range after so many candles, in price units; None while there are too few."""
        if count not in self._atr:
            part = slice(max(0, count - CANDLES_KEPT), count)
            columns = (self.high[part].tolist(), self.low[part].tolist(), self.close[part].tolist())
            self._atr[count] = average_true_range(*columns)
        return self._atr[count]

    def direction(self, count: int) -> float:
        """Return the Direction indication after so many candles."""
        if count not in self._direction:
            closes = self.close[max(0, count - CANDLES_KEPT) : count].tolist()
            self._direction[count] = direction(closes, self.atr(count))
        return self._direction[count]

    def next_turn(self, count: int) -> float:
        """Return when the sign of Direction is another one for the first time after so many candles; else infinity.

        This only says when to ask; what is then decided stands on the candles that are closed by then.
        """
        before = np.sign(self.direction(count))
        for later in range(count + 1, len(self.opened) + 1):
            if np.sign(self.direction(later)) != before:
                return float(self.opened[later - 1] + CANDLE_SECONDS)
        return float("inf")


@dataclass(frozen=True, slots=True)
class History:
    """Ticks by symbol, merged in the order of time. Times are whole microseconds, as datetimes hold them."""

    ticks: Mapping[str, Ticks]
    stream: Stream
    charts: Mapping[str, Charts]

    @classmethod
    def of(cls, ticks: Mapping[str, Ticks], *, begin: float = -np.inf, end: float = np.inf) -> "History":
        """Take the ticks with begin ≤ time < end. Raises BacktestError when a symbol has none there."""
        chosen = {}
        for name, known in ticks.items():
            at = np.rint(known.at * MICRO) / MICRO
            first, last = np.searchsorted(at, (begin, end), side="left")
            if last - first < 2:
                raise BacktestError(f"{name}: the history has no prices in the period; choose another --from and --to")
            part = slice(int(first), int(last))
            chosen[name] = Ticks(at[part], known.bid[part], known.ask[part])
        return cls(chosen, Stream.merge(list(chosen.values())), {n: Charts.of(t) for n, t in chosen.items()})

    def __len__(self) -> int:
        return len(self.stream)

    def digest(self) -> str:
        """Return a hash of all times and prices, 64 hexadecimal characters."""
        found = sha256()
        for name, ticks in sorted(self.ticks.items()):
            found.update(name.encode())
            for column in (ticks.at, ticks.bid, ticks.ask):
                found.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return found.hexdigest()
