"""Reconciliation of one account: snapshots → compare (pure) → plan (pure) → write, every ten seconds (S3)."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from brokers.domain import Book
from brokers.gateway import Gateway, SymbolError
from core.clock import Clock
from orders.gate import Gate, fenced
from orders.manager import OrdersManager
from reconciliation import selectors
from reconciliation.domain import (
    Expected,
    Finding,
    Held,
    Plan,
    Severity,
    confirmed,
    plan,
    treatment_of,
)
from reconciliation.findings import balance_finding, ledger_findings, leftover_findings, pair_findings
from reconciliation.matching import match
from reconciliation.models import Ending
from reconciliation.policies import carry_out
from reconciliation.services import ledger
from risk.services import lift_cause, raise_block

log = logging.getLogger("trading.reconciliation")

BLOCK_CAUSE = "reconciliation"
DEFAULT_PIP = 0.0001


@dataclass(slots=True)
class ReconciliationStatistics:
    """What the passes of one account counted since they began; `last_` ones are of the newest pass."""

    passes: int = 0
    quiet_passes: int = 0
    errors: int = 0
    opened: int = 0
    updated: int = 0
    ended: int = 0
    automatic: int = 0
    last_positions: int = 0
    last_orders: int = 0
    last_matched: int = 0
    last_findings: int = 0
    last_writes: int = 0


@dataclass(frozen=True, slots=True)
class ReconciliationPass:
    """What one pass saw and wrote; `quiet` when it wrote nothing."""

    at: datetime
    positions: int
    orders: int
    matched: int
    findings: tuple[Finding, ...]
    opened: int
    updated: int
    ended: int
    automatic: int

    @property
    def quiet(self) -> bool:
        """Tell whether the ledger said all of it before."""
        return not (self.opened or self.updated or self.ended)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, the findings counted by kind."""
        kinds: dict[str, int] = {}
        for finding in self.findings:
            kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
        plain = {k: v for k, v in asdict(self).items() if k not in ("at", "findings")}
        return {"at": self.at.isoformat(), "quiet": self.quiet, "findings": kinds, **plain}


