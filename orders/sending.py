"""The send path: claim, commit SENT, send once, record what came of it (design.md §4)."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from django.db.models import QuerySet

from brokers.domain import (
    CancelOrder,
    ChangeStops,
    ClosePosition,
    OpenPosition,
    OrderKind,
    PlaceOrder,
    Request,
    Side,
)
from brokers.gateway import Permit
from core import crashpoints
from core.clock import Clock
from core.outcome import Accepted, Outcome, Refused, Unknown
from events import live
from events.services import record
from orders.approval import NotApproved, Planned
from orders.domain import SEND_DEADLINE
from orders.gate import Gate, fenced
from orders.models import IntentKind, IntentState, Order, OrderIntent, OrderStatus
from orders.services import transition


class Sender(Protocol):
    """The part of a gateway that this module needs."""

    def send(self, request: Request, permit: Permit | None = None) -> Outcome: ...


def request_of(intent: OrderIntent) -> Request:
    """Turn an intent into the gateway's request."""
    side, volume = Side(intent.side), float(intent.volume)
    sl, tp = float(intent.sl), float(intent.tp)
    match intent.kind:
        case IntentKind.OPEN:
            return OpenPosition(intent.symbol, side, volume, intent.magic, intent.comment, sl, tp)
        case IntentKind.CLOSE:
            return ClosePosition(intent.symbol, side, volume, intent.ticket, intent.magic, intent.comment)
        case IntentKind.PLACE:
            kind, price = OrderKind(intent.order_kind), float(intent.price)
            return PlaceOrder(intent.symbol, side, kind, volume, price, intent.magic, intent.comment, sl, tp)
        case IntentKind.CANCEL:
            return CancelOrder(intent.symbol, intent.ticket, intent.magic)
        case IntentKind.STOPS:
            return ChangeStops(intent.symbol, intent.ticket, sl, tp, intent.magic)
    raise ValueError(f"intent {intent.token} is of an unknown kind {intent.kind!r}")


def send_intent(planned: Planned, *, gateway: Sender, gate: Gate, clock: Clock) -> Outcome | None:
    """Carry out a planned intent at most once and record its outcome. Returns None when it must not be sent.

    Raises LeaseLost when the account is not ours any more. SENT has to be durable before the request leaves, so this
    refuses to run inside a transaction (RuntimeError).
    """
    if not isinstance(planned, Planned):
        raise NotApproved("only what plan_intent made of an approval is sent")
    intent = planned.row
    at = clock.now()
    deadline = at + SEND_DEADLINE
    with fenced(gate, "claim", durable=True):
        claimed = transition(
            intent.pk, IntentState.PLANNED, IntentState.CLAIMED, fence=gate.token, why="claimed", at=at
        )
    if not claimed:
        return None
    with fenced(gate, "sent", durable=True):
        if not _mark_sent(intent, gate=gate, at=at, deadline=deadline):
            return None
    # The gate is asked last, with nothing slow between its word and the request
    objection = gate.why_not_send(intent.token, deadline)
    if objection is not None:
        _hold_back(intent, objection, gate=gate, at=clock.now())
        return None
    crashpoints.reached("send:passed")
    outcome = gateway.send(request_of(intent), Permit(intent.token, gate.token, deadline))
    crashpoints.reached("send:answered")
    record_outcome(intent, outcome, gate=gate, clock=clock)
    return outcome


def _mark_sent(intent: OrderIntent, *, gate: Gate, at: datetime, deadline: datetime) -> bool:
    """Write down that the request leaves, unless somebody came to forbid entries since the review looked."""
    entry = intent.kind in (IntentKind.OPEN, IntentKind.PLACE)
    objection = None
    if entry:
        objection = gate.why_not_enter(intent.bot_id, intent.symbol, opens_cycle=_opens_cycle(intent))
    objection = objection or (_whose_it_would_join(intent) if entry else None)
    claimed, fence = IntentState.CLAIMED, gate.token
    if objection is not None:
        transition(intent.pk, claimed, IntentState.REFUSED, fence=fence, why=objection[:200], at=at, done_at=at)
        return False
    return transition(
        intent.pk, claimed, IntentState.SENT, fence=fence, why="handed to the broker", at=at, sent_at=at,
        deadline=deadline,
    )  # fmt: skip


