"""Turn a strategy's actions into proposals, each with the key of its cause."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from math import isfinite
from typing import Any

from django.db.models import Q

from brokers.domain import Side, SymbolSpec
from orders.domain import KnownIntent, cause_of_cancel, cause_of_close, cause_of_leg, cause_of_stops
from orders.models import IntentKind, IntentState, Order, OrderIntent
from orders.services import Proposal
from risk.domain import Ask, Load, Standing
from strategies.domain import Action, AddLeg, ChangeLeg, Leg, View
from strategies.models import Bot

REFUSED = (IntentState.REFUSED, IntentState.ABSENT)
EXECUTED = (IntentState.FILLED, IntentState.ADOPTED, IntentState.SETTLED)
LOOK_BACK = 10


def leg_proposal(bot: Bot, symbol: str, action: AddLeg, trace: Mapping[str, Any]) -> Proposal:
    """Propose a leg: a market order, or a resting one."""
    done = Order.objects.filter(cycle_id=action.cycle_id, level=action.level).count()
    market = action.kind == "market"
    return Proposal(
        kind=IntentKind.OPEN if market else IntentKind.PLACE,
        cause_key=cause_of_leg(action.cycle_id, action.level, done),
        symbol=symbol,
        side=action.side,
        volume=action.volume,
        magic=bot.magic,
        why=action.reason,
        bot_id=bot.pk,
        cycle_id=action.cycle_id,
        level=action.level,
        order_kind=action.kind,
        price=action.price,
        sl=action.sl,
        tp=action.tp,
        trace=trace,
    )


def close_proposal(
    bot: Bot, symbol: str, cycle_id: int, leg: Leg, volume: float, why: str, trace: Mapping[str, Any]
) -> Proposal:
    """Propose to close `volume` of a leg, or to take it back while it still rests."""
    if leg.pending:
        kind, cause = IntentKind.CANCEL, cause_of_cancel(leg.order_id)
    else:
        done = OrderIntent.objects.filter(order_id=leg.order_id, kind=IntentKind.CLOSE, state__in=EXECUTED).count()
        kind, cause = IntentKind.CLOSE, cause_of_close(leg.order_id, done)
    return Proposal(
        kind=kind,
        cause_key=cause,
        symbol=symbol,
        side=leg.side,
        volume=min(volume, leg.volume),
        magic=bot.magic,
        why=why,
        bot_id=bot.pk,
        cycle_id=cycle_id,
        order_id=leg.order_id,
        level=leg.level,
        ticket=leg.ticket,
        trace=trace,
    )


def stops_proposal(bot: Bot, symbol: str, leg: Leg, action: ChangeLeg, trace: Mapping[str, Any]) -> Proposal:
    """Propose other stops for an open leg."""
    done = OrderIntent.objects.filter(order_id=leg.order_id, kind=IntentKind.STOPS, state__in=EXECUTED).count()
    return Proposal(
        kind=IntentKind.STOPS,
        cause_key=cause_of_stops(leg.order_id, done),
        symbol=symbol,
        side=leg.side,
        volume=leg.volume,
        magic=bot.magic,
        why=action.reason,
        bot_id=bot.pk,
        cycle_id=action.cycle_id,
        order_id=leg.order_id,
        level=leg.level,
        ticket=leg.ticket,
        sl=action.sl,
        tp=action.tp,
        trace=trace,
    )


def refusals_before(
    account_id: int, *, cause_key: str | None = None, bot_id: int | None = None, symbol: str | None = None
) -> tuple[int, datetime | None]:
    """Count how often in a row the same was refused, and when last.

    The same is the same cause; or, for entries, which have a new cause each time, any entry of a bot on a symbol.
    """
    found = OrderIntent.objects.filter(account_id=account_id)
    if cause_key is not None:
        found = found.filter(cause_key=cause_key)
    else:
        found = found.filter(Q(bot_id=bot_id), symbol=symbol, kind=IntentKind.OPEN, level=0)
    times, last = 0, None
    for state, done_at in found.order_by("-id").values_list("state", "done_at")[:LOOK_BACK]:
        if state not in REFUSED:
            break
        times, last = times + 1, last or done_at
    return times, last


def leg_of(view: View, cycle_id: int, order_id: int) -> Leg | None:
    """Return a leg of a cycle as the view shows it; None when it is gone."""
    return next((leg for c in view.cycles if c.id == cycle_id for leg in c.legs if leg.order_id == order_id), None)


def trace_of(view: View, woken_by: str, correlation: str) -> dict[str, Any]:
    """Say what a decision stood on; everything that comes of it bears the correlation id."""
    quote = view.quote
    return {
        "correlation": correlation,
        "tick": {
            "symbol": quote.symbol,
            "bid": quote.bid,
            "ask": quote.ask,
            "at": quote.at.isoformat(),
            "server_offset_seconds": int(quote.server_offset.total_seconds()),
        },
        "signals": {name: value for name, value in view.signals.items() if isfinite(value)},
        "woken_by": woken_by,
    }


def with_action(trace: Mapping[str, Any], action: Action) -> dict[str, Any]:
    """Add what was decided."""
    what = {k: v for k, v in asdict(action).items() if k != "memory"}
    return {**trace, "decision": {"action": type(action).__name__, **what}}


def with_verdict(proposal: Proposal, standing: Standing) -> Proposal:
    """Add to an approved proposal's trace what the review stood on."""
    verdict = {
        "approved": True,
        "equity": standing.account.equity,
        "margin_free": standing.account.margin_free,
        "spread": standing.quote.spread,
        "orders": standing.load.orders,
        "lots": dict(standing.load.lots),
    }
    return replace(proposal, trace={**proposal.trace, "verdict": verdict})


def ask_of(proposal: Proposal, refused_times: int, refused_at: datetime | None) -> Ask:
    """Put a proposal as the review's question."""
    return Ask(
        proposal.bot_id,
        proposal.raises_exposure,
        proposal.volume,
        refused_times,
        refused_at,
        proposal.symbol,
        Side(proposal.side),
    )


def with_under_way(load: Load, intents: Sequence[KnownIntent], spec: SymbolSpec) -> Load:
    """Add to an account's load the openings whose end is not known; those of other symbols count as lots only."""
    opening = [i for i in intents if i.kind == "open" or (i.kind == "place" and i.state != "accepted")]
    lots = dict(load.lots)
    for intent in opening:
        lots[intent.symbol] = lots.get(intent.symbol, 0.0) + intent.volume
    margin = sum(i.volume for i in opening if i.symbol == spec.name) * spec.margin_per_lot
    return replace(load, orders=load.orders + len(opening), lots=lots, margin_under_way=margin)
