"""End UNKNOWN intents: by evidence, or by proof of absence; never by waiting alone (design.md §4.5)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from brokers.domain import Book, Deal
from brokers.gateway import Gateway
from core.clock import Clock
from events.services import record
from orders.adopting import OPENING, adopt_by_deal
from orders.domain import AGREEING_READS_APART, SETTLE, KnownIntent, proof_of, token_in
from orders.gate import Gate, fenced
from orders.models import IntentKind, IntentState, OrderIntent
from orders.services import transition

CLOCK_SKEW = timedelta(minutes=5)


class UnknownResolver:
    """Looks for every unknown intent at the broker; remembers the first complete look that did not find it."""

    def __init__(self, *, gateway: Gateway, gate: Gate, clock: Clock) -> None:
        self.gateway = gateway
        self.gate = gate
        self.clock = clock
        self._absent_at: dict[int, datetime] = {}

    def run(self, book: Book, intents: tuple[KnownIntent, ...]) -> int:
        """Look for every unknown intent; return how many ended. Raises ReadError: an incomplete look proves nothing."""
        unknown = [i for i in intents if i.state == IntentState.UNKNOWN and i.sent_at is not None]
        return sum(self._resolve(intent, book) for intent in unknown)

    def _resolve(self, intent: KnownIntent, book: Book) -> bool:
        assert intent.sent_at is not None
        at = self.clock.now()
        since, until = intent.sent_at - CLOCK_SKEW, at + timedelta(days=1)
        orders = self.gateway.order_history(since, until)
        deals = self.gateway.deals(since, until)
        if intent.kind in OPENING:
            proof = proof_of(deals, token=intent.token, side=intent.side, opens=True)
            if proof is not None:
                row = OrderIntent.objects.get(pk=intent.id)
                return adopt_by_deal(row, proof, gateway=self.gateway, gate=self.gate, at=at)
            if any(token_in(o.comment) == intent.token for o in orders):
                return False
        elif self._request_was_executed(intent, book, deals, at):
            return True
        return self._prove_absent(intent, book, at)

    def _request_was_executed(self, intent: KnownIntent, book: Book, deals: Sequence[Deal], at: datetime) -> bool:
        """A close or a cancel is proved by its deal, or by its target, which is gone.

        The target is not always an order of ours: a person may have had a foreign position closed.
        """
        row = OrderIntent.objects.select_related("order").get(pk=intent.id)
        targets = {row.ticket} if row.order is None else {row.order.identifier, row.order.ticket}
        position = next((p for p in book.positions if targets & {p.identifier, p.ticket}), None)
        if intent.kind == IntentKind.CLOSE:
            proof = proof_of(deals, token=intent.token, side=intent.side, opens=False)
            executed = position is None or proof is not None
        elif intent.kind == IntentKind.CANCEL:
            executed = not any(o.ticket in targets for o in book.orders)
        else:
            executed = position is not None and (
                abs(position.sl - float(row.sl)) < 1e-8 and abs(position.tp - float(row.tp)) < 1e-8
            )
        if executed:
            with fenced(self.gate):
                transition(
                    intent.id,
                    IntentState.UNKNOWN,
                    IntentState.ADOPTED,
                    fence=self.gate.token,
                    why="the broker's book shows it done",
                    at=at,
                    done_at=at,
                )
        return executed

    def _prove_absent(self, intent: KnownIntent, book: Book, at: datetime) -> bool:
        assert intent.sent_at is not None
        if at - intent.sent_at < SETTLE or book.at <= intent.sent_at:
            return False
        first = self._absent_at.setdefault(intent.id, at)
        if at - first < AGREEING_READS_APART:
            return False
        with fenced(self.gate):
            ended = transition(
                intent.id,
                IntentState.UNKNOWN,
                IntentState.ABSENT,
                fence=self.gate.token,
                why=f"not in orders, positions, history or deals at {first:%H:%M:%S} and {at:%H:%M:%S}",
                at=at,
                done_at=at,
            )
            if ended:
                record(
                    kind="ORDER_ABSENT",
                    text=f"Intent {intent.token} was proved not to have reached the broker.",
                    account_id=self.gate.account_id,
                    bot_id=intent.bot_id,
                    cycle_id=intent.cycle_id,
                    at=at,
                )
        return ended
