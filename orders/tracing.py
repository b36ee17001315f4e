"""Why an order was sent, or not: every step from the tick to the cycle's change, under one correlation id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.models import Event
from orders.models import Deal, NotSent, Order, OrderIntent


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `what` is tick, signal, decision, verdict, intent, request, reply, deal or cycle."""

    at: datetime
    what: str
    text: str
    facts: Mapping[str, Any]


def trace_of_decision(account_id: int, correlation: str) -> list[Step]:
    """Return the steps of one decision, in their order; empty when nothing bears this correlation id."""
    mine = {"account_id": account_id, "correlation": correlation}
    intents = list(OrderIntent.objects.filter(**mine).order_by("id"))
    skipped = list(NotSent.objects.filter(**mine).order_by("id"))
    if not correlation or not (intents or skipped):
        return []
    stood_on, at = (intents[0].trace, intents[0].created_at) if intents else (skipped[0].trace, skipped[0].last_at)
    steps = list(_before(stood_on, at))
    for intent in intents:
        steps += _of_intent(intent)
    for one in skipped:
        steps.append(Step(one.last_at, "verdict", f"not sent: {one.code}: {one.detail}", one.trace.get("verdict", {})))
    return [*steps, *_cycle_changes(intents)]


def _before(trace: Mapping[str, Any], at: datetime) -> Iterator[Step]:
    """What was there before any intent: the tick, the signals, and what the strategy made of them."""
    tick, decision = trace.get("tick", {}), trace.get("decision", {})
    if tick:
        yield Step(at, "tick", " ".join(f"{name} {value}" for name, value in tick.items()), tick)
    yield Step(at, "signal", f"woken by {trace.get('woken_by', 'a person')}", trace.get("signals", {}))
    if decision:
        why = decision.get("reason") or decision.get("why", "")
        yield Step(at, "decision", f"{decision.get('action')}: {why}", decision)


def _of_intent(intent: OrderIntent) -> Iterator[Step]:
    verdict = intent.trace.get("verdict", {})
    yield Step(intent.created_at, "verdict", "approved by the risk review" if verdict else "approved", verdict)
    yield Step(intent.created_at, "intent", f"{intent}: {intent.why}", {"token": intent.token, "id": intent.pk})
    if intent.sent_at is not None:
        asked = {"kind": intent.kind, "volume": str(intent.volume), "sl": str(intent.sl), "tp": str(intent.tp)}
        yield Step(intent.sent_at, "request", f"handed to the broker as {intent.comment}", asked)
    for step in intent.history.exclude(to_state__in=("planned", "claimed", "sent")).order_by("id"):
        reply = {"code": intent.reply_code, "order": intent.reply_order, "deal": intent.reply_deal}
        yield Step(step.at, "reply", f"{step.to_state}: {step.why}", reply)
    for deal in _deals(intent):
        facts = {"ticket": deal.ticket, "profit": str(deal.profit)}
        yield Step(deal.at, "deal", f"#{deal.ticket} {deal.entry} {deal.volume:g} at {deal.price:g}", facts)


def _deals(intent: OrderIntent) -> list[Deal]:
    """Find the deals of an intent's own order: by the order's ticket, or by the position that it opened."""
    opened = Order.objects.filter(intent=intent).values_list("identifier", flat=True).first()
    found = Deal.objects.filter(account_id=intent.account_id).order_by("at", "ticket")
    if intent.reply_order:
        return list(found.filter(order_ticket=intent.reply_order))
    return list(found.filter(position_id=opened, entry="in")) if opened else []


def _cycle_changes(intents: list[OrderIntent]) -> Iterator[Step]:
    """What the decision made of its cycles, up to the next decision about the same cycle."""
    for cycle_id in dict.fromkeys(i.cycle_id for i in intents if i.cycle_id is not None):
        mine = [i for i in intents if i.cycle_id == cycle_id]
        events = Event.objects.filter(cycle_id=cycle_id, kind__startswith="CYCLE", at__gte=mine[0].created_at)
        following = OrderIntent.objects.filter(cycle_id=cycle_id, pk__gt=mine[-1].pk).order_by("id").first()
        if following is not None:
            events = events.filter(at__lt=following.created_at)
        for event in events.order_by("id"):
            yield Step(event.at, "cycle", event.text, {"kind": event.kind, "cycle": cycle_id})
