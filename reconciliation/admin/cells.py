"""How the desk shows both sides of a divergence: the fields that differ are marked, in words and in colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admincells import NOTHING
from reconciliation.models import Divergence

LABELS = {
    "status": "Status",
    "ticket": "Ticket",
    "symbol": "Symbol",
    "side": "Side",
    "volume": "Lots",
    "price": "Entry",
    "sl": "SL",
    "tp": "TP",
    "reason": "Reason",
    "net": "Net",
    "balance": "Balance",
    "magic": "Magic",
    "comment": "Comment",
    "opened_at": "Opened (UTC)",
}
# What a person needs in a list about a position that only one side has
BRIEF = ("side", "volume", "price", "sl", "tp", "net", "balance", "status")
# Facts that our decisions have no wish about
BROKER_ONLY = frozenset({"magic", "comment", "opened_at", "reason"})


@dataclass(frozen=True, slots=True)
class Pair:
    """One field of both sides, as text."""

    label: str
    ours: str
    theirs: str
    differs: bool


def pairs(row: Divergence) -> list[Pair]:
    """Return the fields of both sides, in reading order; a side that has nothing differs in nothing."""
    names = [name for name in LABELS if name in row.ours or name in row.theirs]
    both = bool(row.ours) and bool(row.theirs)
    return [
        Pair(
            LABELS[name],
            shown(name, row.ours),
            shown(name, row.theirs),
            both and name not in BROKER_ONLY and differs(row, name),
        )
        for name in names
    ]


def differs(row: Divergence, name: str) -> bool:
    """Tell whether a field is not the same on both sides; a price that nobody knows is no difference."""
    ours, theirs = row.ours.get(name), row.theirs.get(name)
    if ours is None or theirs is None:
        return name not in ("price", "ticket") and name in row.ours and name in row.theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return abs(ours - theirs) > 1e-8
    return str(ours).casefold() != str(theirs).casefold()


def shown(name: str, side: Mapping[str, Any]) -> str:
    """Show one value; 0 is "none" for stops."""
    value = side.get(name)
    if value in (None, "") or (name in ("sl", "tp") and not value):
        return NOTHING
    if isinstance(value, float):
        return f"{value:,.2f}" if name in ("net", "balance") else f"{value:g}"
    return str(value)[:19].replace("T", " ") if name == "opened_at" else str(value)


def brief(row: Divergence, side: Mapping[str, Any]) -> SafeString:
    """Show in a list what differs on one side, marked; a position that only one side has is told in short."""
    if not side:
        return format_html("{}", NOTHING)
    if row.ours and row.theirs:
        names = [n for n in LABELS if n not in BROKER_ONLY and n in side and differs(row, n)] or ["volume"]
        cells = format_html_join(
            " ", '<span class="recon-diff">{} {}</span>', ((LABELS[n], shown(n, side)) for n in names)
        )
    else:
        told = [(LABELS[n], shown(n, side)) for n in BRIEF if shown(n, side) != NOTHING]
        cells = format_html_join(" ", "<span>{} {}</span>", told)
    return format_html('<span class="recon-side">{}</span>', cells)


def age(since: datetime, now: datetime) -> str:
    """Say how long ago something was, in the largest unit that fits."""
    passed = max(timedelta(0), now - since)
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed.total_seconds() >= seconds:
            return f"{int(passed.total_seconds() // seconds)} {unit}"
    return f"{int(passed.total_seconds())} s"
