"""Prices that arrive while the account runs, as the simulated terminal reads them."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import numpy as np

from brokers.candles import Candles
from brokers.simulator.scan import Ticks

# Where the four prices of a candle lie within it
PARTS = (0.0, 0.25, 0.5, 0.75)


class LivePrices:
    """The ticks of one symbol that the terminal has not worked off yet, after the last one that it has.

    `looked_at` is when its price was last asked for, in UTC epoch seconds.
    """

    def __init__(self) -> None:
        self.looked_at: float | None = None
        self._at: list[float] = []
        self._bid: list[float] = []
        self._ask: list[float] = []

    @property
    def last(self) -> tuple[float, float, float] | None:
        """The newest tick: time, bid, ask."""
        return (self._at[-1], self._bid[-1], self._ask[-1]) if self._at else None

    def push(self, at: float, bid: float, ask: float) -> None:
        """Take a tick; one that is not newer takes the place of the newest."""
        if self._at and at <= self._at[-1]:
            at = self._at.pop()
            self._bid.pop()
            self._ask.pop()
        self._at.append(at)
        self._bid.append(bid)
        self._ask.append(ask)

    def settle(self) -> None:
        """Forget what was worked off: everything but the newest."""
        for column in (self._at, self._bid, self._ask):
            del column[:-1]

    def between(self, after: float, until: float, *, history: bool = False) -> Ticks:
        """Return the ticks with after < time ≤ until."""
        part = slice(bisect_right(self._at, after), bisect_right(self._at, until))
        return Ticks(np.array(self._at[part]), np.array(self._bid[part]), np.array(self._ask[part]))

    def latest(self, at: float) -> tuple[float, float, float] | None:
        """Return the newest tick at or before a time; None before the first."""
        number = bisect_right(self._at, at) - 1
        return (self._at[number], self._bid[number], self._ask[number]) if number >= 0 else None


class LiveMarket(Mapping[str, LivePrices]):
    """The prices of every symbol, by our names; one that is asked for exists."""

    def __init__(self) -> None:
        self._symbols: dict[str, LivePrices] = {}

    def __getitem__(self, symbol: str) -> LivePrices:
        return self._symbols.setdefault(symbol, LivePrices())

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


def fill_gap(prices: LivePrices, candles: Candles, seconds: int, *, after: float, until: float) -> float | None:
    """Put the candles of a time in which nobody looked into the prices; return the time of the first tick, if any.

    A candle is open, the extreme away from its close, the other one, close; spreads are the candle's own.
    """
    first: float | None = None
    for at, opened, high, low, close, spread in zip(
        candles.at, candles.open, candles.high, candles.low, candles.close, candles.spread, strict=True
    ):
        path = (opened, low, high, close) if close >= opened else (opened, high, low, close)
        for part, bid in zip(PARTS, path, strict=True):
            moment = float(at) + part * seconds
            if after < moment < until and math.isfinite(bid):
                prices.push(moment, float(bid), float(bid + spread))
                first = moment if first is None else first
    return first
