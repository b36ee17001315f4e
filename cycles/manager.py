"""The Cycles Manager: profit, volume and completion of one account's cycles, every second (S0)."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core.clock import Clock
from cycles import integrity, selectors, services
from cycles.domain import CycleFigures, kind_of
from cycles.models import Cycle, CycleKind
from orders.gate import Gate, fenced
from orders.manager import OrdersManager
from orders.models import Order
from orders.selectors import intents_under_way

log = logging.getLogger("trading.cycles")


@dataclass(slots=True)
class CycleStatistics:
    """S0's counters of one manager since it started; money in account currency."""

    total_active_cycles: int = 0
    ct_cycles_count: int = 0
    ah_cycles_count: int = 0
    ct_total_profit: float = 0.0
    ah_total_profit: float = 0.0
    cycles_created: int = 0
    cycles_closed: int = 0
    fixed_cycles: int = 0
    total_syncs: int = 0
    total_errors: int = 0
    quiet_passes: int = 0


class CyclesManager:
    """One account's cycles, fed by its Orders Manager. Not safe for threads: a session owns it."""

    def __init__(self, *, gate: Gate, clock: Clock, orders_manager: OrdersManager) -> None:
        self.gate = gate
        self.clock = clock
        self.orders_manager = orders_manager
        self.statistics = CycleStatistics()
        self._known: set[int] | None = None

    def run(self) -> int:
        """Make one pass: write figures that changed, complete what has no leg left; return how many rows changed."""
        try:
            return self._pass()
        except Exception:
            self.statistics.total_errors += 1
            raise

    def get_cycle_statistics(self) -> dict[str, Any]:
        """Return S0's cycle statistics; `total_profit` is the sum over both kinds."""
        s = self.statistics
        return asdict(s) | {"total_profit": round(s.ct_total_profit + s.ah_total_profit, 2)}

    def _pass(self) -> int:
        at = self.clock.now()
        cycles = selectors.active_cycles(self.gate.account_id)
        figures = selectors.figures_by_cycle(c.pk for c in cycles)
        under_way = {i.cycle_id for i in intents_under_way(self.gate.account_id)}
        hedges = selectors.hedge_levels_of(c.pk for c in cycles if c.kind == CycleKind.HEDGE)
        changed = 0
        moved: list[tuple[Cycle, CycleFigures]] = []
        for cycle in cycles:
            found = figures.get(cycle.pk, integrity.NOTHING)
            if found.live_orders == 0 and cycle.pk not in under_way:
                changed += self._complete(cycle, found, at)
            elif integrity.differ(cycle, found) or (cycle.pk in hedges and cycle.hedge_levels != hedges[cycle.pk]):
                cycle.hedge_levels = hedges.get(cycle.pk, cycle.hedge_levels)
                moved.append((cycle, found))
        if moved:
            with fenced(self.gate):
                services.write_figures(self.gate.account_id, moved)
        changed += len(moved)
        self._count(cycles, changed)
        return changed

    def _complete(self, cycle: Cycle, found: CycleFigures, at: datetime) -> bool:
        ever = Order.objects.filter(cycle_id=cycle.pk).exists()
        reason = "every leg left" if ever else "the entry was refused"
        with fenced(self.gate):
            done = services.complete(cycle.pk, realized=found.realized, reason=reason, at=at)
        self.statistics.cycles_closed += done
        return done

    def _count(self, cycles: list[Cycle], changed: int) -> None:
        s = self.statistics
        s.total_syncs += 1
        s.quiet_passes += not changed
        s.total_active_cycles = len(cycles)
        hedges = [c for c in cycles if kind_of(c.kind, c.hedge_levels) == "HEDGE"]
        s.ah_cycles_count, s.ct_cycles_count = len(hedges), len(cycles) - len(hedges)
        floating = selectors.floating_by_cycle(self.gate.account_id)
        s.ah_total_profit = round(sum(floating.get(c.pk, 0.0) + float(c.realized_profit) for c in hedges), 2)
        s.ct_total_profit = round(
            sum(floating.get(c.pk, 0.0) + float(c.realized_profit) for c in cycles if c not in hedges), 2
        )
        ids = {c.pk for c in cycles}
        if self._known is not None:
            s.cycles_created += len(ids - self._known)
        self._known = ids | (self._known or set())
        log.debug("Cycle sync #%d: %d active cycles", s.total_syncs, len(cycles))

    def validate(self) -> int:
        """Repair relations and cycles closed by mistake; return how many (S0: every 30 s, and at start)."""
        return self.examine(integrity.RELATIONS, fix=True).fixed

    def examine(self, names: Sequence[str], *, fix: bool) -> integrity.Verdict:
        """Run some checks by name, against what the orders manager last saw at the broker. Raises KeyError."""
        seen = self.orders_manager.last
        book = seen.book if seen is not None else None
        there = None if book is None else {p.identifier for p in book.positions} | {o.ticket for o in book.orders}
        scene = integrity.Scene(self.gate.account_id, there, self.clock.now())
        verdict = integrity.examine(scene, gate=self.gate, names=names, fix=fix)
        for problem in verdict.problems:
            log.debug("Integrity (%s): %s", problem.check, problem.text)
        if verdict.fixed:
            log.info("Fixed %d incorrectly closed cycles", verdict.fixed)
            self.statistics.fixed_cycles += verdict.fixed
        return verdict
