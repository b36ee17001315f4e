"""A backtest comes to what the whole engine does: session, intents, gateway, simulated terminal, on a virtual clock.

One engine run trades many random markets at once, each a symbol of its own; each is replayed alone.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtesting.domain import Plan, Result
from backtesting.history import History
from backtesting.replay import Replay
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.scan import Ticks
from cycles.models import Cycle
from orders.models import Order
from risk.domain.settings import GuardSettings
from risk.models import GuardAlarm
from risk.services.configs import save_guards
from tests.world import ASK, BID, START, VALUES, Script, World

# The market moves every five seconds, which gives the engine time to settle; cooldowns end after it has moved, and so
# do the later ones, to which each look's delay adds up
STEP_SECONDS, STEPS = 5.0, 15
# A session looks this often
LOOK_SECONDS = 0.5
# Markets in all, and in one engine run; `make soak-backtest` asks for more of them
MARKETS, TOGETHER = int(os.environ.get("BACKTEST_SEEDS", "200")), 40
BALANCE = 1_000_000.0
# So many markets on one account are no danger to it
SHARED: dict[str, Any] = {
    "worst_case": False, "orders_per_minute": 10_000, "orders_per_day": 100_000, "max_orders": 10_000,
    "max_cycles": 10_000, "max_lots": 10_000.0, "error_failures": 1000,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "grid": {"direction": "both", "max_cycles": 3, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 20.5},
    "trailing": {
        "direction": "both", "max_cycles": 2, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 20.5,
        "trail_start": 0.5, "trail_lock": 0.6,
    },
    # Legs leave by the broker's take profit alone: a target at the same price would be reached by whoever looks first
    "resting": {
        "direction": "both", "max_cycles": 2, "distance": 4.0, "target_profit": 600.0, "entry_cooldown": 20.5,
        "pending": True, "take_profit": 7.0,
    },
    "stop": {
        "direction": "sell", "max_cycles": 2, "distance": 4.0, "target_profit": 6.0, "entry_cooldown": 20.5,
        "stop_loss_money": 9.0, "lot_mode": "add",
    },
}  # fmt: skip


def walk(seed: int, steps: int = STEPS, pips: float = 3.0) -> Script:
    """A random walk that stands for five seconds at each price, which is said each second."""
    noise = np.random.default_rng(seed)
    found, bid = [], BID
    for n, move in enumerate((0.0, *noise.normal(0, pips, steps))):
        bid = round(bid + float(move) * 1e-4, 5)
        found += [(n * STEP_SECONDS + after, bid, round(bid + ASK - BID, 5)) for after in range(int(STEP_SECONDS))]
    return found


def as_ticks(script: Script) -> Ticks:
    seconds, bid, ask = np.array(script).T
    return Ticks.of(START.timestamp() + seconds, bid, ask, 5)


def run(world: World, seconds: float) -> None:
    """Let the session work; it ends before a cooldown that began in a late step could."""
    until = world.clock.ticks() + seconds
    while world.clock.ticks() < until:
        world.clock.advance(max(world.session.step(), LOOK_SECONDS))


def of_engine(symbol: str) -> list[Any]:
    """Say cycle by cycle what the engine did on a symbol."""
    found = []
    for cycle in Cycle.objects.filter(symbol=symbol).order_by("number"):
        legs = [
            (
                o.level, o.side, float(o.volume_initial), float(o.price_open), o.status,
                float(o.price_close) if o.price_close is not None else 0.0,
                float(o.profit + o.swap + o.commission) if o.status == "closed" else 0.0,
            )
            for o in Order.objects.filter(cycle=cycle).order_by("opened_at", "id")
            if o.status != "cancelled"
        ]  # fmt: skip
        found.append((cycle.side, cycle.status, sorted(legs)))
    return found


def of_backtest(result: Result) -> list[Any]:
    """Say the same of a backtest."""
    return [
        (
            c.side, c.status,
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


def replayed(setup: SymbolSetup, script: Script, values: dict[str, Any], **plan: Any) -> Result:
    account = AccountSpec(1001, "pw", "Sim", balance=plan.pop("balance", BALANCE))
    asked = Plan("cycle-trader", {**VALUES, **values}, account, (setup,), **plan)
    return Replay(asked, History.of({setup.name: as_ticks(script)})).run()


@pytest.fixture
def world_of(transactional_db: None, tmp_path: Path, settings: Any) -> Callable[..., World]:
    settings.VAR_DIR, settings.TICKS_DAYS = tmp_path, 0

    def make(markets: dict[SymbolSetup, Script], limits: dict[str, Any], balance: float = BALANCE) -> World:
        world = World(tmp_path, balance=balance, markets=markets)
        save_guards(account=world.account, values=limits, at=world.clock.now(), by=world.ada)
        return world

    return make


@pytest.mark.parametrize("first", range(0, MARKETS, TOGETHER))
def test_a_backtest_comes_to_the_cycles_legs_and_prices_of_the_engine(
    world_of: Callable[..., World], first: int
) -> None:
    seeds = range(first, min(first + TOGETHER, MARKETS))
    setups = {seed: SymbolSetup(f"M{seed:04d}") for seed in seeds}
    world = world_of({setups[seed]: walk(seed) for seed in seeds}, SHARED)
    names = list(KINDS)
    for n, name in enumerate(names):
        symbols = [setups[seed].name for seed in seeds if seed % len(names) == n]
        if symbols:
            world.bot(name, symbols=symbols, **KINDS[name])
    run(world, STEP_SECONDS * (STEPS + 1))
    limits, legs, gained = GuardSettings.model_validate(SHARED), 0, 0.0
    for seed in seeds:
        found = replayed(setups[seed], walk(seed), KINDS[names[seed % len(names)]], limits=limits)
        assert of_backtest(found) == of_engine(setups[seed].name), f"market {seed}"
        assert found.legs, f"market {seed} trades nothing"
        legs, gained = legs + len(found.legs), gained + found.balance - BALANCE
    assert legs >= 4 * len(seeds)
    assert gained == pytest.approx(world.truth.balance - BALANCE, abs=0.005 * len(seeds))


# One lot loses ten a pip; what is not named is off, and the countdown ends between two moves
GUARDED: dict[str, Any] = {
    **{f"{g}_{t}": None for g in ("drawdown", "daily", "margin") for t in ("warn", "reduce", "close")},
    "worst_case": False, "countdown_seconds": 12, "orders_per_minute": 1000, "peak_readings": 1,
}  # fmt: skip
CLOSING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "drawdown": ({"drawdown_reduce": 1.5, "drawdown_close": 3.0}, {"distance": 6.0, "lot_size": 0.5}),
    "daily_loss": (
        {"daily_close": 2.0, "countdown_seconds": 7}, {"distance": 6.0, "lot_size": 0.5, "direction": "sell"},
    ),
    "loss": ({"cycle_close": 1.0}, {"distance": 5000.0, "lot_size": 1.0, "max_cycles": 1, "entry_cooldown": 20.5}),
}  # fmt: skip


@pytest.mark.parametrize("guard", CLOSING)
def test_a_guard_closes_in_a_backtest_what_it_closes_in_the_engine(world_of: Callable[..., World], guard: str) -> None:
    limits, values = CLOSING[guard]
    values = {"direction": "both", "max_cycles": 3, "target_profit": 1e6, "entry_cooldown": 20.5, **values}
    setup, script = SymbolSetup("M0001"), walk(4, pips=9.0)
    world = world_of({setup: script}, {**GUARDED, **limits}, 10_000.0)
    world.bot("Grid", symbols=[setup.name], **values)
    run(world, STEP_SECONDS * (STEPS + 1))
    asked = GuardSettings.model_validate({**GUARDED, **limits})
    found = replayed(setup, script, values, limits=asked, balance=10_000.0)
    assert of_backtest(found) == of_engine(setup.name)
    assert f"guard {guard}" in {c.reason for c in found.cycles}
    closed = list(GuardAlarm.objects.filter(guard=guard, tier=3).values_list("level", flat=True).order_by("id"))
    assert [s.level for s in found.guards if (s.guard, s.phase) == (guard, "closing")] == closed
    assert found.balance == pytest.approx(world.truth.balance, abs=0.005)
