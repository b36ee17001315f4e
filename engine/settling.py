"""Make the broker follow us where a person settled a divergence so: plan an intent, send it once, and say what came."""

from typing import TYPE_CHECKING, Any

from brokers.domain import Position
from core.outcome import Accepted, Refused
from engine.proposals import ask_of
from orders.approval import Planned
from orders.gate import fenced
from orders.models import IntentKind
from orders.sending import send_intent
from orders.services import AlreadyDecided, Proposal, plan_intent
from reconciliation.actions import STOPS, excess
from reconciliation.domain import Kind
from reconciliation.models import Divergence, State
from reconciliation.services import settling
from risk.domain import Vetoed, review_exit

if TYPE_CHECKING:
    from engine.session import AccountSession


def settle_divergence(session: "AccountSession", args: dict[str, Any]) -> str:
    """Carry out `accept_ours` of a divergence that is still open. Raises ReadError, LeaseLost, ValueError."""
    row = Divergence.objects.select_related("order").get(pk=args["divergence"], account_id=session.account_id)
    if row.state == State.CLOSED:
        return "it is over already"
    ok, text = _enforce(session, row, str(args.get("why", "")))
    with fenced(session.gate):
        settling.report_back(divergence_id=row.pk, ok=ok, text=text, at=session.clock.now())
    session.loop.hurry("orders")
    session.loop.hurry("reconciliation")
    return text


def _enforce(session: "AccountSession", row: Divergence, why: str) -> tuple[bool, str]:
    position = next((p for p in session.gateway.book().positions if p.identifier == row.identifier), None)
    if position is None:
        return False, f"#{row.ticket} is not at the broker any more"
    proposal = _proposal(row, position, why)
    verdict = review_exit(ask_of(proposal, 0, None), session.clock.now())
    if isinstance(verdict, Vetoed):
        return False, verdict.detail
    try:
        with fenced(session.gate):
            intent = plan_intent(
                proposal, verdict, account_id=session.account_id, ids=session.ids, at=session.clock.now()
            )
    except AlreadyDecided as known:
        return False, f"not asked again: {known}"
    return _send(session, intent)


def _proposal(row: Divergence, position: Position, why: str) -> Proposal:
    """Set both stops as our decisions want them, or close what must not be there. Neither raises exposure."""
    order = row.order
    sets_stops = row.kind in (*STOPS, Kind.FOREIGN_CHANGE)
    return Proposal(
        kind=IntentKind.STOPS if sets_stops else IntentKind.CLOSE,
        cause_key=f"d{row.pk}:settle",
        symbol=position.symbol,
        side=position.side,
        volume=position.volume if sets_stops else min(excess(row), position.volume),
        magic=position.magic,
        why=f"divergence {row.pk} settled by a person: {why}",
        bot_id=order.bot_id if order is not None else None,
        cycle_id=order.cycle_id if order is not None else None,
        order_id=order.pk if order is not None else None,
        level=order.level if order is not None else None,
        sl=float(row.ours["sl"]) if sets_stops else 0.0,
        tp=float(row.ours["tp"]) if sets_stops else 0.0,
        ticket=position.ticket,
        trace={"divergence": row.pk, "ours": row.ours, "theirs": row.theirs},
    )


def _send(session: "AccountSession", intent: Planned) -> tuple[bool, str]:
    outcome = send_intent(intent, gateway=session.gateway, gate=session.gate, clock=session.clock)
    match outcome:
        case Accepted():
            return True, "the broker did it"
        case Refused():
            return False, f"the broker refused: {outcome.reason} {outcome.text}".strip()
        case None:
            return False, "it was not sent; ask again"
    return True, "nobody knows yet what came of it; it is being looked up"
