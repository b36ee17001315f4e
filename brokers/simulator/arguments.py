"""The argument checks of the module's extension: what it refuses with (-2, 'Invalid "…" argument')."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
UINT64 = ("magic", "order", "position", "position_by")
UINT32 = ("action", "type", "type_filling", "type_time", "deviation")
TEXTS = ("symbol", "comment")
TEXT_MAX = 29


def bad_field(request: Mapping[str, Any]) -> str | None:
    """Return the first field of a request that the extension would refuse, or None; unknown keys are ignored."""
    for name in FLOATS:
        if name in request and not isinstance(request[name], float):
            return name
    for names, limit in ((UINT64, 2**64), (UINT32, 2**32)):
        for name in names:
            value = request.get(name, 0)
            if type(value) not in (int, bool) or not 0 <= value < limit:
                return name
    if type(request.get("expiration", 0)) is not int:
        return "expiration"
    for name in TEXTS:
        value = request.get(name, "")
        if not isinstance(value, str) or len(value.encode("utf-16-le")) // 2 > TEXT_MAX:
            return name
    return None


def epoch(value: Any) -> int | None:
    """Return a date argument as seconds, or None where the extension refuses it."""
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(-(2**31), min(2**31 - 1, int(value)))


def matches_group(name: str, group: str) -> bool:
    """Apply a group filter: comma-separated masks, `*` at the ends, `!` takes away, left to right."""
    chosen = False
    for mask in (m.strip() for m in group.split(",")):
        negated, mask = mask.startswith("!"), mask.removeprefix("!")
        start, end = mask.startswith("*"), mask.endswith("*") and len(mask) > 1
        core = mask.strip("*")
        hit = (
            core in name
            if start and end
            else name.endswith(core)
            if start
            else name.startswith(core)
            if end
            else name == core
        )
        if hit:
            chosen = not negated
    return chosen
