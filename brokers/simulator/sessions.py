"""Trading hours on the server's clock, as text: "Mon-Fri 00:05-23:55, Sun 22:00-24:00"; an empty text means always."""

import re
from bisect import bisect_right
from functools import lru_cache

DAY, WEEK = 86_400, 604_800
# The epoch was a Thursday, and weeks begin on Sunday here, as the module numbers its days
EPOCH_IN_WEEK = 4 * DAY
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
PART = re.compile(r"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? (\d\d):(\d\d)-(\d\d):(\d\d)")
NEVER = float("inf")


@lru_cache(maxsize=256)
def edges(text: str) -> tuple[int, ...]:
    """Return when trading opens and closes, in turn, in seconds of the week. Raises ValueError, naming the part."""
    spans: list[tuple[int, int]] = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        found = PART.fullmatch(part)
        if found is None or {found[1], found[2] or found[1]} - set(DAYS):
            raise ValueError(f"sessions: {part!r} is none; write them as 'Mon-Fri 00:05-23:55, Sat 10:00-14:00'")
        first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
        opens = int(found[3]) * 3600 + int(found[4]) * 60
        closes = int(found[5]) * 3600 + int(found[6]) * 60
        if not opens < closes <= DAY or last < first:
            raise ValueError(f"sessions: {part!r} ends before it begins")
        spans += [(day * DAY + opens, day * DAY + closes) for day in range(first, last + 1)]
    joined: list[int] = []
    for opens, closes in sorted(spans):
        if joined and opens <= joined[-1]:
            joined[-1] = max(joined[-1], closes)
        else:
            joined += [opens, closes]
    return tuple(joined)


def is_open(text: str, server: float) -> bool:
    """Tell whether a time on the server's clock lies in a session; its first second does, the closing one does not."""
    return not text or bisect_right(edges(text), (server + EPOCH_IN_WEEK) % WEEK) % 2 == 1


def next_edge(text: str, server: float) -> float:
    """Return the next opening or closing after a time on the server's clock; infinity when there is none."""
    found = edges(text)
    if not found:
        return NEVER
    within = (server + EPOCH_IN_WEEK) % WEEK
    place = bisect_right(found, within)
    ahead = found[place] if place < len(found) else found[0] + WEEK
    return server - within + ahead
