"""Where to look next: one scan over ticks for the first that could change something.

The scan decides nothing. It knows levels, and what the account is worth as a linear function of bid and ask, and
returns the number of the next tick at which somebody has to look; the exchange, or a strategy, then looks at that tick
with its ordinary code. Looking too early is allowed and costs time, looking too late is not.

Long scans are compiled by numba, with a cache on disk; short ones run the same function as plain Python, so that a
terminal that looks at a few ticks a second neither imports nor compiles anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
COMPILED_FROM = 256
# Loading numba takes half a second and 90 MB, which plain Python needs for so many ticks, or more
LOADED_FROM = 20_000
NEVER = float("inf")

# Columns of `Lookout.touches`: what a symbol's bid, ask and spread must not reach
BID_LOW, BID_HIGH, ASK_LOW, ASK_HIGH, SPREAD_LOW = range(5)
# Columns of `Lookout.exposures`: worth is bids × bid + asks × ask + constant; slack is the share that may be wrong
BIDS, ASKS, CONSTANT, SLACK = range(4)
# Columns of `Lookout.tracks`, which begin like exposures: limits, trailing, and the highest and lowest value so far
UPPER, LOWER, ARMED, LOCK, HIGHEST, LOWEST = range(3, 9)
# Places of `Path.figures`
PEAK, DRAWDOWN, DRAWDOWN_SHARE, WORST, BUCKET, EDGE, WIDTH = range(7)
# Places of `Lookout.readings`, once a second: the clean peak with the readings in a row above it, when the next is due
# and the last was, equity then and the time before, what a reading must stay within, whether one did not, and cents
# by which the rounding of profits may matter; then the last readings above the peak
CLEAN, NEEDED, ABOVE, DUE, READ_AT, LAST, BEFORE, FALL, LEAST, MOST, PASSED, CENTS, RING = range(13)
# As in `risk.domain.peak`: what is no rise
CENT_NOISE = 0.005


@dataclass(frozen=True, slots=True)
class Ticks:
    """Ticks of one symbol: times in UTC epoch seconds, ascending, with bid and ask."""

    at: Floats
    bid: Floats
    ask: Floats

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, at: ArrayLike, bid: ArrayLike, ask: ArrayLike, digits: int) -> "Ticks":
        """Make ticks of prices that are rounded to a symbol's digits."""
        sides: tuple[Floats, Floats] = np.array(bid, dtype=np.float64), np.array(ask, dtype=np.float64)
        for side in sides:
            np.round(side, digits, out=side)
        return cls(np.asarray(at, dtype=np.float64), *sides)


@dataclass(frozen=True, slots=True)
class Stream:
    """Ticks of several symbols in the order of their times; `symbol` is each tick's place in the list of symbols."""

    at: Floats
    symbol: NDArray[np.int16]
    bid: Floats
    ask: Floats

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def merge(cls, ticks: Sequence[Ticks]) -> "Stream":
        """Put ticks of several symbols in order; of equal times the earlier symbol comes first."""
        if len(ticks) == 1:
            (only,) = ticks
            return cls(only.at, np.zeros(len(only), np.int16), only.bid, only.ask)
        at = np.concatenate([t.at for t in ticks])
        order = np.argsort(at, kind="stable")
        symbol = np.repeat(np.arange(len(ticks), dtype=np.int16), [len(t) for t in ticks])
        return cls(
            at[order],
            symbol[order],
            np.concatenate([t.bid for t in ticks])[order],
            np.concatenate([t.ask for t in ticks])[order],
        )


@dataclass(slots=True)
class Path:
    """What the equity did along the way: figures, and low, high, last of each bucket of time. Changed by the scan."""

    figures: Floats
    curve: Floats

    @classmethod
    def over(cls, begin: float, end: float, buckets: int, equity: float) -> "Path":
        """Begin a path at `equity`; times in UTC epoch seconds."""
        width = max((end - begin) / buckets, 1.0)
        figures = np.array([equity, 0.0, 0.0, NEVER, -1.0, begin, width])
        return cls(figures, np.full((buckets + 1, 3), np.nan))


NO_TRACKS = np.empty((0, 9))
NO_SYMBOLS = np.empty(0, np.int64)
NO_PATH = Path(np.empty(0), np.empty((0, 3)))
NO_READINGS = np.empty(0)


@dataclass(slots=True)
class Lookout:
    """Everything a scan watches. `cash` is balance and credit; at or below `floor` of equity the broker steps in.

    `worth` holds what each symbol's positions are worth at its last price, and is moved on by the scan. `readings` is
    what guards follow: one a second, at its first moment; the scan raises their peak and says when one passed a limit.
    """

    touches: Floats
    exposures: Floats
    worth: Floats
    cash: float
    floor: float = -NEVER
    tracks: Floats = field(default_factory=lambda: NO_TRACKS)
    track_symbols: Indices = field(default_factory=lambda: NO_SYMBOLS)
    path: Path = field(default_factory=lambda: NO_PATH)
    readings: Floats = field(default_factory=lambda: NO_READINGS)

    @classmethod
    def nothing(cls, symbols: int, cash: float) -> "Lookout":
        """Watch nothing yet."""
        return cls(untouched(symbols), np.zeros((symbols, 4)), np.zeros(symbols), cash)

    @property
    def worst(self) -> float:
        """The lowest equity since the path began; set it to NEVER to begin anew."""
        return float(self.path.figures[WORST])