def _opens_cycle(intent: OrderIntent) -> bool:
    """Tell whether an entry is the first request of its cycle."""
    if intent.cycle_id is None:
        return True
    return not OrderIntent.objects.filter(cycle_id=intent.cycle_id, pk__lt=intent.pk).exists()


def _held(intent: OrderIntent) -> QuerySet[Order]:
    """Return the open order whose position an entry's lots would be added to."""
    if not intent.account.merges_positions:
        return Order.objects.none()
    return Order.objects.filter(account_id=intent.account_id, symbol=intent.symbol, status=OrderStatus.OPEN)


def _whose_it_would_join(intent: OrderIntent) -> str | None:
    """Say which other cycle's position an entry would be added to: nobody could tell their lots apart, or None."""
    other = next((order for order in _held(intent) if order.cycle_id != intent.cycle_id), None)
    return None if other is None else f"the account nets: {intent.symbol} is held by another cycle ({other})"


def _hold_back(intent: OrderIntent, objection: str, *, gate: Gate, at: datetime) -> None:
    """End an intent that the gate held back: refused, or unknown when the journal says that it left before."""
    with fenced(gate, "held_back"):
        if gate.was_sent(intent.token):
            transition(intent.pk, IntentState.SENT, IntentState.UNKNOWN, fence=gate.token, why=objection, at=at)
        else:
            transition(
                intent.pk, IntentState.SENT, IntentState.REFUSED, fence=gate.token, why=objection, at=at, done_at=at
            )


def record_outcome(intent: OrderIntent, outcome: Outcome, *, gate: Gate, clock: Clock) -> None:
    """Write down what came of a send, with the order that it made, in one transaction."""
    at = clock.now()
    with fenced(gate, "outcome"):
        match outcome:
            case Accepted():
                _accepted(intent, outcome, gate=gate, at=at)
            case Refused():
                transition(
                    intent.pk,
                    IntentState.SENT,
                    IntentState.REFUSED,
                    fence=gate.token,
                    why=f"{outcome.reason}: {outcome.text}",
                    at=at,
                    done_at=at,
                    reply_code=outcome.code,
                    reply_text=f"{outcome.reason} {outcome.text}".strip()[:200],
                )
                kind = "ORDER_CLOSE_FAILED" if intent.kind == IntentKind.CLOSE else "ORDER_REFUSED"
                record(
                    kind=kind,
                    level="warning",
                    at=at,
                    account_id=gate.account_id,
                    bot_id=intent.bot_id,
                    cycle_id=intent.cycle_id,
                    order_id=intent.order_id,
                    text=f"The broker refused to {intent.kind} {intent.volume} {intent.symbol}: "
                    f"{outcome.reason} {outcome.text}",
                )
            case Unknown():
                transition(
                    intent.pk,
                    IntentState.SENT,
                    IntentState.UNKNOWN,
                    fence=gate.token,
                    why=outcome.cause,
                    at=at,
                    reply_code=outcome.code,
                    reply_text=outcome.cause[:200],
                )
                record(
                    kind="ORDER_UNKNOWN",
                    level="warning",
                    at=at,
                    account_id=gate.account_id,
                    bot_id=intent.bot_id,
                    cycle_id=intent.cycle_id,
                    text=f"Nobody knows what came of intent {intent.token} ({outcome.cause}); looking it up.",
                )


