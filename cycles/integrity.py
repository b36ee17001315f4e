"""Checks of the relations between cycles, orders and the broker, each callable alone, and the repairs they allow (S0).

A check reads and says; a repair is one fenced transaction. What no source proves is told and left to a person.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Count

from core.numbers import CENT
from cycles import selectors, services
from cycles.domain import CycleFigures
from cycles.models import Cycle, CycleKind
from events.services import record
from orders.gate import Gate, fenced
from orders.models import Order

REOPEN_WINDOW = timedelta(hours=24)
NOTHING = CycleFigures(Decimal(0), Decimal(0), 0)
LIVE = ("open", "pending")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a check found. `repair`, when there is one, puts it right and says whether it changed anything."""

    check: str
    text: str
    cycle_id: int | None = None
    order_id: int | None = None
    repair: Callable[[datetime], bool] | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the checks of one account look at. `there` are the identifiers and tickets at the broker; None: not seen."""

    account_id: int
    there: AbstractSet[int] | None
    at: datetime


def orphaned_orders(scene: Scene) -> list[Problem]:
    """Find live orders that lost the cycle of their intent; they are given back to it."""

    def repair(order_id: int, cycle_id: int) -> Callable[[datetime], bool]:
        return lambda at: _give_back(scene.account_id, order_id, cycle_id, at)

    return [
        Problem(
            "orphaned", f"order {order_id} names no cycle, its intent names {cycle_id}", cycle_id, order_id,
            repair(order_id, cycle_id),
        )
        for order_id, cycle_id in selectors.orphaned_orders(scene.account_id)
    ]  # fmt: skip


def misplaced_orders(scene: Scene) -> list[Problem]:
    """Find live orders in the cycle of another decision, bot, account or symbol; the intent says where they belong."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT o.id, o.ticket, o.cycle_id, i.cycle_id
            FROM orders_order o JOIN cycles_cycle c ON c.id = o.cycle_id
            LEFT JOIN orders_orderintent i ON i.id = o.intent_id
            WHERE o.account_id = %s AND o.status IN ('open', 'pending')
              AND (i.cycle_id <> o.cycle_id OR c.bot_id IS DISTINCT FROM o.bot_id OR c.account_id <> o.account_id
                   OR lower(c.symbol) <> lower(o.symbol))
            ORDER BY o.id
            """,
            [scene.account_id],
        )
        rows = cursor.fetchall()

    def repair(order_id: int, cycle_id: int | None, wrong: int) -> Callable[[datetime], bool] | None:
        if cycle_id is None or cycle_id == wrong:
            return None
        return lambda at: _give_back(scene.account_id, order_id, cycle_id, at)

    return [
        Problem(
            "misplaced", f"#{ticket} is in cycle {wrong}" + (f", its intent names {right}" if right else ""), wrong,
            order_id, repair(order_id, right, wrong),
        )
        for order_id, ticket, wrong, right in rows
    ]  # fmt: skip


def _give_back(account_id: int, order_id: int, cycle_id: int, at: datetime) -> bool:
    cycle = Cycle.objects.get(pk=cycle_id)
    moved = Order.objects.filter(pk=order_id, status__in=LIVE).exclude(cycle_id=cycle_id)
    if not moved.update(cycle_id=cycle_id, bot_id=cycle.bot_id):
        return False
    record(
        kind="ORDER_ORPHAN_REPAIRED",
        level="warning",
        text="An order was given back to the cycle of its intent.",
        account_id=account_id,
        bot_id=cycle.bot_id,
        cycle_id=cycle_id,
        order_id=order_id,
        at=at,
    )
    return True


def missing_orders(scene: Scene) -> list[Problem]:
    """Find orders that cycles count and the broker does not show. Only deals end them: nothing is repaired here."""
    if scene.there is None:
        return []
    rows = Order.objects.filter(account_id=scene.account_id, status__in=LIVE, cycle__isnull=False).order_by("id")
    return [
        Problem("missing", f"#{ticket} of cycle {cycle_id} is not at the broker", cycle_id, pk)
        for pk, ticket, identifier, cycle_id in rows.values_list("id", "ticket", "identifier", "cycle_id")
        if identifier not in scene.there and ticket not in scene.there
    ]


def level_maps(scene: Scene) -> list[Problem]:
    """Compare each cycle's levels with its orders: a level held twice, and hedge levels that no order stands for.

    The map is made anew from the orders, which drops references to orders that do not exist (S0).
    """
    cycles = {c.pk: c for c in selectors.active_cycles(scene.account_id)}
    twice = (
        Order.objects.filter(cycle_id__in=cycles, status__in=LIVE)
        .values("cycle_id", "level", "side")
        .annotate(legs=Count("id"))
        .filter(legs__gt=1)
        .order_by("cycle_id", "level")
    )
    found = [
        Problem("levels", f"level {row['level']} of cycle {row['cycle_id']} has {row['legs']} orders", row["cycle_id"])
        for row in twice
    ]
    hedged = [c for c in cycles.values() if c.kind == CycleKind.HEDGE]
    levels = selectors.hedge_levels_of(c.pk for c in hedged)

    def repair(cycle: Cycle, right: list[dict[str, object]]) -> Callable[[datetime], bool]:
        return lambda at: bool(Cycle.objects.filter(pk=cycle.pk).update(hedge_levels=right))

    return found + [
        Problem(
            "levels", f"cycle {c.pk} records {len(c.hedge_levels)} hedge levels, its orders are {len(right)}", c.pk,
            repair=repair(c, right),
        )
        for c in hedged
        if c.hedge_levels != (right := levels.get(c.pk, []))
    ]  # fmt: skip


def wrongly_closed_cycles(scene: Scene) -> list[Problem]:
    """Find cycles closed in the last 24 hours of which the broker still holds an order; they are opened again."""
    found = []
    for cycle_id in selectors.wrongly_closed(scene.account_id, scene.at - REOPEN_WINDOW):
        rows = Order.objects.filter(cycle_id=cycle_id, status__in=LIVE).values_list("identifier", "ticket")
        if scene.there is not None and any(i in scene.there or t in scene.there for i, t in rows):
            found.append(_wrongly_closed(cycle_id))
    return found


def _wrongly_closed(cycle_id: int) -> Problem:
    why = "an order of it is open at the broker"
    return Problem(
        "closed", f"cycle {cycle_id} is closed, but {why}", cycle_id,
        repair=lambda at: services.reopen(cycle_id, why=why, at=at),
    )  # fmt: skip


def wrong_figures(scene: Scene) -> list[Problem]:
    """Find active cycles whose booked profit or volume is not that of their orders; they are computed anew."""
    cycles = selectors.active_cycles(scene.account_id)
    figures = selectors.figures_by_cycle(c.pk for c in cycles)
    wrong = [(c, right) for c in cycles if differ(c, right := figures.get(c.pk, NOTHING))]
    return [_misfigured("figures", cycle, right) for cycle, right in wrong]


def misbooked_cycles(scene: Scene) -> list[Problem]:
    """Find cycles closed in the last 24 hours to whose orders a late execution added money; they are computed anew."""
    found = selectors.misbooked(scene.account_id, scene.at - REOPEN_WINDOW)
    return [_misfigured("misbooked", cycle, right) for cycle, right in found]


def _misfigured(check: str, cycle: Cycle, right: CycleFigures) -> Problem:
    said = f"{cycle.realized_profit} and {cycle.total_volume:g} lots"

    def repair(at: datetime) -> bool:
        services.write_figures(cycle.account_id, [(cycle, right)])
        record(
            kind="CYCLE_RECALCULATE_PROFIT",
            text=f"{cycle}: {right.realized:+.2f} booked, {right.volume:g} lots, as its orders say",
            account_id=cycle.account_id,
            bot_id=cycle.bot_id,
            cycle_id=cycle.pk,
            at=at,
        )
        return True

    text = f"cycle {cycle.pk} says {said}, its orders {right.realized} and {right.volume:g}"
    return Problem(check, text, cycle.pk, repair=repair)


def differ(cycle: Cycle, found: CycleFigures) -> bool:
    """Tell whether a cycle's stored figures are a cent or any volume away from those of its orders."""
    return abs(cycle.realized_profit - found.realized) >= Decimal(str(CENT)) or cycle.total_volume != found.volume


