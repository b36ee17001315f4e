"""A backtest comes to what the whole engine does: session, intents, gateway, simulated terminal, on a virtual clock."""

import os
from typing import Any

import numpy as np
import pytest

from backtesting.domain import Plan, Result
from backtesting.history import History
from backtesting.replay import Replay
from brokers.simulator.account import AccountSpec, demo_symbols
from brokers.simulator.scan import Ticks
from cycles.models import Cycle
from orders.models import Order
from tests.world import ASK, BID, START, VALUES, World

# The market moves every five seconds, which gives the engine time to settle; cooldowns do not end when it moves
STEP_SECONDS = 5.0
STEPS = 16
# Markets of each kind; a rehearsal of one takes the engine seconds, so `make soak-backtest` asks for more of them
SEEDS = int(os.environ.get("BACKTEST_SEEDS", "2"))
KINDS: dict[str, dict[str, Any]] = {
    "grid": {"direction": "both", "max_cycles": 3, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 22.0},
    "trailing": {
        "direction": "both", "max_cycles": 2, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 22.0,
        "trail_start": 0.5, "trail_lock": 0.6,
    },
    "resting": {
        "direction": "both", "max_cycles": 2, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 22.0,
        "pending": True, "take_profit": 7.0,
    },
    "stop": {
        "direction": "sell", "max_cycles": 2, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 22.0,
        "stop_loss_money": 9.0, "lot_mode": "add",
    },
}  # fmt: skip


def live(world: World, seed: int) -> Ticks:
    """Run the engine over a random walk; return the ticks that it saw."""
    noise = np.random.default_rng(seed)
    world.run(STEP_SECONDS)
    for step in noise.normal(0, 3.0, STEPS):
        world.price(world.bid + round(float(step) * 1e-4, 5), run=STEP_SECONDS)
    pushed = world.terminal._exchange.state.meta["pushed"]  # type: ignore[union-attr]
    table = np.array([(START.timestamp(), BID, ASK), *(row[1:] for row in pushed)], dtype=float)
    return Ticks.of(table[:, 0], table[:, 1], table[:, 2], 5)


def of_engine() -> list[Any]:
    """Say cycle by cycle what the engine did."""
    found = []
    for cycle in Cycle.objects.order_by("number"):
        legs = [
            (
                o.level, o.side, float(o.volume_initial), float(o.price_open), o.status,
                float(o.price_close) if o.price_close is not None else 0.0,
                float(o.profit + o.swap + o.commission) if o.status == "closed" else 0.0,
            )
            for o in Order.objects.filter(cycle=cycle).order_by("opened_at", "id")
            if o.status != "cancelled"
        ]  # fmt: skip
        found.append((cycle.number, cycle.side, cycle.status, sorted(legs)))
    return found


def of_backtest(result: Result) -> list[Any]:
    """Say the same of a backtest."""
    return [
        (
            c.number, c.side, c.status,
            sorted(
                (
                    g.level, g.side, g.volume, g.price_open, g.state, round(g.price_close, 8),
                    g.net if g.state == "closed" else 0.0,
                )
                for g in c.legs
                if g.state != "cancelled"
            ),
        )
        for c in result.cycles
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_backtest_comes_to_the_cycles_legs_and_prices_of_the_engine(world: World, kind: str, seed: int) -> None:
    world.bot(**KINDS[kind])
    ticks = live(world, seed * 10 + len(kind))
    plan = Plan("cycle-trader", {**VALUES, **KINDS[kind]}, AccountSpec(1001, "pw", "Sim"), tuple(demo_symbols()))
    found = Replay(plan, History.of({"EURUSD": ticks})).run()
    assert len(found.legs) >= 3
    assert of_backtest(found) == of_engine()
    assert found.balance == pytest.approx(world.truth.balance, abs=0.005)
