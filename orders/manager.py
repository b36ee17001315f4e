"""The Orders Manager: keeps the books of one account equal to the broker, every half second (S0)."""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from brokers.domain import Book, Deal
from brokers.gateway import Gateway
from core.clock import Clock
from core.numbers import CENT
from orders import applying, selectors
from orders.adopting import adopt_by_deals
from orders.booking import book_figures, finish_intents, import_deals
from orders.comparing import Findings, compare, marks_moved, marks_of
from orders.domain import KnownIntent, KnownOrder
from orders.gate import Gate, fenced
from orders.services import end_interrupted, write_marks
from orders.unknowns import UnknownResolver

log = logging.getLogger("trading.orders")

DEAL_OVERLAP = timedelta(hours=3)
DEAL_REFRESH_SECONDS = 10.0
HALF_DONE = frozenset({"planned", "claimed", "sent"})


@dataclass(slots=True)
class OrderStatistics:
    """S0's counters of one manager since it started."""

    mt5_orders_count: int = 0
    db_orders_count: int = 0
    suspicious_orders_count: int = 0
    total_syncs: int = 0
    total_errors: int = 0
    fixed_orders: int = 0
    quiet_passes: int = 0


@dataclass(frozen=True, slots=True)
class OrdersPass:
    """What one pass saw; other jobs of the session work on the same snapshot."""

    at: datetime
    book: Book
    known: tuple[KnownOrder, ...]
    findings: Findings
    cycles: tuple[int, ...] = ()


class OrdersManager:
    """One account's books against its broker. Not safe for threads: a session owns it."""

    def __init__(self, *, gateway: Gateway, gate: Gate, clock: Clock, profit_threshold: float = CENT) -> None:
        self.gateway = gateway
        self.gate = gate
        self.clock = clock
        self.profit_threshold = profit_threshold
        self.statistics = OrderStatistics()
        self.last: OrdersPass | None = None
        self._unknowns = UnknownResolver(gateway=gateway, gate=gate, clock=clock)
        self._marks: dict[str, Any] | None = None
        self._deals_read_at: float | None = None
        self._imported: set[int] = set()
        self._traces: tuple[float, tuple[int, ...]] | None = None
        self._foreign: set[int] = set()

    def run(self) -> OrdersPass:
        """Make one pass: read both sides, compare, apply. Raises ReadError, leaving the books alone."""
        try:
            found = self._pass()
        except Exception:
            self.statistics.total_errors += 1
            raise
        self.last = found
        return found

    def get_order_statistics(self) -> dict[str, int]:
        """Return S0's order statistics."""
        return asdict(self.statistics)

    def force_order_sync(self) -> OrdersPass:
        """Read the whole ledger overlap again and make a pass now."""
        self._deals_read_at = None
        return self.run()

    def _pass(self) -> OrdersPass:
        account_id = self.gate.account_id
        book = self.gateway.book()
        known = selectors.known_orders(account_id)
        at = self.clock.now()
        intents = selectors.intents_under_way(account_id)
        if any(intent.state in HALF_DONE for intent in intents):
            end_interrupted(self.gate, at=at)
            intents = selectors.intents_under_way(account_id)
        findings = compare(known, book)
        cycles, deals = self._ledger(book, intents, at)
        fixed = applying.apply(
            findings, intents, gateway=self.gateway, gate=self.gate, at=at, seen_foreign=self._foreign
        )
        cycles |= fixed.cycles | adopt_by_deals(deals, gateway=self.gateway, gate=self.gate, at=at)
        self._unknowns.run(book, intents)
        wrote_marks = self._write_marks(book, at)
        self._count(book, known, findings, fixed.orders, quiet=findings.nothing and not wrote_marks and not cycles)
        return OrdersPass(at, book, known, findings, tuple(sorted(cycles)))

    def _ledger(self, book: Book, intents: tuple[KnownIntent, ...], at: datetime) -> tuple[set[int], tuple[Deal, ...]]:
        """Import new deals when something suggests that there are any, or every 10 s; return the cycles touched."""
        trace = (book.account.balance, tuple(sorted(p.identifier for p in book.positions)))
        ticks = self.clock.ticks()
        due = self._deals_read_at is None or ticks - self._deals_read_at >= DEAL_REFRESH_SECONDS
        if not due and trace == self._traces and not intents:
            return set(), ()
        account_id = self.gate.account_id
        newest = selectors.last_deal_at(account_id)
        since = newest - DEAL_OVERLAP if newest is not None else at - timedelta(days=3650)
        deals = self.gateway.deals(since, at + timedelta(days=1))
        self._deals_read_at, self._traces = ticks, trace
        if not intents and self._imported.issuperset(d.ticket for d in deals):
            return set(), deals
        with fenced(self.gate):
            touched = import_deals(account_id, deals)
            cycles = book_figures(account_id, touched)
            finish_intents(account_id, fence=self.gate.token, at=at)
        self._imported = {d.ticket for d in deals}
        return set(cycles), deals

    def _write_marks(self, book: Book, at: datetime) -> bool:
        marks = marks_of(book)
        if not marks_moved(self._marks, marks, self.profit_threshold):
            return False
        write_marks(self.gate, marks, at=at)
        self._marks = marks
        return True

    def _count(self, book: Book, known: tuple[KnownOrder, ...], findings: Findings, fixed: int, *, quiet: bool) -> None:
        s = self.statistics
        s.mt5_orders_count = len(book.positions) + len(book.orders)
        s.db_orders_count = len(known)
        s.suspicious_orders_count = len(findings.missing)
        s.total_syncs += 1
        s.fixed_orders += fixed
        s.quiet_passes += quiet
        log.debug("Order sync #%d: %d MT5 orders, %d DB orders", s.total_syncs, s.mt5_orders_count, s.db_orders_count)
        if fixed:
            log.info("Fixed %d suspicious orders", fixed)
