"""Carry out what people ask for with cycles and orders: only what lowers exposure or moves stops, through intents."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brokers.gateway import SymbolError
from core.outcome import Accepted, Refused
from cycles.models import Cycle
from cycles.selectors import cycle_views
from cycles.services import mark_closing
from engine.proposals import ask_of, close_proposal, stops_proposal
from orders.gate import fenced
from orders.models import Order
from orders.sending import send_intent
from orders.services import AlreadyDecided, Proposal, plan_intent
from risk.domain import Vetoed, review_exit
from strategies.domain import ChangeLeg, CycleView, Leg
from strategies.models import Bot

if TYPE_CHECKING:
    from engine.session import AccountSession

GONE = "it is closed already"


def close_cycle(session: "AccountSession", args: dict[str, Any]) -> str:
    """Close every leg of a cycle, largest loss first; it takes no more legs. Raises ReadError, LeaseLost."""
    row = Cycle.objects.select_related("bot").get(pk=args["cycle"], account_id=session.account_id)
    found = _view(session, row)
    if found is None:
        return GONE
    with fenced(session.gate):
        mark_closing(row.pk, reason=_why(args), at=session.clock.now())
    trace = {
        "correlation": session.ids.token(10),
        "woken_by": "person",
        "decision": {"action": "CloseCycle", "why": _why(args)},
    }
    legs = [leg for leg in _worst_first(session, found) if leg.order_id not in found.under_way]
    return _send(
        session,
        [close_proposal(row.bot, row.symbol, row.pk, leg, leg.volume, _why(args), trace) for leg in legs],
    )


def close_order(session: "AccountSession", args: dict[str, Any]) -> str:
    """Close a leg, or `volume` lots of it, once however often this is asked. Raises ReadError, LeaseLost."""
    known = _leg(session, args)
    if isinstance(known, str):
        return known
    bot, cycle, leg = known
    volume = float(args["volume"]) if args.get("volume") else leg.volume
    trace = {"woken_by": "person", "decision": {"action": "CloseLeg", "volume": volume, "why": _why(args)}}
    proposal = close_proposal(bot, cycle.symbol, cycle.id, leg, volume, _why(args), trace)
    if args.get("volume") and not leg.pending:
        # A part that was closed leaves a leg that could be closed again: the request itself is the cause
        proposal = replace(proposal, cause_key=f"h{args['request']}:close")
    return _send(session, [proposal])


def change_stops(session: "AccountSession", args: dict[str, Any]) -> str:
    """Set both stops of an open leg. Raises ReadError, LeaseLost."""
    known = _leg(session, args)
    if isinstance(known, str):
        return known
    bot, cycle, leg = known
    action = ChangeLeg(cycle.id, leg.order_id, float(args["sl"]), float(args["tp"]), _why(args))
    trace = {"woken_by": "person", "decision": {"action": "ChangeLeg", "sl": action.sl, "tp": action.tp}}
    return _send(session, [stops_proposal(bot, cycle.symbol, leg, action, trace)])


def _why(args: dict[str, Any]) -> str:
    return f"by hand: {args.get('why', '')}"


def _view(session: "AccountSession", row: Cycle) -> CycleView | None:
    views = cycle_views(session.account_id).get((row.bot_id, row.symbol), ())
    return next((view for view in views if view.id == row.pk), None)


def _leg(session: "AccountSession", args: dict[str, Any]) -> tuple[Bot, CycleView, Leg] | str:
    """Return an order's bot, cycle and leg, or why nothing can be done with it."""
    order = Order.objects.select_related("cycle", "bot").get(pk=args["order"], account_id=session.account_id)
    found = _view(session, order.cycle) if order.cycle is not None else None
    if found is None or order.bot is None:
        return GONE
    leg = next((leg for leg in found.legs if leg.order_id == order.pk), None)
    if leg is None:
        return GONE
    if leg.order_id in found.under_way:
        return "something is under way for it: look again when that is over"
    return order.bot, found, leg


def _worst_first(session: "AccountSession", cycle: CycleView) -> list[Leg]:
    try:
        quote, spec = session.market.quote(cycle.symbol), session.market.spec(cycle.symbol)
    except SymbolError:
        return list(cycle.legs)
    return sorted(cycle.legs, key=lambda leg: leg.net(quote, spec))


def _send(session: "AccountSession", proposals: Sequence[Proposal]) -> str:
    """Plan and send one after the other, each once; say what came of each."""
    said = [f"{proposal.kind} #{proposal.ticket}: {_send_one(session, proposal)}" for proposal in proposals]
    session.loop.hurry("orders")
    session.loop.hurry("cycles")
    return "; ".join(said) or "everything of it is under way already"


def _send_one(session: "AccountSession", proposal: Proposal) -> str:
    verdict = review_exit(ask_of(proposal, 0, None), session.clock.now())
    if isinstance(verdict, Vetoed):
        return verdict.detail
    try:
        with fenced(session.gate):
            intent = plan_intent(
                proposal, verdict, account_id=session.account_id, ids=session.ids, at=session.clock.now()
            )
    except AlreadyDecided as known:
        return f"not asked again: {known}"
    outcome = send_intent(intent, gateway=session.gateway, gate=session.gate, clock=session.clock)
    match outcome:
        case Accepted():
            return "done"
        case Refused():
            return f"refused: {outcome.reason} {outcome.text}".strip()
        case None:
            return "not sent; ask again"
    return "nobody knows yet what came of it; it is being looked up"
