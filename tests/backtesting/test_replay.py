"""Checks against lying: jumping equals asking at every tick, no look-ahead, costs are the broker's."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from backtesting.domain import BacktestError
from backtesting.history import History
from backtesting.replay import Replay
from brokers.simulator.account import NETTING, SymbolSetup
from brokers.simulator.scan import Ticks
from risk.domain import Approved, Ask, Standing, Vetoed, review
from risk.domain.settings import GuardSettings
from strategies.domain import EVERY_TICK, Decision, OpenCycle, View
from strategies.registry import get
from tests.backtesting.markets import GRID, START, history, plan, traded, walk

PLANS: dict[str, dict[str, Any]] = {
    "grid": {"strategy": "cycle-trader", **GRID},
    "trailing": {"strategy": "cycle-trader", **GRID, "trail_start": 0.5, "trail_lock": 0.6, "direction": "buy"},
    "resting": {"strategy": "cycle-trader", **GRID, "pending": True, "take_profit": 9.0, "lot_mode": "multiply"},
    "signal": {"strategy": "cycle-trader", **GRID, "direction": "signal", "stop_loss_money": 15.0, "max_spread": 1.2},
    "atr": {"strategy": "cycle-trader", **GRID, "distance_mode": "atr", "atr_multiple": 2.0},
    "hedging": {"strategy": "adaptive-hedging"},
    "scalping": {"strategy": "scalping"},
    "trend": {"strategy": "trend-following"},
}  # fmt: skip


# Two hundred markets for each of the two properties below, the same ones in each run: a part for each strategy
SEEDS = 25


def seeds_of(name: str) -> range:
    first = sorted(PLANS).index(name) * SEEDS
    return range(first, first + SEEDS)


def assert_jumping_is_asking_at_every_tick(name: str, seed: int, balance: float) -> None:
    prices, asked_for = history(seed, 250), plan(balance=balance, **PLANS[name])
    jumping, every = (Replay(asked_for, prices, every_tick=every).run() for every in (False, True))
    assert traded(jumping) == traded(every)
    assert (jumping.balance, jumping.equity) == (every.balance, every.equity)
    assert jumping.drawdown == pytest.approx(every.drawdown, abs=0.02)
    assert jumping.margin_level == pytest.approx(every.margin_level)
    assert jumping.looked <= every.looked


@pytest.mark.parametrize("name", PLANS)
def test_jumping_comes_to_the_same_as_asking_at_every_tick(name: str) -> None:
    for seed in seeds_of(name):
        # Every fifth account is so small that it is stopped out
        assert_jumping_is_asking_at_every_tick(name, seed, 150.0 if seed % 5 == 0 else 10_000.0)


def test_jumping_waits_for_a_hedge_that_is_too_small_until_the_price_has_moved_on() -> None:
    assert_jumping_is_asking_at_every_tick("hedging", 79261, 10_000.0)


def test_these_markets_hold_targets_levels_stops_and_stop_outs() -> None:
    reasons: set[str] = set()
    levels = 0
    for values in PLANS.values():
        prices = history(5, 600)
        found = Replay(plan(**values), prices).run()
        reasons |= {c.reason for c in found.cycles}
        levels = max(levels, *(len(c.legs) for c in found.cycles), 0)
    assert {"target", "trail"} <= reasons
    assert levels > 3


def test_jumping_is_stopped_out_where_looking_at_every_tick_is() -> None:
    # Guards would close before the broker does
    unguarded = GuardSettings(drawdown_close=None, drawdown_reduce=None, daily_reduce=None, margin_reduce=None)
    values = PLANS["grid"] | {"lot_size": 0.05, "target_profit": 500.0, "direction": "sell"}
    asked_for = plan(balance=100.0, limits=unguarded, **values)
    jumping, every = (Replay(asked_for, history(5, 600, pips=8.0), every_tick=e).run() for e in (False, True))
    assert jumping.stop_outs == every.stop_outs > 0
    assert traded(jumping) == traded(every)


@pytest.mark.parametrize("name", PLANS)
def test_truncating_the_future_changes_nothing_before_it(name: str) -> None:
    for seed in seeds_of(name):
        assert_the_future_is_unknown(name, seed, cut=20 + seed * 181 % 260)


def assert_the_future_is_unknown(name: str, seed: int, cut: int) -> None:
    ticks = walk(seed, 300)
    end = float(ticks.at[cut])
    whole = Replay(plan(**PLANS[name]), History.of({"EURUSD": ticks})).run()
    part = Replay(plan(**PLANS[name]), History.of({"EURUSD": ticks}, end=end)).run()
    assert [(c.number, c.side, c.opened_at) for c in whole.cycles if c.opened_at < end] == [
        (c.number, c.side, c.opened_at) for c in part.cycles
    ]
    legs = [(g.opened_at, g.price_open, g.volume) for g in whole.legs if g.opened_at < end]
    assert legs == [(g.opened_at, g.price_open, g.volume) for g in part.legs]
    closed = [(g.closed_at, g.price_close, g.net) for g in whole.legs if g.state == "closed" and g.closed_at < end]
    assert closed == [(g.closed_at, g.price_close, g.net) for g in part.legs if g.state == "closed"]


def test_a_rerun_is_identical() -> None:
    prices = history(8)
    first, second = (Replay(plan(**PLANS["grid"]), prices).run() for _ in range(2))
    assert traded(first) == traded(second)
    assert prices.digest() == history(8).digest() != history(9).digest()


def test_balance_is_what_the_closed_legs_came_to() -> None:
    found = Replay(plan(**PLANS["grid"]), history(11, 800)).run()
    assert len([c for c in found.cycles if c.status == "closed"]) > 2
    legs = [g for g in found.legs if g.state == "closed"]
    paid = sum(g.commission for g in found.legs if g.state == "open")
    assert found.balance == pytest.approx(10_000.0 + sum(g.net for g in legs) + paid, abs=0.005)
    for leg in legs:
        side = 1 if leg.side == "buy" else -1
        assert leg.profit == pytest.approx((leg.price_close - leg.price_open) * side * leg.volume * 100_000, abs=0.006)
        assert leg.commission == pytest.approx(-2 * 3.5 * leg.volume, abs=0.011)


def test_swap_is_charged_at_the_brokers_midnight() -> None:
    # The server's midnight is at 22:00 UTC
    begin = datetime(2026, 3, 3, 21, 0, tzinfo=UTC).timestamp()
    at = begin + np.arange(0, 7200, 10.0)
    flat = Ticks.of(at, np.full(len(at), 1.1), np.full(len(at), 1.1001), 5)
    found = Replay(plan(**GRID | {"direction": "buy", "max_cycles": 1}), History.of({"EURUSD": flat})).run()
    (leg,) = found.legs
    # Six points a night on 0.1 lots
    assert found.equity == pytest.approx(10_000.0 - 1.0 - 0.35 - 0.6, abs=0.01)
    assert leg.state == "open"


def test_the_review_can_be_replaced() -> None:
    seen: list[Ask] = []

    def never(ask: Ask, standing: Standing) -> Approved | Vetoed:
        seen.append(ask)
        return Vetoed("guard", "no entries today") if ask.raises_exposure else review(ask, standing)

    found = Replay(plan(**PLANS["grid"]), history(8), review=never).run()
    assert not found.cycles
    assert found.refused["guard"] == len(seen) > 10


def test_a_strategy_that_cannot_name_its_watches_is_asked_at_every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(view: View, params: Any) -> Decision:
        watched = EVERY_TICK
        return Decision((), watched)

    replay = Replay(plan(**PLANS["grid"]), history(8))
    replay.asker.strategy = replace(get("cycle-trader"), decide=decide)
    found = replay.run()
    assert found.looked == len(np.unique(replay.history.stream.at))
    assert not found.cycles


def test_more_than_the_broker_takes_is_refused_and_tried_again_later() -> None:
    def decide(view: View, params: Any) -> Decision:
        from brokers.domain import Side

        return Decision((OpenCycle(Side.BUY, 0.015, "too fine"),)) if not view.cycles else Decision()

    replay = Replay(plan(**PLANS["grid"]), history(8, 100))
    replay.asker.strategy = replace(get("cycle-trader"), decide=decide)
    found = replay.run()
    assert found.balance == 10_000.0
    assert found.refused["invalid_volume"] > 3
    assert all(c.reason == "the entry was refused" for c in found.cycles)


def test_what_cannot_be_replayed_is_refused() -> None:
    asked = plan(**PLANS["grid"])
    with pytest.raises(BacktestError, match="hedging"):
        Replay(replace(asked, account=replace(asked.account, margin_mode=NETTING)), history(1))
    with pytest.raises(BacktestError, match="GBPUSD"):
        Replay(replace(asked, setups=(SymbolSetup("GBPUSD"),)), history(1))
    with pytest.raises(BacktestError, match="no prices"):
        History.of({"EURUSD": walk(1, 10)}, begin=START.timestamp() + 1e9)
