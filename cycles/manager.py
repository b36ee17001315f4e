"""The Cycles Manager: profit, volume and completion of one account's cycles, every second (S0)."""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.clock import Clock
from core.numbers import CENT
from cycles import selectors, services
from cycles.domain import CycleFigures, kind_of
from cycles.models import Cycle, CycleKind
from events.services import record
from orders.gate import Gate, fenced
from orders.manager import OrdersManager
from orders.models import Order
from orders.selectors import intents_under_way, marks_of

log = logging.getLogger("trading.cycles")

REOPEN_WINDOW = timedelta(hours=24)


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


NOTHING = CycleFigures(Decimal(0), Decimal(0), 0)


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
            found = figures.get(cycle.pk, NOTHING)
            if found.live_orders == 0 and cycle.pk not in under_way:
                changed += self._complete(cycle, found, at)
            elif _differs(cycle, found) or (cycle.pk in hedges and cycle.hedge_levels != hedges[cycle.pk]):
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
        floating = self._floating()
        s.ah_total_profit = round(sum(floating.get(c.pk, 0.0) + float(c.realized_profit) for c in hedges), 2)
        s.ct_total_profit = round(
            sum(floating.get(c.pk, 0.0) + float(c.realized_profit) for c in cycles if c not in hedges), 2
        )
        ids = {c.pk for c in cycles}
        if self._known is not None:
            s.cycles_created += len(ids - self._known)
        self._known = ids | (self._known or set())
        log.debug("Cycle sync #%d: %d active cycles", s.total_syncs, len(cycles))

    def _floating(self) -> dict[int, float]:
        marks = marks_of(self.gate.account_id)
        if marks is None:
            return {}
        value = {i: p + s for i, p, s in zip(marks.identifiers, marks.profits, marks.swaps, strict=True)}
        found: dict[int, float] = {}
        rows = Order.objects.filter(account_id=self.gate.account_id, status="open", cycle__isnull=False)
        for cycle_id, identifier in rows.values_list("cycle_id", "identifier"):
            found[cycle_id] = found.get(cycle_id, 0.0) + value.get(identifier, 0.0)
        return found

    def validate(self) -> int:
        """Repair relations: give orphaned orders back to their cycle, reopen cycles closed while an order is open.

        A closed cycle to which a late execution added money gets its figures anew.

        The orders manager has compared the books with the broker in the same session, so an open order is open there.
        """
        at = self.clock.now()
        account_id = self.gate.account_id
        fixed = 0
        for order_id, cycle_id in selectors.orphaned_orders(account_id):
            with fenced(self.gate):
                fixed += Order.objects.filter(pk=order_id, cycle__isnull=True).update(cycle_id=cycle_id)
                record(
                    kind="ORDER_ORPHAN_REPAIRED",
                    level="warning",
                    text="An order was given back to the cycle of its intent.",
                    account_id=account_id,
                    cycle_id=cycle_id,
                    order_id=order_id,
                    at=at,
                )
        seen = self.orders_manager.last
        open_there = {p.identifier for p in seen.book.positions} if seen is not None else set()
        for cycle_id in selectors.wrongly_closed(account_id, at - REOPEN_WINDOW):
            identifiers = set(
                Order.objects.filter(cycle_id=cycle_id, status="open").values_list("identifier", flat=True)
            )
            if identifiers & open_there:
                with fenced(self.gate):
                    fixed += services.reopen(cycle_id, why="an order of it is open at the broker", at=at)
        misbooked = selectors.misbooked(account_id, at - REOPEN_WINDOW)
        if misbooked:
            with fenced(self.gate, "cycles.misbooked"):
                services.write_figures(account_id, misbooked)
        fixed += len(misbooked)
        if fixed:
            log.info("Fixed %d incorrectly closed cycles", fixed)
            self.statistics.fixed_cycles += fixed
        return fixed


def _differs(cycle: Cycle, found: CycleFigures) -> bool:
    cent = Decimal(str(CENT))
    return abs(cycle.realized_profit - found.realized) >= cent or cycle.total_volume != found.volume
