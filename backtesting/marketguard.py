"""When a history's own prices are dangerous: spreads and gaps depend on nothing that is traded.

A spread is judged once a second, at the first moment of each, as the guards of a running account do it.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from backtesting.history import Charts
from brokers.domain import Candle
from brokers.simulator.scan import Floats, Ticks
from marketdata.quotes import CANDLE_SECONDS
from risk.domain.settings import GuardSettings

SPREADS_KEPT, SPREADS_NEEDED = 300, 20
# So many medians are worked out at once
MEDIANS_AT_ONCE = 4096


def moments_read(at: Floats) -> Floats:
    """Return the times of a stream at which guards look: the first of each second."""
    return np.asarray(at[np.diff(np.floor(at), prepend=-np.inf) > 0])


@dataclass(frozen=True, slots=True)
class Dangers:
    """One symbol's dangerous times. `turns` are the moments at which one begins or ends, ascending."""

    read_at: Floats
    spreads: Floats
    above: NDArray[np.bool_]
    charts: Charts
    opens: Floats
    gapped: NDArray[np.bool_]
    turns: list[float]

    def next_turn(self, at: float) -> float:
        """Return when something begins or ends next; infinity when nothing does."""
        n = bisect_right(self.turns, at)
        return self.turns[n] if n < len(self.turns) else math.inf

    def usual_spread(self, at: float) -> float | None:
        """Return the median of the last 300 spreads; None of few, or where the last is narrow, so that none is needed.

        At one of the moments at which guards look.
        """
        count = int(np.searchsorted(self.read_at, at, side="right"))
        if count < SPREADS_NEEDED or not self.above[count - 1]:
            return None
        return float(np.median(self.spreads[max(0, count - SPREADS_KEPT) : count]))

    def candles(self, at: float) -> tuple[Candle, ...]:
        """Return the last two closed candles where the second opened with a gap; else nothing."""
        n = bisect_right(self.charts.opened, at - CANDLE_SECONDS) - 1
        return (self._candle(n - 1), self._candle(n)) if n > 0 and self.gapped[n] else ()

    def _candle(self, n: int) -> Candle:
        c, opened = self.charts, float(self.opens[n])
        at = datetime.fromtimestamp(c.opened[n], UTC)
        return Candle(at, opened, float(c.high[n]), float(c.low[n]), float(c.close[n]), 0, 0)


def dangers_of(
    moments: Callable[[], Floats], ticks: Ticks, charts: Charts, settings: GuardSettings, pip: float
) -> Dangers:
    """Look through one symbol's prices; `moments` gives the times at which guards look, where a spread was wide."""
    read_at = spreads = np.empty(0)
    if float((ticks.ask - ticks.bid).max()) / pip > settings.spread_floor:
        looked = moments()
        place = np.searchsorted(ticks.at, looked, side="right") - 1
        # A price that was read before is not read again
        is_new = (place >= 0) & (np.diff(place, prepend=-1) > 0)
        read_at, place = looked[is_new], place[is_new]
        spreads = ticks.ask[place] - ticks.bid[place]
    above = spreads / pip > settings.spread_floor
    wide = _too_wide(spreads, above, settings, pip)
    opens = ticks.bid[np.searchsorted(ticks.at, charts.opened)] if charts.opened else np.empty(0)
    gapped = np.zeros(len(opens), dtype=bool)
    if settings.gap_close is not None and len(opens) > 1:
        before = charts.close[:-1]
        gapped[1:] = np.abs(opens[1:] - before) > settings.gap_close / 100 * before * (1 - 1e-9)
    known = np.asarray(charts.opened, dtype=np.float64) + CANDLE_SECONDS
    turns = {*read_at[np.flatnonzero(np.diff(wide, prepend=False))].tolist()}
    turns |= {*known[gapped].tolist(), *known[1:][gapped[:-1]].tolist()}
    return Dangers(read_at, spreads, above, charts, opens, gapped, sorted(turns))


def _too_wide(spreads: Floats, above: NDArray[np.bool_], settings: GuardSettings, pip: float) -> NDArray[np.bool_]:
    """Tell which spreads are dangerous; few are above the floor, and only for those a median is needed."""
    found, multiple = above.copy(), settings.spread_multiple
    candidates = np.flatnonzero(found)
    early, late = candidates[candidates < SPREADS_KEPT - 1], candidates[candidates >= SPREADS_KEPT - 1]
    for n in early[early >= SPREADS_NEEDED - 1]:
        found[n] = spreads[n] / pip > multiple * np.median(spreads[: n + 1]) / pip
    if len(late):
        windows = np.lib.stride_tricks.sliding_window_view(spreads, SPREADS_KEPT)
        for first in range(0, len(late), MEDIANS_AT_ONCE):
            part = late[first : first + MEDIANS_AT_ONCE]
            usual = np.median(windows[part - SPREADS_KEPT + 1], axis=1)
            found[part] = spreads[part] / pip > multiple * usual / pip
    return found
