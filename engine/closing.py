"""The auto-close service: closes what guards and kill switches mark, through intents, until nothing is left.

A refused close is asked for again by a new intent; a partial fill leaves a smaller position, which is closed next. It
closes by ticket and never more than the broker's own list shows, so it can't open the opposite side.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brokers.domain import PendingOrder, Position
from brokers.gateway import Gateway
from core.clock import Clock
from core.ids import Ids
from cycles.services import mark_closing
from engine.proposals import EXECUTED, refusals_before
from orders.domain import KnownOrder, cause_of_cancel, cause_of_close
from orders.gate import Gate, fenced
from orders.models import IntentKind, IntentState, OrderIntent
from orders.selectors import intents_under_way
from orders.sending import send_intent
from orders.services import AlreadyDecided, Proposal, plan_intent
from risk.domain import Ask, Vetoed, review_exit
from risk.domain.exposure import CLOSES_PER_PASS, largest_risk_first
from risk.domain.readings import Held


@dataclass(frozen=True, slots=True)
class Marked:
    """An open position or resting order that has to go, with why; `order` is what the books know of it."""

    held: Held
    why: str
    position: Position | None = None
    resting: PendingOrder | None = None
    order: KnownOrder | None = None


class AutoClose:
    """Carries out the closing of what is marked. A session owns it."""

    def __init__(self, *, gateway: Gateway, gate: Gate, clock: Clock, ids: Ids, may_go_on: Callable[[], bool]) -> None:
        self.account_id = gate.account_id
        self.gateway = gateway
        self.gate = gate
        self.clock = clock
        self.ids = ids
        self.sent = 0
        self._may_go_on = may_go_on

    def run(self, marked: Sequence[Marked], value_per_lot: Mapping[str, float]) -> int:
        """Send what can be sent now, resting orders first, then the largest risk; return how many requests left.

        `value_per_lot` weighs symbols against each other (`risk.domain.exposure.value_per_lot`).
        """
        if not marked:
            return 0
        self._finish_cycles(marked)
        busy = {(i.order_id, i.kind) for i in intents_under_way(self.account_id) if i.order_id is not None}
        busy_tickets = self._busy_tickets()
        before = self.sent
        resting = [m for m in marked if m.resting is not None]
        by_identifier = {m.held.identifier: m for m in marked if m.position is not None}
        positions = largest_risk_first([m.held for m in by_identifier.values()], value_per_lot, CLOSES_PER_PASS)
        for item in (*resting, *(by_identifier[held.identifier] for held in positions)):
            kind = IntentKind.CANCEL if item.resting is not None else IntentKind.CLOSE
            is_busy = (item.order.id, kind) in busy if item.order is not None else _ticket(item) in busy_tickets
            if not is_busy and self._may_go_on():
                self._close(item, kind)
        return self.sent - before

    def _finish_cycles(self, marked: Sequence[Marked]) -> None:
        """Let the cycles of marked legs take no more of them."""
        whys = {m.order.cycle_id: m.why for m in marked if m.order is not None and m.order.cycle_id is not None}
        for cycle_id, why in whys.items():
            with fenced(self.gate):
                mark_closing(cycle_id, reason=why, at=self.clock.now())

    def _busy_tickets(self) -> Collection[int]:
        under_way = [i.id for i in intents_under_way(self.account_id) if i.order_id is None]
        rows = OrderIntent.objects.filter(pk__in=under_way, kind__in=(IntentKind.CLOSE, IntentKind.CANCEL))
        return set(rows.values_list("ticket", flat=True))

    def _close(self, item: Marked, kind: IntentKind) -> None:
        proposal = _proposal(item, kind)
        times, at_refused = refusals_before(self.account_id, cause_key=proposal.cause_key)
        ask = Ask(proposal.bot_id, False, proposal.volume, times, at_refused, symbol=proposal.symbol, urgent=True)
        verdict = review_exit(ask, self.clock.now())
        if isinstance(verdict, Vetoed):
            return
        try:
            with fenced(self.gate):
                planned = plan_intent(proposal, verdict, account_id=self.account_id, ids=self.ids, at=self.clock.now())
        except AlreadyDecided:
            return
        outcome = send_intent(planned, gateway=self.gateway, gate=self.gate, clock=self.clock)
        self.sent += outcome is not None


def _ticket(item: Marked) -> int:
    if item.resting is not None:
        return item.resting.ticket
    assert item.position is not None
    return item.position.ticket


def _proposal(item: Marked, kind: IntentKind) -> Proposal:
    """Ask for the whole of it; the key of the cause is the one that a strategy's close of the same order has."""
    held, order, ticket = item.held, item.order, _ticket(item)
    magic = item.position.magic if item.position is not None else item.resting.magic if item.resting is not None else 0
    trace: dict[str, Any] = {"woken_by": "guard", "decision": {"action": "AutoClose", "why": item.why}}
    if order is not None:
        done = OrderIntent.objects.filter(order_id=order.id, kind=IntentKind.CLOSE, state__in=EXECUTED).count()
        cause = cause_of_cancel(order.id) if kind is IntentKind.CANCEL else cause_of_close(order.id, done)
    else:
        done = OrderIntent.objects.filter(
            order=None, ticket=ticket, kind=kind, state__in=(*EXECUTED, IntentState.PARTIAL)
        ).count()
        cause = f"t{ticket}:{done}:{kind}"
    return Proposal(
        kind=kind,
        cause_key=cause,
        symbol=held.symbol,
        side=held.side,
        volume=held.volume,
        magic=magic,
        why=item.why,
        bot_id=held.bot_id,
        cycle_id=held.cycle_id,
        order_id=order.id if order is not None else None,
        ticket=ticket,
        trace=trace,
    )
