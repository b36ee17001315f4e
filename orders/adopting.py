"""Give what appeared at the broker to the intent that made it, however late, and say so when it was given up before."""

from collections.abc import Sequence
from datetime import datetime

from brokers.domain import Deal, PendingOrder, Position
from brokers.gateway import Gateway
from events.domain import EventDraft
from events.services import record, record_many
from orders.comparing import intent_of
from orders.domain import Fill, KnownIntent, fill_of, proof_of, token_in
from orders.gate import Gate, fenced
from orders.models import IntentKind, IntentState, OrderIntent
from orders.sending import open_order
from orders.services import transition

LATE = "late_execution"
OPENING = (IntentKind.OPEN, IntentKind.PLACE)
GIVEN_UP = (IntentState.ABSENT, IntentState.SETTLED, IntentState.REFUSED)
ENDED_BY_EVIDENCE = (IntentState.SENT, IntentState.UNKNOWN, *GIVEN_UP)


def adopt(
    found: Position | PendingOrder,
    intents: tuple[KnownIntent, ...],
    *,
    gate: Gate,
    at: datetime,
) -> OrderIntent | None:
    """Give a position or resting order that the books lack to its intent; None when no intent of ours made it."""
    identifier = found.identifier if isinstance(found, Position) else found.ticket
    known = intent_of(identifier, found.comment, intents)
    intent = _intent(gate.account_id, known.id) if known is not None else _given_up(gate.account_id, found.comment)
    if intent is not None:
        is_open = isinstance(found, Position)
        price = found.price_open if isinstance(found, Position) else found.price
        with fenced(gate):
            _end_by_evidence(intent, identifier, found.volume, gate=gate, at=at, pending=not is_open)
            open_order(intent, ticket=identifier, volume=found.volume, price=price, pending=not is_open, at=at)
        return intent
    return None


def adopt_by_deal(intent: OrderIntent, deal: Deal, *, gateway: Gateway, gate: Gate, at: datetime) -> bool:
    """End an intent that a deal of its own proves; False while the ledger does not tell all of it. Raises ReadError.

    On a netting account a request to open may have reduced an opposite position: then no order is made of it.
    """
    fill: Fill | None = Fill(deal.position_id, deal.volume, 0.0, deal.price)
    if intent.kind in OPENING:
        fill = fill_of(gateway.deals_of(deal.position_id), side=intent.side, token=intent.token)
    if fill is None:
        return False
    with fenced(gate):
        _end_by_evidence(intent, fill.position_id, fill.volume, gate=gate, at=at, pending=False)
        if fill.opened > 0:
            open_order(intent, ticket=fill.position_id, volume=fill.opened, price=fill.price, pending=False, at=at)
    return True


def adopt_by_deals(deals: Sequence[Deal], *, gateway: Gateway, gate: Gate, at: datetime) -> set[int]:
    """Adopt intents that were given up and whose deals prove that they were executed; return their cycles.

    A position that a late execution opened is usually seen in the book first; what closed again since, or what a late
    close ended, shows in the ledger only.
    """
    by_token: dict[str, list[Deal]] = {}
    for deal in deals:
        if (token := token_in(deal.comment)) is not None:
            by_token.setdefault(token, []).append(deal)
    given_up = OrderIntent.objects.filter(account_id=gate.account_id, token__in=by_token, state__in=GIVEN_UP)
    cycles: set[int] = set()
    for intent in given_up.order_by("id"):
        proof = proof_of(by_token[intent.token], token=intent.token, side=intent.side, opens=intent.kind in OPENING)
        if proof is not None and adopt_by_deal(intent, proof, gateway=gateway, gate=gate, at=at):
            cycles |= {intent.cycle_id} if intent.cycle_id is not None else set()
    return cycles


def _intent(account_id: int, pk: int) -> OrderIntent:
    return OrderIntent.objects.get(pk=pk, account_id=account_id)


def _given_up(account_id: int, comment: str) -> OrderIntent | None:
    """Find an intent that ended without an order, but was executed after all."""
    token = token_in(comment)
    if token is None:
        return None
    return OrderIntent.objects.filter(account_id=account_id, token=token, opened_order=None, kind__in=OPENING).first()


def _end_by_evidence(
    intent: OrderIntent, ticket: int, volume: float, *, gate: Gate, at: datetime, pending: bool
) -> None:
    """End an intent that evidence at the broker proves, inside the caller's transaction."""
    evidence = f"found at the broker as #{ticket}"
    filled = 0 if pending else round(volume, 4)
    if intent.state in ENDED_BY_EVIDENCE:
        if not transition(
            intent.pk,
            intent.state,
            IntentState.ADOPTED,
            fence=gate.token,
            why=evidence,
            at=at,
            done_at=at,
            reply_order=ticket,
            filled_volume=filled,
        ):
            return
        is_late = intent.state in GIVEN_UP
        record(
            kind="ORDER_ADOPTED",
            level="error" if is_late else "warning",
            text=f"Intent {intent.token} was executed: {evidence}"
            + (f", after it had ended as {intent.state}" if is_late else ""),
            account_id=gate.account_id,
            bot_id=intent.bot_id,
            cycle_id=intent.cycle_id,
            at=at,
        )
        if is_late:
            reason = f"intent {intent.token} was executed after it had ended as {intent.state}: {evidence}"
            gate.forbid_entries(LATE, reason, at)
    elif intent.state in (IntentState.ACCEPTED, IntentState.PARTIAL) and not pending:
        transition(
            intent.pk,
            intent.state,
            IntentState.FILLED,
            fence=gate.token,
            why=evidence,
            at=at,
            done_at=at,
            reply_order=ticket,
            filled_volume=filled,
        )


def report_foreign(positions: Sequence[Position], *, gate: Gate, at: datetime) -> None:
    """Tell of positions that are not ours, with one statement: an account may come with a thousand of them."""
    drafts = [
        EventDraft(
            "POSITION_FOREIGN",
            f"#{p.ticket} {p.side} {p.volume:g} {p.symbol} is not ours: left alone",
            at,
            "warning",
            gate.account_id,
            data={"ticket": p.ticket, "magic": p.magic, "comment": p.comment},
        )
        for p in positions
    ]
    if drafts:
        with fenced(gate):
            record_many(drafts)