class Reconciler:
    """One account's books against its broker, after its Orders Manager. Not safe for threads: a session owns it."""

    def __init__(self, *, gateway: Gateway, gate: Gate, clock: Clock, orders_manager: OrdersManager) -> None:
        self.gateway = gateway
        self.gate = gate
        self.clock = clock
        self.orders_manager = orders_manager
        self.statistics = ReconciliationStatistics()
        self.checked_at: datetime | None = None
        self.last_error = ""
        self._pips: dict[str, float] = {}
        self._candidates: set[tuple[str, str]] = set()
        self._dealt = 0.0
        self._dealt_id = 0
        self._is_blocked: bool | None = None

    def run(self, *, dry_run: bool = False) -> ReconciliationPass:
        """Make one pass. `dry_run` only looks. Raises ReadError, LeaseLost; a failed read changes nothing (X-04)."""
        try:
            # The books first follow what is proved, so that only what needs a rule or a person is left.
            seen = self.orders_manager.run()
            found = self.compare(seen.book, at=self.clock.now(), dry_run=dry_run)
        except Exception as problem:
            self.statistics.errors += 1
            self.last_error = f"{type(problem).__name__}: {problem}"[:300]
            raise
        self.checked_at, self.last_error = found.at, ""
        return found

    def compare(self, book: Book, *, at: datetime, dry_run: bool = False) -> ReconciliationPass:
        """Compare the books with one snapshot of the broker and write what is new, changed or over."""
        account_id = self.gate.account_id
        expected = selectors.expected_orders(account_id)
        limits = selectors.limits_of(account_id)
        findings, matched = self._findings(book, expected, limits, at)
        findings += ledger_findings(account_id, at=at)
        findings += self._balance(book, limits, dry_run=dry_run)
        rows = selectors.held_divergences(account_id)
        held = [h for h, _ in rows]
        keys = {h.key for h in held}
        kept, self._candidates = confirmed(findings, before=self._candidates, held=keys)
        rules = selectors.treatments(account_id)
        made = plan(
            kept,
            held,
            accepted=selectors.accepted_marks(account_id, sorted({f.key for f in kept} - keys)),
            treat=lambda finding: treatment_of(finding, rules),
        )
        done: Collection[str] = ()
        if not dry_run:
            done = self._write(made, book, expected, at)
            self._block(made, [h for h, is_ignored in rows if not is_ignored], done, at)
        automatic = len(done)
        self._count(book, expected, matched, findings, made, automatic)
        return ReconciliationPass(
            at,
            len(book.positions),
            len(expected),
            matched,
            tuple(kept),
            len(made.opened),
            len(made.updated),
            len(made.ended),
            automatic,
        )

    def status(self) -> dict[str, Any]:
        """Return the statistics with the time of the last pass that came through, and the last error."""
        checked = self.checked_at.isoformat() if self.checked_at else None
        return {**asdict(self.statistics), "checked_at": checked, "last_error": self.last_error}

    def _findings(
        self, book: Book, expected: Sequence[Expected], limits: selectors.Limits, at: datetime
    ) -> tuple[list[Finding], int]:
        """Compare the identified pairs, and say what is left over on either side, with suggestions."""
        account_id = self.gate.account_id
        there = {p.identifier for p in book.positions}
        tickets = [e.ticket for e in expected if e.identifier not in there]
        found = match(expected, book.positions, positions_of_orders=selectors.positions_of_orders(account_id, tickets))
        findings = pair_findings(found, pip=self._pip, limits=limits.of)
        magics = selectors.magics_of(account_id) if found.positions else {}
        findings += leftover_findings(found, pip=self._pip, limits=limits.of(""), magics=magics)
        return findings, len(found.pairs)

    def _pip(self, symbol: str) -> float:
        if symbol not in self._pips:
            try:
                self._pips[symbol] = self.gateway.spec(symbol).pip
            except SymbolError:
                return DEFAULT_PIP
        return self._pips[symbol]

    def _balance(self, book: Book, limits: selectors.Limits, *, dry_run: bool) -> list[Finding]:
        """Compare the balance with the sum of all known deals."""
        account_id = self.gate.account_id
        more, self._dealt_id = selectors.ledger_sum(account_id, self._dealt_id)
        self._dealt += more
        offset = round(book.account.balance - self._dealt, 2)
        usual = selectors.balance_offset(account_id)
        if usual is None:
            if not dry_run:
                with fenced(self.gate):
                    ledger.keep_balance_offset(account_id, offset)
            return []
        return balance_finding(book.account.balance, offset, usual, threshold=limits.of("").money)

    def _write(self, made: Plan, book: Book, expected: Sequence[Expected], at: datetime) -> Collection[str]:
        """Write the plan in one transaction; return the keys of what a policy ended without asking."""
        account_id = self.gate.account_id
        overdue = selectors.ignored_too_long(account_id, at)
        if made.nothing and not overdue:
            return ()
        with fenced(self.gate):
            done: Mapping[str, tuple[Ending, str]] = {}
            if made.opened:
                done, why_not = carry_out(account_id, made.opened, at=at)
                snapshot = ledger.take_snapshot(account_id, book, expected, at=at)
                ledger.open_divergences(account_id, made.opened, done=done, why_not=why_not, snapshot=snapshot, at=at)
            if made.updated:
                ledger.update_divergences(made.updated, at=at)
            if made.ended:
                ledger.end_divergences(account_id, made.ended, at=at)
            if overdue:
                ledger.stop_ignoring(account_id, overdue, at=at)
            ledger.publish_count(account_id)
        return done.keys()

    def _block(self, made: Plan, waiting: Sequence[Held], done: Collection[str], at: datetime) -> None:
        """Forbid entries while a critical divergence waits for a person, and allow them again afterwards."""
        ended = {h.id for h in made.ended}
        updated = {h.id: f for h, f in made.updated}
        rules = [
            (updated[h.id].severity, updated[h.id].rule) if h.id in updated else (h.severity, h.rule)
            for h in waiting
            if h.id not in ended
        ]
        rules += [(f.severity, f.rule) for f, _ in made.opened if f.key not in done]
        critical = [rule for severity, rule in rules if severity >= Severity.CRITICAL]
        is_blocked = bool(critical)
        if is_blocked == self._is_blocked:
            return
        with fenced(self.gate):
            if is_blocked:
                reason = f"{len(critical)} critical divergence(s): {critical[0]}"
                raise_block(account_id=self.gate.account_id, cause=BLOCK_CAUSE, reason=reason, at=at, level="error")
            else:
                why = "no critical divergence is open"
                lift_cause(account_id=self.gate.account_id, cause=BLOCK_CAUSE, why=why, at=at)
        self._is_blocked = is_blocked

    def _count(
        self,
        book: Book,
        expected: Sequence[Expected],
        matched: int,
        findings: Sequence[Finding],
        made: Plan,
        automatic: int,
    ) -> None:
        s = self.statistics
        s.passes += 1
        s.quiet_passes += made.nothing
        s.opened += len(made.opened)
        s.updated += len(made.updated)
        s.ended += len(made.ended)
        s.automatic += automatic
        s.last_positions, s.last_orders, s.last_matched = len(book.positions), len(expected), matched
        s.last_findings = len(findings)
        s.last_writes = len(made.opened) + len(made.updated) + len(made.ended)
        log.debug("Reconciliation #%d: %d positions, %d orders", s.passes, len(book.positions), len(expected))