def _accepted(intent: OrderIntent, outcome: Accepted, *, gate: Gate, at: datetime) -> None:
    """Write down an accepted request, inside the caller's transaction.

    What a cancelled order came to is left to the next pass: a part may have been filled before, as history will say.
    So is what was added to a position of an account that nets: only its deal names that position.
    """
    done = outcome.filled > 0 and intent.kind == IntentKind.OPEN and not _held(intent).exists()
    over = intent.kind in (IntentKind.CANCEL, IntentKind.STOPS) or _was_closed_before(intent, outcome)
    state = IntentState.FILLED if done or over else IntentState.PARTIAL if outcome.partial else IntentState.ACCEPTED
    if not transition(
        intent.pk,
        IntentState.SENT,
        state,
        fence=gate.token,
        why=outcome.text or "accepted by the broker",
        at=at,
        done_at=at if state == IntentState.FILLED else None,
        reply_code=outcome.code,
        reply_order=outcome.order,
        reply_deal=outcome.deal,
        reply_text=outcome.text[:200],
        filled_volume=round(outcome.filled, 4),
    ):
        return
    if done or intent.kind == IntentKind.PLACE:
        open_order(
            intent,
            ticket=outcome.order,
            volume=outcome.filled if done else float(intent.volume),
            price=outcome.price if done else float(intent.price),
            pending=not done,
            at=at,
        )
    elif intent.kind == IntentKind.STOPS and intent.order_id is not None:
        Order.objects.filter(pk=intent.order_id).update(sl=intent.sl, tp=intent.tp)


def _was_closed_before(intent: OrderIntent, outcome: Accepted) -> bool:
    """Tell whether a close met a position that was gone, and the books know that: no pass will find its deals."""
    if intent.kind != IntentKind.CLOSE or outcome.order or outcome.filled:
        return False
    known = intent.order_id is not None and Order.objects.filter(pk=intent.order_id, status=OrderStatus.OPEN).exists()
    return not known


def open_order(intent: OrderIntent, *, ticket: int, volume: float, price: float, pending: bool, at: datetime) -> Order:
    """Write the order that an intent made, inside the caller's transaction; the same order found twice is one row.

    `ticket` is the position's identifier, on a hedging account the ticket of the order that opened it (MetaTrader 5
    reference). Where an order of the books has that position already, the intent's lots joined it.
    """
    order, created = Order.objects.get_or_create(
        account_id=intent.account_id,
        identifier=ticket,
        defaults={
            "bot_id": intent.bot_id,
            "cycle_id": intent.cycle_id,
            "intent": intent,
            "ticket": ticket,
            "symbol": intent.symbol,
            "side": intent.side,
            "status": OrderStatus.PENDING if pending else OrderStatus.OPEN,
            "level": intent.level or 0,
            "magic": intent.magic,
            "comment": intent.comment,
            "volume": round(volume, 4),
            "volume_initial": round(volume, 4),
            "price_open": round(price, 8),
            "sl": intent.sl,
            "tp": intent.tp,
            "opened_at": at,
        },
    )
    if created:
        what = "placed" if pending else "filled"
        _tell(intent, order, f"{volume:g} {intent.symbol} {what} at {price:g} ({intent.why})", pending=pending, at=at)
    elif order.intent_id != intent.pk:
        join(intent, order, volume=volume, price=price, at=at)
    return order


def join(intent: OrderIntent, order: Order, *, volume: float, price: float, at: datetime) -> None:
    """Write down, once, that an intent's lots went into an order's position, inside the caller's transaction."""
    if take_in(order, intent, volume=volume):
        text = f"{volume:g} {intent.symbol} filled at {price:g}, into position #{order.identifier} ({intent.why})"
        _tell(intent, order, text, pending=False, at=at)


def take_in(order: Order, intent: OrderIntent, *, volume: float) -> bool:
    """Let an order hold an intent's lots too, inside the caller's transaction; False when it does already.

    The order follows its position's lots and price by itself. It takes the level of what joined: a level that has its
    lots must not be asked for again.
    """
    won = OrderIntent.objects.filter(pk=intent.pk, order=None).update(order=order) == 1
    if won:
        same = order.cycle_id == intent.cycle_id
        level = max(order.level, intent.level or 0) if same else order.level
        lots = order.volume_initial + Decimal(str(round(volume, 4)))
        Order.objects.filter(pk=order.pk).update(level=level, volume_initial=lots)
    return won


def _tell(intent: OrderIntent, order: Order, text: str, *, pending: bool, at: datetime) -> None:
    record(
        kind="ORDER_PLACED" if pending else "ORDER_FILLED",
        text=f"{intent.get_side_display()} {text}",
        account_id=intent.account_id,
        bot_id=intent.bot_id,
        cycle_id=intent.cycle_id,
        order_id=order.pk,
        at=at,
    )
    live.publish(intent.account_id, "order", {"id": order.pk, "status": order.status, "ticket": order.ticket})
