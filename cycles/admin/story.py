"""The story of a cycle: its legs with their figures, and what happened to it step by step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.html import format_html

from accounts.admincells import label, link, lots, moment, money, price, table, to_the_millisecond
from accounts.selectors import digits_of
from cycles.models import Cycle
from events.models import Event
from orders.models import AccountMarks, IntentHistory, Order

TIMELINE_MAX = 300
LEGS = (
    "Level",
    "Ticket",
    "Side",
    "Status",
    "Volume",
    "Open price",
    "Close price",
    "Profit",
    "Swap",
    "Commission",
    "Opened (UTC)",
    "Closed (UTC)",
    "Decision",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `row` is what it happened to."""

    at: datetime
    what: str
    row: Any
    text: str


def floating_of(account_id: int) -> dict[int, tuple[float, float]]:
    """Read floating (profit, swap) of an account's open positions by position identifier."""
    marks = AccountMarks.objects.filter(account_id=account_id).first()
    if marks is None:
        return {}
    return {i: (p, s) for i, p, s in zip(marks.identifiers, marks.profits, marks.swaps, strict=True)}


def legs_table(cycle: Cycle) -> dict[str, Any]:
    """List the legs with what they booked and, while open, what they stand at."""
    floating = floating_of(cycle.account_id)
    digits = digits_of(cycle.account_id, cycle.symbol)
    return table(
        LEGS, (_leg(order, floating, digits) for order in cycle.orders.select_related("intent").order_by("level", "id"))
    )


def _leg(order: Order, floating: dict[int, tuple[float, float]], digits: int | None) -> tuple[Any, ...]:
    profit, swap = floating.get(order.identifier, (0.0, 0.0)) if order.status == "open" else (0.0, 0.0)
    return (
        order.level,
        link(order, f"#{order.ticket}"),
        label(order.side, order.get_side_display()),
        label(order.status, order.get_status_display()),
        lots(order.volume or order.volume_initial),
        price(order.price_open, digits),
        price(order.price_close, digits),
        format_html(
            '<span class="whitespace-nowrap" data-leg="{}">{}</span>', order.pk, money(float(order.profit) + profit)
        ),
        money(float(order.swap) + swap),
        money(order.commission),
        moment(order.opened_at),
        moment(order.closed_at),
        link(order.intent, order.intent.why) if order.intent else "not by a bot",
    )


def timeline(cycle_id: int, limit: int = TIMELINE_MAX) -> list[Entry]:
    """Read the newest steps of the cycle's intents and its events, oldest first.

    What happened at one time stays in the order of its writing, and intents come before the events that they led to.
    """
    steps = IntentHistory.objects.filter(intent__cycle_id=cycle_id).select_related("intent").order_by("-id")[:limit]
    events = Event.objects.filter(cycle_id=cycle_id).order_by("-id")[:limit]
    found = [
        Entry(s.at, f"{s.from_state or 'new'} → {s.to_state}", s.intent, s.why or s.intent.why) for s in reversed(steps)
    ]
    found += [Entry(e.at, e.kind, e, e.text) for e in reversed(events)]
    return sorted(found, key=lambda entry: entry.at)[-limit:]


def timeline_table(cycle: Cycle) -> dict[str, Any]:
    """Show what happened to the cycle, oldest first."""
    rows = ((to_the_millisecond(e.at), e.what, link(e.row, _named(e.row)), e.text) for e in timeline(cycle.pk))
    return table(("Time (UTC)", "What", "Of", "How"), rows)


def _named(row: Any) -> str:
    return "event" if isinstance(row, Event) else str(row)
