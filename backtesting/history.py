"""The prices of a backtest: ticks of each symbol, what charts would show of them, and a hash that names them."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

import numpy as np

from backtesting.domain import BacktestError, Prices
from brokers.candles import from_ticks
from brokers.simulator.scan import NEVER, Floats, Stream, Ticks
from marketdata.indications import IndicationSettings, Indicator, Kind, average_true_range
from marketdata.quotes import CANDLE_SECONDS, CANDLES_KEPT

MICRO = 1e6
LATE_SECONDS = 1.0
T = TypeVar("T")
KINDS = {kind.label: int(kind) for kind in Kind}


@dataclass(slots=True)
class Charts:
    """Closed M1 candles of one symbol's bids, and the indications on its 1-second candles, made when first needed."""

    opened: list[int]
    high: Floats
    low: Floats
    close: Floats
    ticks: Ticks
    _atr: dict[int, float | None] = field(default_factory=dict)
    _indicated: tuple[Floats, Floats] | None = None

    @classmethod
    def of(cls, ticks: Ticks) -> "Charts":
        """Cut ticks into minutes; a minute without a tick has no candle."""
        minutes = from_ticks(ticks.at, ticks.bid, ticks.ask, CANDLE_SECONDS)
        return cls(minutes.at.astype(np.int64).tolist(), minutes.high, minutes.low, minutes.close, ticks)

    def atr(self, at: float) -> float | None:
        """Return the average true range of the minutes closed by a time, in price units; None while there are few."""
        count = bisect_right(self.opened, at - CANDLE_SECONDS)
        if count not in self._atr:
            part = slice(max(0, count - CANDLES_KEPT), count)
            columns = (self.high[part].tolist(), self.low[part].tolist(), self.close[part].tolist())
            self._atr[count] = average_true_range(*columns)
        return self._atr[count]

    def indicated(self) -> tuple[Floats, Floats]:
        """Return when each candle's indications are known, and their values in the order of `Kind`."""
        if self._indicated is None:
            settings = IndicationSettings()
            seconds = settings.candle_seconds
            candles = from_ticks(self.ticks.at, self.ticks.bid, self.ticks.ask, seconds)
            found = Indicator(settings).take(candles)
            # As live, a candle is taken a moment after it closed, on a whole second
            self._indicated = (
                candles.at + seconds + LATE_SECONDS,
                np.multiply(found.sign, found.strength, dtype=np.float64),
            )
        return self._indicated

    def signal(self, name: str, at: float) -> float:
        """Return an indication at a time, -1…1. Optimal is silent: pseudo positions are not replayed."""
        known, values = self.indicated()
        place = int(np.searchsorted(known, at, side="right")) - 1
        return float(values[place, KINDS[name]]) if place >= 0 and name != Kind.OPTIMAL.label else 0.0

    def next_turn(self, name: str, at: float) -> float:
        """Return when the sign of an indication is another one for the first time after a time; else infinity.

        This only says when to ask; what is then decided stands on the candles that are closed by then.
        """
        if name not in KINDS or name == Kind.OPTIMAL.label:
            return NEVER
        known, values = self.indicated()
        first = int(np.searchsorted(known, at, side="right"))
        signs = np.sign(values[first:, KINDS[name]])
        turned = signs != np.sign(self.signal(name, at))
        return float(known[first + int(np.argmax(turned))]) if turned.any() else NEVER


class Signals(Mapping[str, float]):
    """The indications of a moment by name; only a strategy that looks at them has them computed."""

    def __init__(self, charts: Charts, at: float) -> None:
        self._charts = charts
        self._at = at

    def __getitem__(self, name: str) -> float:
        if name not in KINDS:
            raise KeyError(name)
        return self._charts.signal(name, self._at)

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


@dataclass(frozen=True, slots=True)
class History:
    """Ticks by symbol, merged in the order of time. Times are whole microseconds, as datetimes hold them."""

    ticks: Mapping[str, Ticks]
    stream: Stream
    charts: Mapping[str, Charts]
    _memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

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

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return when the first tick came, and the last."""
        begin, end = (datetime.fromtimestamp(float(self.stream.at[n]), UTC) for n in (0, -1))
        return begin, end

    def remembered(self, what: str, make: Callable[[], T]) -> T:
        """Return what follows from these prices alone, made at the first use: a search replays them many times."""
        if what not in self._memory:
            self._memory[what] = make()
        found: T = self._memory[what]
        return found

    def outline(self, pieces: int) -> dict[str, Prices]:
        """Return what charts show of the bids: low, high and last of equal pieces of time, of each symbol."""
        begin, end = float(self.stream.at[0]), float(self.stream.at[-1])
        width = max((end - begin) / pieces, 1.0)
        found = {}
        for name, ticks in self.ticks.items():
            place = ((ticks.at - begin) // width).astype(np.int64)
            first = np.flatnonzero(np.diff(place, prepend=-1))
            last = np.append(first[1:], len(place)) - 1
            found[name] = Prices(
                np.asarray(begin + place[first] * width, np.float64),
                np.minimum.reduceat(ticks.bid, first),
                np.maximum.reduceat(ticks.bid, first),
                ticks.bid[last],
            )
        return found

    def digest(self) -> str:
        """Return a hash of all times and prices, 64 hexadecimal characters."""
        found = sha256()
        for name, ticks in sorted(self.ticks.items()):
            found.update(name.encode())
            for column in (ticks.at, ticks.bid, ticks.ask):
                found.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return found.hexdigest()
