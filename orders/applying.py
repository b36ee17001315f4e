"""Apply what a pass found: every closure is verified by the deals of its position before a row changes (S0, X-03)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from brokers.domain import PendingOrder, Position
from brokers.gateway import Gateway
from events import live
from events.services import record
from orders.adopting import adopt, report_foreign
from orders.booking import book_figures, import_deals
from orders.comparing import Findings
from orders.domain import Closure, Fill, KnownIntent, KnownOrder, closure_of, ended_of, fill_of_ended
from orders.gate import Gate, fenced
from orders.models import CloseReason, IntentKind, IntentState, Order, OrderIntent, OrderStatus
from orders.sending import take_in
from orders.services import cancel_resting, transition


@dataclass(slots=True)
class Applied:
    """What a pass changed: orders put right, and the cycles whose profit has to be computed anew."""

    orders: int = 0
    cycles: set[int] = field(default_factory=set)


def apply(
    findings: Findings,
    intents: tuple[KnownIntent, ...],
    *,
    gateway: Gateway,
    gate: Gate,
    at: datetime,
    seen_foreign: set[int],
) -> Applied:
    """Apply each finding in a transaction of its own. `seen_foreign` holds the foreign positions reported so far."""
    applied = Applied()
    for order in findings.missing:
        _verify_missing(order, gateway=gateway, gate=gate, at=at, applied=applied)
    for order, position in findings.changed:
        _follow(order, position, gateway=gateway, gate=gate, at=at, applied=applied)
    for order, position in findings.activated:
        _activate(order, position, gate=gate, at=at, applied=applied)
    foreign: list[Position] = []
    seen: tuple[Position | PendingOrder, ...] = (*findings.appeared, *findings.resting)
    for found in seen:
        adopted = adopt(found, intents, gate=gate, at=at)
        if adopted is not None:
            applied.orders += 1
            applied.cycles |= {adopted.cycle_id} if adopted.cycle_id is not None else set()
        elif isinstance(found, Position) and found.identifier not in seen_foreign:
            seen_foreign.add(found.identifier)
            foreign.append(found)
    report_foreign(foreign, gate=gate, at=at)
    for order in findings.resting_missing:
        _verify_resting(order, gateway=gateway, gate=gate, at=at, applied=applied)
    if findings.seen_again:
        with fenced(gate):
            Order.objects.filter(pk__in=[o.id for o in findings.seen_again]).update(suspicious_since=None)
    return applied


def _verify_missing(order: KnownOrder, *, gateway: Gateway, gate: Gate, at: datetime, applied: Applied) -> None:
    deals = gateway.deals_of(order.identifier)
    ours = OrderIntent.objects.filter(order_id=order.id, kind=IntentKind.CLOSE, sent_at__isnull=False).exclude(
        state=IntentState.REFUSED
    )
    closure = closure_of(deals, ours=ours.exists())
    with fenced(gate):
        if closure is None:
            Order.objects.filter(pk=order.id, suspicious_since__isnull=True).update(suspicious_since=at)
            return
        import_deals(gate.account_id, deals)
        book_figures(gate.account_id, [order.identifier])
        _close(order, closure, gate=gate, at=at)
    _note(order, applied)


def _close(order: KnownOrder, closure: Closure, *, gate: Gate, at: datetime) -> None:
    """Write the closed order, its events and its message, inside the caller's transaction."""
    closed = Order.objects.filter(pk=order.id, status=OrderStatus.OPEN).update(
        status=OrderStatus.CLOSED,
        volume=0,
        price_close=round(closure.price, 8),
        profit=round(closure.profit, 2),
        swap=round(closure.swap, 2),
        commission=round(closure.commission, 2),
        closed_at=closure.at,
        closed_offset_seconds=int(closure.server_offset.total_seconds()),
        close_reason=closure.reason,
        suspicious_since=None,
    )
    if not closed:
        return
    for pk, state in OrderIntent.objects.filter(
        order_id=order.id, kind=IntentKind.CLOSE, state__in=(IntentState.ACCEPTED, IntentState.PARTIAL)
    ).values_list("id", "state"):
        transition(pk, state, IntentState.FILLED, fence=gate.token, why="the position is closed", at=at, done_at=at)
    net = closure.profit + closure.swap + closure.commission
    hand = closure.reason == CloseReason.MANUAL
    kind = {"bot": "ORDER_CLOSED", "manual": "ORDER_MANUALLY_CLOSED"}.get(closure.reason, "ORDER_CLOSED_BY_MT5")
    how = CloseReason(closure.reason).label.lower()
    text = f"#{order.ticket} {order.side} {order.symbol} closed at {closure.price:g}, net {net:+.2f} ({how})"
    level = "warning" if hand or closure.reason == CloseReason.STOP_OUT else "info"
    data = {"net": round(net, 2), "reason": closure.reason}
    _tell(order, kind, text, gate=gate, at=at, level=level, data=data)
    if order.cycle_id is not None:
        text = f"#{order.ticket} left the cycle"
        _tell(order, "CYCLE_RECALCULATE_PROFIT", text, gate=gate, at=at, level="debug")
    _publish(order, "closed", order.ticket, gate=gate)