CHECKS: Mapping[str, Callable[[Scene], list[Problem]]] = {
    "orphaned": orphaned_orders,
    "misplaced": misplaced_orders,
    "missing": missing_orders,
    "levels": level_maps,
    "closed": wrongly_closed_cycles,
    "misbooked": misbooked_cycles,
    "figures": wrong_figures,
}


# What no other pass repairs by itself: figures and levels are computed anew every second anyway
RELATIONS = ("orphaned", "misplaced", "closed", "misbooked")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks found, and how many of these problems were repaired."""

    problems: tuple[Problem, ...]
    fixed: int

    @property
    def left(self) -> int:
        """Problems that remain."""
        return len(self.problems) - self.fixed

    def as_json(self) -> dict[str, object]:
        """Return plain values: problems counted by check, and each in words."""
        counts = {name: sum(p.check == name for p in self.problems) for name in CHECKS}
        return {
            "found": {name: count for name, count in counts.items() if count},
            "fixed": self.fixed,
            "left": self.left,
            "problems": [p.text for p in self.problems],
        }


def examine(scene: Scene, *, gate: Gate, names: Sequence[str] = tuple(CHECKS), fix: bool) -> Verdict:
    """Run checks in order, each on what the repairs before it left; with `fix`, repair what can be. Raises KeyError."""
    problems: list[Problem] = []
    fixed = 0
    for name in names:
        for problem in CHECKS[name](scene):
            problems.append(problem)
            if fix and problem.repair is not None:
                with fenced(gate):
                    fixed += problem.repair(scene.at)
    return Verdict(tuple(problems), fixed)
