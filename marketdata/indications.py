"""Indications on closed candles (strategies.md): Direction, Move, Active and Optimal over step sizes 3…30.

History is taken in one call, later candles one by one; both run the same compiled step (marketdata/kernels.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from brokers.candles import Candles
from marketdata import kernels

STEPS = range(3, kernels.STEP_LARGEST + 1)
Signs = NDArray[np.int8]
Floats = NDArray[np.float64]


class Kind(IntEnum):
    DIRECTION = kernels.DIRECTION
    MOVE = kernels.MOVE
    ACTIVE = kernels.ACTIVE
    OPTIMAL = kernels.OPTIMAL

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class IndicationSettings:
    """What makes a signal. Moves are in ATR of 14 closed M1 candles; the threshold is a share (0.0005 is 0.05 %).

    Steps and windows count candles: a second without a tick has none. `validation_seconds` is how long a sign has to
    last before a pseudo position follows it.
    """

    min_move: float = 0.5
    pullback: float = 0.35
    active_threshold: float = 0.0005
    active_window_seconds: int = 60
    validation_seconds: float = 15.0
    candle_seconds: int = 1

    def array(self) -> Floats:
        """Return the parameters as the compiled step reads them."""
        window = max(1, min(kernels.WINDOW_MAX, self.active_window_seconds // self.candle_seconds))
        return np.array(
            [
                self.min_move,
                self.pullback,
                self.active_threshold,
                window,
                STEPS[0],
                STEPS[-1],
                self.candle_seconds,
                self.validation_seconds,
            ],
            dtype=np.float64,
        )


@dataclass(frozen=True, slots=True)
class Signal:
    """One indication now: sign -1, 0 or 1, strength 0…1, and the step size that gave it (0: none)."""

    kind: Kind
    sign: int
    strength: float
    size: int
    valid: bool

    @property
    def value(self) -> float:
        """Sign and strength in one number, -1…1."""
        return self.sign * self.strength


@dataclass(frozen=True, slots=True)
class Indicated:
    """A row of four kinds for each candle, and the ATR (price units, 0.0: unknown) that held after it."""

    sign: Signs
    strength: NDArray[np.float32]
    size: Signs
    valid: Signs
    atr: Floats

    @classmethod
    def blank(cls, count: int) -> "Indicated":
        """Make room for `count` candles."""
        shape = (count, kernels.KINDS)
        return cls(
            np.zeros(shape, np.int8),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.int8),
            np.zeros(shape, np.int8),
            np.zeros(count),
        )

    def row(self, place: int) -> "Indicated":
        """Return one candle's row, -1 for the last."""
        at = slice(place, place + 1 or None)
        return Indicated(*(getattr(self, f.name)[at].copy() for f in fields(self)))


class Indicator:
    """The indications of one symbol. `state` is all it remembers: storing it is enough to go on later."""

    def __init__(self, settings: IndicationSettings, state: Floats | None = None) -> None:
        if state is not None and len(state) != kernels.STATE_SIZE:
            raise ValueError(f"a state has {kernels.STATE_SIZE} numbers, not {len(state)}")
        self.settings = settings
        self.state = np.zeros(kernels.STATE_SIZE) if state is None else state.copy()
        self._parameters = settings.array()
        self._last = Indicated.blank(1)

    def take(self, candles: Candles) -> Indicated:
        """Take closed candles that follow the last ones, and return the indications after each."""
        found = Indicated.blank(len(candles))
        kernels.run(
            self.state, self._parameters, candles.at, candles.high, candles.low, candles.close, candles.ticks,
            found.sign, found.strength, found.size, found.valid, found.atr,
        )  # fmt: skip
        if len(candles):
            self._last = found.row(-1)
        return found

    @property
    def atr(self) -> float | None:
        """Average true range of the last 14 closed minutes, in price units; None while there are too few."""
        return float(self.state[kernels.ATR]) or None

    def now(self) -> tuple[Signal, ...]:
        """Return the four signals after the last candle."""
        last = self._last
        return tuple(
            Signal(
                kind,
                int(last.sign[0, kind]),
                float(last.strength[0, kind]),
                int(last.size[0, kind]),
                bool(last.valid[0, kind]),
            )
            for kind in Kind
        )


def average_true_range(
    highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], period: int = 14
) -> float | None:
    """Return the mean true range of the last `period` candles in price units, or None while there are too few.

    True range: the largest of high - low, |high - previous close|, |low - previous close| (Wilder 1978).
    """
    if period < 1 or len(closes) < period + 1:
        return None
    start = len(closes) - period
    total = 0.0
    for i in range(start, len(closes)):
        total += max(highs[i] - lows[i], abs(highs[i] - closes[i - 1]), abs(lows[i] - closes[i - 1]))
    return total / period
