"""Candles as parallel arrays, for histories of many; single ones are `brokers.domain.Candle`."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from brokers.domain import Candle

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candles:
    """Closed candles of bid prices, oldest first: opening times in UTC epoch seconds, spreads in price units.

    A period without a tick has no candle.
    """

    at: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ticks: Floats
    spread: Floats

    def __len__(self) -> int:
        return len(self.at)

    def part(self, start: int, end: int | None = None) -> "Candles":
        """Return the candles from one index up to, but without, another."""
        return Candles(*(getattr(self, f.name)[start:end] for f in fields(self)))

    @classmethod
    def empty(cls) -> "Candles":
        """Return no candles."""
        return cls(*(np.empty(0) for _ in fields(cls)))


def from_ticks(at: Floats, bid: Floats, ask: Floats, seconds: int) -> Candles:
    """Build candles of a length in seconds from ticks in ascending order; the last candle may still be forming."""
    if not len(at):
        return Candles.empty()
    opened = np.floor(at / seconds) * seconds
    starts = np.flatnonzero(np.diff(opened, prepend=opened[0] - 1))
    ends = np.append(starts[1:], len(opened))
    return Candles(
        at=opened[starts],
        open=bid[starts],
        high=np.maximum.reduceat(bid, starts),
        low=np.minimum.reduceat(bid, starts),
        close=bid[ends - 1],
        ticks=(ends - starts).astype(np.float64),
        spread=np.minimum.reduceat(ask - bid, starts),
    )


def of_single(candles: Iterable[Candle], point: float) -> Candles:
    """Return single candles as arrays; `point` is the symbol's, in price units."""
    rows = [
        (c.at.timestamp(), c.open, c.high, c.low, c.close, float(c.ticks), c.spread_points * point) for c in candles
    ]
    return Candles(*np.array(rows, dtype=np.float64).reshape(-1, 7).T)