def untouched(symbols: int) -> Floats:
    """Return touches that no price reaches."""
    return np.tile(np.array([-NEVER, NEVER, -NEVER, NEVER, -NEVER]), (symbols, 1))


def next_look(stream: Stream, first: int, last: int, lookout: Lookout) -> int:
    """Return the number of the first tick in first … last - 1 at which something is reached, else `last`."""
    if first >= last:
        return last
    is_loaded = compiled.cache_info().currsize > 0
    find = compiled() if last - first >= (COMPILED_FROM if is_loaded else LOADED_FROM) else _find
    return int(
        find(
            stream.at, stream.symbol, stream.bid, stream.ask, first, last,
            lookout.touches, lookout.exposures, lookout.worth, lookout.cash, lookout.floor,
            lookout.tracks, lookout.track_symbols, lookout.path.figures, lookout.path.curve,
            lookout.readings,
        )
    )  # fmt: skip


@cache
def compiled() -> Callable[..., int]:
    """Return the compiled scan; the first use on a machine compiles it, later ones load it from the cache."""
    from numba import njit

    # What it calls has to be compiled, too
    names = {**globals(), "_read": njit(cache=True, nogil=True)(_read)}
    made: Callable[..., int] = njit(cache=True, nogil=True)(FunctionType(_find.__code__, names))
    return made


def _read(readings: Floats, at: float, equity: float, slack: float) -> bool:
    """Take one reading, raise the clean peak as `risk.domain.peak.advance` does, and tell whether it passed a limit."""
    # One a second, so what stood since the last one counts for each second without a tick
    needed, stood = int(readings[1]), int(np.floor(at) - np.floor(readings[4])) - 1
    for n in range(-min(stood, needed), 1):
        value = equity if n == 0 else readings[5]
        if value <= readings[0] + CENT_NOISE:
            readings[2] = 0.0
        else:
            readings[12 + int(readings[2]) % needed] = value
            readings[2] += 1.0
            if readings[2] >= needed:
                readings[0] = readings[12 : 12 + needed].min()
    readings[3], readings[4] = np.floor(at) + 1.0, at
    readings[6], readings[5] = readings[5], equity
    low, high = equity - slack - readings[11], equity + slack + readings[11]
    passed = low < readings[0] * (1.0 - readings[7]) or low < readings[8] or high >= readings[9]
    if passed:
        readings[10] = 1.0
    return bool(passed)


def _find(
    at: Floats, symbol: NDArray[np.int16], bid: Floats, ask: Floats, first: int, last: int,
    touches: Floats, exposures: Floats, worth: Floats, cash: float, floor: float,
    tracks: Floats, track_symbols: Indices, figures: Floats, curve: Floats, readings: Floats,
) -> int:  # fmt: skip
    """Look at each tick. Plain loops and numbers only: numba compiles this as it stands."""
    keeps_path = len(figures) > 0
    reads = len(readings) > 0
    needs_equity = keeps_path or reads or floor > -NEVER
    one_symbol = len(worth) == 1
    for i in range(first, last):
        s = symbol[i]
        b, a = bid[i], ask[i]
        fired = b <= touches[s, 0] or b >= touches[s, 1] or a - b <= touches[s, 4]
        fired = fired or a <= touches[s, 2] or a >= touches[s, 3]
        if needs_equity:
            worth[s] = exposures[s, 0] * b + exposures[s, 1] * a + exposures[s, 2]
            if one_symbol:
                equity = cash + worth[0]
                lowest = equity - exposures[0, 3] * abs(worth[0])
            else:
                equity = lowest = cash
                for k in range(len(worth)):
                    equity += worth[k]
                    lowest += worth[k] - exposures[k, 3] * abs(worth[k])
            if lowest <= floor:
                fired = True
            # A reading is of a whole moment: the last of the ticks that share its time
            if reads and at[i] >= readings[3] and (i + 1 == len(at) or at[i + 1] != at[i]):
                fired = _read(readings, at[i], equity, equity - lowest) or fired
            if keeps_path:
                figures[0] = max(figures[0], equity)
                fall = figures[0] - equity
                figures[1] = max(figures[1], fall)
                if fall > figures[2] * figures[0]:
                    figures[2] = fall / figures[0]
                figures[3] = min(figures[3], equity)
                if at[i] >= figures[5]:
                    passed = int((at[i] - figures[5]) // figures[6]) + 1
                    figures[4] = min(figures[4] + passed, len(curve) - 1)
                    figures[5] += passed * figures[6]
                    curve[int(figures[4])] = equity
                row = int(figures[4])
                curve[row, 0] = min(curve[row, 0], equity)
                curve[row, 1] = max(curve[row, 1], equity)
                curve[row, 2] = equity
        for k in range(len(tracks)):
            if track_symbols[k] != s:
                continue
            value = tracks[k, 0] * b + tracks[k, 1] * a + tracks[k, 2]
            tracks[k, 7] = max(tracks[k, 7], value)
            tracks[k, 8] = min(tracks[k, 8], value)
            fell = tracks[k, 7] >= tracks[k, 5] and value < tracks[k, 6] * tracks[k, 7]
            fired = fired or fell or value >= tracks[k, 3] or value <= tracks[k, 4]
        if fired:
            return i
    return last
