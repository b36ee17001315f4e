"""The clean peak of an account's equity: what it was worth at best, as if no money had been paid in or out since.

A deposit or withdrawal scales the peak by what it does to the account: drawdown in percent stays as it was, so that a
withdrawal never fires a guard and a deposit never hides a loss. Credits are no money of the account's and are left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

CENT_NOISE = 0.005


@dataclass(frozen=True, slots=True)
class Reading:
    """What an account was worth: `base` is equity without credit, `flow` the payments since the reading before.

    `complete`: account and positions were read as of one moment and agree, and the ledger explains the balance.
    """

    at: datetime
    base: float
    complete: bool = True
    flow: float = 0.0


@dataclass(frozen=True, slots=True)
class Peak:
    """The clean peak at `at`, and the complete readings above it that came in a row since."""

    value: float
    at: datetime
    above: tuple[float, ...] = ()

    def drawdown(self, base: float) -> float:
        """Return the fall from the peak in percent, never below 0; all of it when nothing is left."""
        if self.value <= 0:
            return 0.0 if base >= 0 else 100.0
        return max(0.0, (self.value - base) / self.value * 100)


def begin(at: datetime, base: float, ledger: float | None) -> Peak:
    """Start a peak where two independent sources agree: never above what the ledger's money can prove."""
    return Peak(base if ledger is None else min(base, ledger), at)


def advance(peak: Peak, reading: Reading, readings_needed: int = 3) -> Peak:
    """Follow one reading: scale by payments, then raise the peak when enough readings in a row are above it.

    It rises to the lowest of them, so that fewer wrong readings than `readings_needed` in a row can't raise it. A
    reading that is not complete changes nothing but the count: its payments belong to the next complete one.
    """
    if not reading.complete:
        return replace(peak, above=()) if peak.above else peak
    peak = _scaled(peak, reading)
    if reading.base <= peak.value + CENT_NOISE:
        return replace(peak, above=()) if peak.above else peak
    above = (*peak.above, reading.base)[-readings_needed:]
    if len(above) < readings_needed:
        return replace(peak, above=above)
    return Peak(min(above), reading.at, above)


def _scaled(peak: Peak, reading: Reading) -> Peak:
    """Let payments change the peak as they changed the account; money paid into an empty one is all there is."""
    if abs(reading.flow) <= CENT_NOISE:
        return peak
    before = reading.base - reading.flow
    if before <= CENT_NOISE:
        return Peak(max(0.0, reading.base), reading.at)
    factor = max(0.0, reading.base) / before
    return replace(peak, value=peak.value * factor, above=tuple(a * factor for a in peak.above))


def rebuild(start: Peak, readings: Iterable[Reading], readings_needed: int = 3) -> Peak:
    """Compute the peak again from recorded readings, oldest first."""
    for reading in readings:
        start = advance(start, reading, readings_needed)
    return start
