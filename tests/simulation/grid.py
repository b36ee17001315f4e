"""A grid of twelve levels with two hedges, stepped down and up again, while the engine dies at every write point of it.

The price rests until the books are settled, so that a run with kills meets the same prices as one without, and the
whole tree (account → bot → cycle → level → ticket → deals) has to be the same to the cent.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from cycles.models import Cycle
from orders.models import Deal, IntentHistory, Order, OrderIntent
from risk.models import Block
from strategies.models import Bot
from tests.simulation import checkers
from tests.simulation.desk import Crash, Desk, quiet_log
from tests.simulation.run import MEMORY_FOLDER, reset
from tests.simulation.scenario import PIP, SPREAD, START_PRICE, Scenario

LEVELS, HEDGES = 12, 2
STEP_PIPS = 6.0
COMMON: dict[str, Any] = {"lot_size": 0.1, "distance": STEP_PIPS, "max_cycles": 1, "entry_cooldown": 0.0}
GRID: dict[str, Any] = {**COMMON, "direction": "buy", "max_levels": LEVELS, "target_profit": 200.0}
HEDGE: dict[str, Any] = {**COMMON, "direction": "sell", "max_levels": HEDGES, "target_profit": 1_000_000.0}
# Where the price goes, in pips from the start, and how many positions are open there: both first legs, the second
# hedge above, the grid's levels below, and the way back up to where the grid closes
STAGES = (
    (0.0, 2),
    (STEP_PIPS, 3),
    *((-STEP_PIPS * level - 0.1, level + HEDGES + 1) for level in range(1, LEVELS)),
    (-8.0, HEDGES),
)
LOOK_SECONDS, STAGE_SECONDS, QUIET_SECONDS = 2.0, 200.0, 20.0
Tree = tuple[Any, ...]
Hook = Callable[[int, str], None]


@dataclass(slots=True)
class Outcome:
    """What a run came to: the tree, the broker's orders of ours, and which points were passed at which stage."""

    tree: Tree
    orders: int
    violations: list[str]
    reached: Mapping[str, list[int]]
    killed: list[str] = field(default_factory=list)


def run(hook: Hook | None = None) -> Outcome:
    """Trade the grid on the current database, which is emptied first; `hook` hears of stage and point, and may kill."""
    reset()
    ticks = ((0.0, START_PRICE, round(START_PRICE + SPREAD, 5)),)
    scenario = Scenario(seed=1, seconds=0.0, ticks=ticks, bots=(GRID, HEDGE), happenings=(), balance=100_000.0)
    memory = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with quiet_log(), tempfile.TemporaryDirectory(dir=memory) as folder:
        desk = Desk(scenario, Path(folder))
        with desk.open():
            return _Walk(desk, hook).walk()


class _Walk:
    def __init__(self, desk: Desk, hook: Hook | None) -> None:
        self._desk = desk
        self._hook = hook
        self._stage = 0
        self._bid = START_PRICE
        self._reached: dict[str, list[int]] = defaultdict(list)
        self._hand = desk.by_hand()
        desk.on_point = self._point
        self._say()

    def walk(self) -> Outcome:
        for self._stage, (pips, positions) in enumerate(STAGES):
            if self._stage == len(STAGES) - 1:
                # Bots close as before, and begin nothing new when the grid is closed
                Bot.objects.update(desired_state="paused")
            self._bid = round(START_PRICE + pips * PIP, 5)
            self._rest_until(positions)
        self._desk.on_point = None
        self._desk.run_until(self._desk.clock.ticks() + QUIET_SECONDS)
        self._desk.settle()
        truth = self._desk.truth
        ours = [o for o in (*truth.history, *truth.orders) if o.comment.startswith(checkers.PREFIX)]
        violations = [*self._desk.violations, *checkers.broken(truth)]
        self._hand.shutdown()
        return Outcome(tree(), len(ours), violations, self._reached)

    def _say(self) -> None:
        """Repeat the price, as a market does."""
        self._hand.push_tick("EURUSD", self._bid, round(self._bid + SPREAD, 5))
        self._desk.after(1.0, self._say)

    def _rest_until(self, positions: int) -> None:
        """Let the account work until so many positions are open and nothing is under way. Raises AssertionError."""
        until = self._desk.clock.ticks() + STAGE_SECONDS
        while self._desk.clock.ticks() < until:
            self._desk.run_until(self._desk.clock.ticks() + LOOK_SECONDS)
            if self._desk.session is not None and _is_settled(positions):
                return
        found, session = Order.objects.filter(status="open").count(), self._desk.session
        why = session.statistics()["refusals"] if session is not None else "no session runs"
        steps = list(IntentHistory.objects.order_by("id").values_list("to_state", "why")[:9])
        failed = {j.name: j.last_error for j in session.loop.jobs.values() if j.errors} if session is not None else {}
        told = f"{why} {steps} {failed} {self._desk.history[-9:]}"
        raise AssertionError(f"stage {self._stage}: {found} positions, not {positions}: {told}")

    def _point(self, name: str) -> None:
        if self._stage not in self._reached[name]:
            self._reached[name].append(self._stage)
        if self._hook is not None:
            self._hook(self._stage, name)


def _is_settled(positions: int) -> bool:
    return (
        Order.objects.filter(status__in=("open", "pending")).count() == positions
        and not OrderIntent.objects.filter(state__in=("planned", "claimed", "sent", "unknown", "accepted")).exists()
        and not Cycle.objects.filter(status="closing").exists()
        and not Block.objects.filter(lifted_at__isnull=True).exists()
    )


def tree() -> Tree:
    """Return account → bot → cycle → level → ticket → deals, without numbers and times that a restart may change.

    An entry that was decided and never left is decided again: the cycle of the first decision stays, closed and empty.
    """
    return tuple((bot.name, tuple(_cycle(cycle) for cycle in _traded(bot))) for bot in Bot.objects.order_by("id"))


def _traded(bot: Bot) -> QuerySet[Cycle]:
    return Cycle.objects.filter(Exists(Order.objects.filter(cycle=OuterRef("pk"))), bot=bot).order_by("number")


def _cycle(cycle: Cycle) -> Tree:
    legs = Order.objects.filter(cycle=cycle).order_by("level", "id")
    return (cycle.side, cycle.status, cycle.realized_profit, tuple(_leg(order) for order in legs))


def _leg(order: Order) -> Tree:
    deals = Deal.objects.filter(account_id=order.account_id, position_id=order.identifier).order_by("at", "ticket")
    return (
        order.level, order.side, order.status, order.volume_initial, order.price_open, order.price_close, order.profit,
        tuple(deals.values_list("entry", "volume", "price", "profit", "commission")),
    )  # fmt: skip


class Killer:
    """Kills at each point once, at the stage that it is due at or the next one after."""

    def __init__(self, due: Mapping[str, int]) -> None:
        self.left = dict(due)
        self.killed: list[str] = []

    def __call__(self, stage: int, name: str) -> None:
        if stage >= self.left.get(name, len(STAGES)):
            del self.left[name]
            self.killed.append(f"{name} at stage {stage}")
            raise Crash(name)


def spread(reached: Mapping[str, list[int]], number: int) -> dict[str, int]:
    """Give every point a stage at which it is passed, another one in each round."""
    return {name: reached[name][(i + number) % len(reached[name])] for i, name in enumerate(sorted(reached))}
