"""Who wants to hear of what, and when: pure rules."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

LEVELS = ("debug", "info", "warning", "error")
# What comes before or with a closing by the machine waits for no queue, no digest and no quiet hour
URGENT = frozenset({"GUARD_COUNTDOWN", "GUARD_CLOSING"})
# Waits before the second try and each further one; after the last, the message is given up
BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60))
# What is urgent is tried again within a countdown first, then like the others
URGENT_BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4))
TRIES_MAX = len(BACKOFF) + 1
URGENT_TRIES_MAX = len(URGENT_BACKOFF) + TRIES_MAX


@dataclass(frozen=True, slots=True)
class Wish:
    """What a target wants: kinds (none: all), the least level, an account (None: all), quiet hours and digest."""

    kinds: tuple[str, ...]
    level_min: str
    account_id: int | None
    quiet_from: time | None
    quiet_until: time | None
    digest: timedelta


def wants(wish: Wish, kind: str, level: str, account_id: int | None) -> bool:
    """Tell whether a target wants to hear of an event. What is urgent is wanted at every level."""
    if wish.account_id is not None and wish.account_id != account_id:
        return False
    if kind in URGENT:
        return True
    return (not wish.kinds or kind in wish.kinds) and LEVELS.index(level) >= LEVELS.index(wish.level_min)


def due_at(wish: Wish, kind: str, at: datetime) -> datetime:
    """Return when a message may leave: now when urgent, else after the digest and outside of quiet hours (UTC)."""
    if kind in URGENT:
        return at
    due = at + wish.digest
    begin, end = wish.quiet_from, wish.quiet_until
    if begin is None or end is None or begin == end:
        return due
    now = due.astimezone(UTC).time()
    is_quiet = begin <= now < end if begin < end else now >= begin or now < end
    if not is_quiet:
        return due
    ends = datetime.combine(due.astimezone(UTC).date(), end, UTC)
    return ends if ends > due else ends + timedelta(days=1)


def next_try(tries: int, at: datetime, *, urgent: bool = False) -> datetime | None:
    """Return when to try again after `tries` failures; None when it is given up."""
    waits = (*URGENT_BACKOFF, *BACKOFF) if urgent else BACKOFF
    return at + waits[tries - 1] if tries <= len(waits) else None
