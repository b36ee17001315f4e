"""The circuit breaker of a broker's refusals, computed from the outcomes alone: a restart can't forget it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

PAUSE_LONGEST = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Circuit:
    """`open_until` None: closed. Past it one trial is allowed; a failed one doubles the pause."""

    open_until: datetime | None = None
    pause: timedelta = timedelta(0)
    failures: int = 0

    def blocks(self, now: datetime, *, trial_under_way: bool = False) -> bool:
        """Tell whether entries must wait: during the pause, and while the one trial has no answer."""
        return self.open_until is not None and (now < self.open_until or trial_under_way)


def circuit_of(
    outcomes: Iterable[tuple[datetime, bool]], *, failures: int = 5, window: timedelta, pause: timedelta
) -> Circuit:
    """Follow (time, succeeded) outcomes, oldest first. A success after the pause closes the circuit again."""
    recent: list[datetime] = []
    open_until: datetime | None = None
    length = timedelta(0)
    for at, ok in outcomes:
        if open_until is not None:
            if at < open_until:
                continue
            if ok:
                open_until, length, recent = None, timedelta(0), []
            else:
                length = min(PAUSE_LONGEST, length * 2)
                open_until = at + length
            continue
        if ok:
            continue
        recent = [t for t in recent if at - t < window] + [at]
        if len(recent) >= failures:
            length, open_until, recent = pause, at + pause, []
    return Circuit(open_until, length, len(recent))
