"""Guard what-if: recorded equity replayed under proposed limits: when they would have fired, and what it had cost.

Between two readings the worst prices of the minutes count (`Recorded.lows`), where they are known; they fire guards and
never raise a peak.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

from risk.domain.guards import tier_of
from risk.domain.peak import Peak, Reading, advance
from risk.domain.readings import Tier
from risk.domain.settings import GuardSettings


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded reading, with the broker's day that it belongs to.

    `lows` are (time, equity without credit) at the worst prices of the minutes since the reading before.
    """

    reading: Reading
    day: date
    lows: tuple[tuple[datetime, float], ...] = ()


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
        if peak is not None and record.day == day:
            for k, (at, base) in enumerate(record.lows, start=1):
                later = partial(_rest, records, n, k)
                _judge(settings, _figures(peak, day_base, base), at, base, reached, found, later)
        peak = Peak(reading.base, reading.at) if peak is None else advance(peak, reading, settings.peak_readings)
        if record.day != day:
            day, day_base, reached["daily"] = record.day, reading.base, Tier.CLEAR
        else:
            day_base += reading.flow
        figures = _figures(peak, day_base, reading.base)
        later = partial(_rest, records, n + 1, 0)
        _judge(settings, figures, reading.at, reading.base, reached, found, later, calms=True)
    return tuple(found)


def _figures(peak: Peak, day_base: float, base: float) -> dict[str, float]:
    daily = (day_base - base) / day_base * 100 if day_base > 0 else 0.0
    return {"drawdown": peak.drawdown(base), "daily": daily}


def _judge(
    settings: GuardSettings,
    figures: Mapping[str, float],
    at: datetime,
    base: float,
    reached: dict[str, Tier],
    found: list[Fired],
    later: Callable[[], Sequence[Recorded]],
    *,
    calms: bool = False,
) -> None:
    """Tell what a figure has reached for the first time; only a reading that is calm lets a guard begin anew."""
    for guard, figure in figures.items():
        tier, _ = tier_of(settings, guard, figure)
        if tier > reached[guard]:
            found.append(Fired(at, guard, tier, figure, base, *_afterwards(later())))
        if tier or calms:
            reached[guard] = max(tier, reached[guard]) if tier else Tier.CLEAR


def _rest(records: Sequence[Recorded], n: int, low: int) -> Sequence[Recorded]:
    """Return what follows: from record `n` on, of which the first `low` lows are past."""
    rest = list(records[n:])
    if low and rest:
        rest[0] = replace(rest[0], lows=rest[0].lows[low:])
    return rest


def _afterwards(records: Sequence[Recorded]) -> tuple[float | None, float | None]:
    """Return the lowest and the newest equity of later readings, payments since taken out."""
    paid, lowest, last = 0.0, None, None
    for record in records:
        if record.reading.complete:
            seen = [base - paid for _, base in record.lows]
            paid += record.reading.flow
            last = record.reading.base - paid
            lowest = min([*seen, last] if lowest is None else [*seen, last, lowest])
    return lowest, last
