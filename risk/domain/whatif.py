"""Guard what-if: recorded equity replayed under proposed limits: when they would have fired, and what it had cost.

Only what the records hold can be replayed: equity at each snapshot, so that a fall and rise between two is not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from risk.domain.guards import tier_of
from risk.domain.peak import Peak, Reading, advance
from risk.domain.readings import Tier
from risk.domain.settings import GuardSettings


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded reading, with the broker's day that it belongs to."""

    reading: Reading
    day: date


@dataclass(frozen=True, slots=True)
class Fired:
    """A guard that would have reached a tier. Money is what the account had then, and what came of it without closing.

    `lowest` and `last` are the lowest and the newest equity after it, payments since taken out; None while nothing
    follows. Closing would have saved `equity - last`, or cost it when negative.
    """

    at: datetime
    guard: str
    tier: Tier
    figure: float
    equity: float
    lowest: float | None = None
    last: float | None = None

    @property
    def saved(self) -> float | None:
        """What closing there would have saved until now; negative: cost."""
        return None if self.last is None else self.equity - self.last


def what_if(settings: GuardSettings, records: Sequence[Recorded]) -> tuple[Fired, ...]:
    """Replay drawdown and daily loss; each tier is told when it is first reached, until the guard is calm again."""
    found: list[Fired] = []
    peak: Peak | None = None
    reached = {"drawdown": Tier.CLEAR, "daily": Tier.CLEAR}
    day: date | None = None
    day_base = 0.0
    for n, record in enumerate(records):
        reading = record.reading
        if not reading.complete:
            continue
        peak = Peak(reading.base, reading.at) if peak is None else advance(peak, reading, settings.peak_readings)
        if record.day != day:
            day, day_base, reached["daily"] = record.day, reading.base, Tier.CLEAR
        else:
            day_base += reading.flow
        figures = {"drawdown": peak.drawdown(reading.base)}
        figures["daily"] = (day_base - reading.base) / day_base * 100 if day_base > 0 else 0.0
        for guard, figure in figures.items():
            tier, _ = tier_of(settings, guard, figure)
            if tier > reached[guard]:
                lowest, last = _afterwards(records[n + 1 :])
                found.append(Fired(reading.at, guard, tier, figure, reading.base, lowest, last))
            reached[guard] = max(tier, reached[guard]) if tier else Tier.CLEAR
    return tuple(found)


def _afterwards(records: Sequence[Recorded]) -> tuple[float | None, float | None]:
    """Return the lowest and the newest equity of later readings, payments since taken out."""
    paid, lowest, last = 0.0, None, None
    for record in records:
        if record.reading.complete:
            paid += record.reading.flow
            last = record.reading.base - paid
            lowest = last if lowest is None else min(lowest, last)
    return lowest, last
