"""What sets of pseudo positions earned, read from their arrays: no compiled code, so that pages may use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from strategies.pseudo.sets import SetKey

OPEN, ENTRY, STOP, TARGET, RISK, FOLLOW, READY, SINCE, TRADES, WINS = range(10)


@dataclass(frozen=True, slots=True)
class SetResult:
    """A set's results: `trades` and `wins` since the beginning, the rest over the last 50, in R.

    R is what the stop would have cost. `profit_factor` is infinite without a loss; `drawdown` the deepest fall of the
    running sum from its best.
    """

    key: "SetKey"
    trades: int
    wins: int
    recent: int
    profit_factor: float
    expectancy: float
    drawdown: float
    open: bool
    entry: float
    stop: float
    target: float
    ready_at: float


def read_results(keys: Sequence["SetKey"], sets: NDArray[np.float64], results: NDArray[np.float32]) -> list[SetResult]:
    """Return each set's results, best first: by profit factor, then expectancy; sets without trades come last."""
    found = [_read(key, sets[i], results[i]) for i, key in enumerate(keys)]
    return sorted(found, key=lambda r: (r.recent > 0, r.profit_factor, r.expectancy, str(r.key)), reverse=True)


def _read(key: "SetKey", row: NDArray[np.float64], ring: NDArray[np.float32]) -> SetResult:
    trades = int(row[TRADES])
    recent = last_results(ring, trades)
    gained, lost = float(recent[recent > 0].sum()), float(-recent[recent <= 0].sum())
    curve = np.concatenate(([0.0], np.cumsum(recent)))
    return SetResult(
        key=key,
        trades=trades,
        wins=int(row[WINS]),
        recent=len(recent),
        profit_factor=gained / lost if lost > 0 else float("inf") if gained > 0 else 0.0,
        expectancy=float(recent.mean()) if len(recent) else 0.0,
        drawdown=float((np.maximum.accumulate(curve) - curve).max()),
        open=bool(row[OPEN]),
        entry=float(row[ENTRY]),
        stop=float(row[STOP]),
        target=float(row[TARGET]),
        ready_at=float(row[READY]),
    )


def last_results(ring: NDArray[np.float32], trades: int) -> NDArray[np.float64]:
    """Return the results that a set's ring still holds, oldest first."""
    kept = len(ring)
    if trades <= kept:
        return ring[:trades].astype(np.float64)
    place = trades % kept
    return np.concatenate((ring[place:], ring[:place])).astype(np.float64)