def _follow(
    order: KnownOrder, position: Position, *, gateway: Gateway, gate: Gate, at: datetime, applied: Applied
) -> None:
    """Follow a partial close, a change of stops by hand, a new ticket of the same position, or that it turned round.

    A turned position gets a divergence too: what we decided is on the intent.
    """
    is_turned = order.side != position.side
    deals = gateway.deals_of(order.identifier) if is_turned or abs(order.volume - position.volume) > 1e-8 else ()
    with fenced(gate):
        if deals:
            import_deals(gate.account_id, deals)
            book_figures(gate.account_id, [order.identifier])
        Order.objects.filter(pk=order.id, status=OrderStatus.OPEN).update(
            side=position.side,
            volume=round(position.volume, 4),
            sl=round(position.sl, 8),
            tp=round(position.tp, 8),
            ticket=position.ticket,
            price_open=round(position.price_open, 8),
        )
        turned = f"turned round to {position.side}, " if is_turned else ""
        text = f"#{position.ticket}: {turned}now {position.volume:g} lots, SL {position.sl:g}, TP {position.tp:g}"
        _tell(order, "ORDER_CHANGED", text, gate=gate, at=at, level="warning" if is_turned else "info")
        _publish(order, "open", position.ticket, gate=gate)
    _note(order, applied)


def _activate(order: KnownOrder, position: Position, *, gate: Gate, at: datetime, applied: Applied) -> None:
    """A resting order became a position."""
    fill = Fill(position.identifier, position.volume, position.volume, position.price_open)
    with fenced(gate):
        when = (position.opened_at, position.server_offset)
        _fill(order, fill, ticket=position.ticket, opened=when, gate=gate, at=at)
    _note(order, applied)


def _fill(
    order: KnownOrder, fill: Fill, *, ticket: int, opened: tuple[datetime, timedelta], gate: Gate, at: datetime
) -> None:  # fmt: skip
    """Write down that a resting order was filled, in whole or in part, inside the caller's transaction.

    `opened` is when, and the broker's clock ahead of UTC then. Where its lots went into a position that another order
    of the books holds, that order follows the position.
    """
    holder = Order.objects.filter(account_id=gate.account_id, identifier=fill.position_id).exclude(pk=order.id).first()
    is_merged = fill.opened <= 0 or holder is not None
    pending = Order.objects.filter(pk=order.id, status=OrderStatus.PENDING)
    if is_merged:
        pending.update(status=OrderStatus.CANCELLED, closed_at=at)
    else:
        lots = round(fill.opened, 4)
        pending.update(
            status=OrderStatus.OPEN,
            identifier=fill.position_id,
            volume=lots,
            volume_initial=lots,
            price_open=round(fill.price, 8),
            opened_at=opened[0],
            opened_offset_seconds=int(opened[1].total_seconds()),
            ticket=ticket,
        )
    if order.intent_id is not None:
        transition(
            order.intent_id,
            IntentState.ACCEPTED,
            IntentState.FILLED,
            fence=gate.token,
            why="the resting order was filled",
            at=at,
            done_at=at,
            filled_volume=round(fill.volume, 4),
        )
        if holder is not None and fill.opened > 0:
            take_in(holder, OrderIntent.objects.get(pk=order.intent_id), volume=fill.opened)
    into = f", into position #{fill.position_id}" if is_merged else ""
    text = f"#{ticket} {order.side} {order.symbol}: {fill.volume:g} filled at {fill.price:g}{into}"
    _tell(order, "ORDER_FILLED", text, gate=gate, at=at)
    _publish(order, "cancelled" if is_merged else "open", ticket, gate=gate)


def _verify_resting(order: KnownOrder, *, gateway: Gateway, gate: Gate, at: datetime, applied: Applied) -> None:
    """A resting order vanished: its history says how it ended, and its deals whether a part of it was filled.

    Without that it stays. What was filled and closed again between two looks is opened here; the next pass finds it
    missing and closes it by its deals.
    """
    ended = ended_of(gateway.order_history(at - timedelta(days=30), at + timedelta(days=1)), order.ticket)
    if ended is None:
        return
    deals = gateway.deals_of(ended.position_id or order.identifier)
    fill = fill_of_ended(ended, deals, side=order.side, at=at)
    if fill is None:
        return
    with fenced(gate):
        if fill.volume:
            import_deals(gate.account_id, deals)
            when = (ended.done_at, ended.server_offset)
            _fill(order, fill, ticket=order.ticket, opened=when, gate=gate, at=at)
            book_figures(gate.account_id, [fill.position_id])
        else:
            why = f"the resting order was {ended.state.value}"
            if not cancel_resting(
                order.id,
                fence=gate.token,
                why=why,
                ended_at=ended.done_at,
                ended_offset=ended.server_offset,
                at=at,
            ):
                return
            text = f"#{order.ticket} {order.side} {order.symbol}: {ended.state.value}"
            _tell(order, "ORDER_CANCELLED", text, gate=gate, at=at)
    _note(order, applied)


def _tell(
    order: KnownOrder, kind: str, text: str, *, gate: Gate, at: datetime, level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write an event about an order."""
    record(
        kind=kind,
        level=level,
        text=text,
        account_id=gate.account_id,
        bot_id=order.bot_id,
        cycle_id=order.cycle_id,
        order_id=order.id,
        at=at,
        data=data,
    )


def _publish(order: KnownOrder, status: str, ticket: int, *, gate: Gate) -> None:
    live.publish(gate.account_id, "order", {"id": order.id, "status": status, "ticket": ticket})


def _note(order: KnownOrder, applied: Applied) -> None:
    applied.orders += 1
    if order.cycle_id is not None:
        applied.cycles.add(order.cycle_id)
