"""Random candles for properties: walks with bursts, gaps and quiet stretches."""

from typing import Any

import hypothesis.strategies as st
import numpy as np

from brokers.candles import Candles, Floats


def walk(seed: int, count: int, *, seconds: int = 1, scale: float = 1e-4, lively: float = 0.02) -> Candles:
    """Return a walk of prices about 1.1 in which a share of the candles begins a burst of ten."""
    rng = np.random.default_rng(seed)
    burst = np.convolve(rng.random(count) < lively, np.ones(10), mode="full")[:count] > 0
    close = 1.1 + np.cumsum(rng.normal(0, scale, count) * np.where(burst, 4.0, 1.0))
    opened = np.concatenate(([1.1], close[:-1]))
    reach = np.abs(rng.normal(0, scale / 2, (2, count)))
    skipped = np.cumsum(rng.integers(0, 50, count) == 0) * 3
    return Candles(
        at=(np.arange(count) + skipped) * float(seconds) + 1.77e9,
        open=opened,
        high=np.maximum(opened, close) + reach[0],
        low=np.minimum(opened, close) - reach[1],
        close=close,
        ticks=rng.integers(1, 6, count).astype(np.float64) * np.where(burst, 3.0, 1.0),
        spread=rng.integers(0, 4, count).astype(np.float64) * 1e-5,
    )


def cuts(draw: Any, count: int) -> list[int]:
    """Draw where a series is cut into pieces, first and last included."""
    inner = draw(st.lists(st.integers(0, count), max_size=6))
    return sorted({0, count, *inner})


def columns(candles: Candles) -> list[Floats]:
    """Return all arrays of candles."""
    return [getattr(candles, name) for name in candles.__slots__]
