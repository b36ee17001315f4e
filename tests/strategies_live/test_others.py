"""Scalping, TrendFollowing and SignalTrader with its position managers on a whole account, on scripted markets."""

from pathlib import Path
from typing import Any

import pytest

from cycles.models import Cycle
from orders.models import OrderIntent
from strategies.models import SignalSettings
from strategies.pseudo.ranking import ranking_of
from tests.strategies_live.test_signals import EAGER
from tests.world import BID, World

RISE = 0.00005


@pytest.fixture
def trained(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    """Give a world whose last half hour went up and down every minute: sets of every side have traded."""
    settings.VAR_DIR = tmp_path
    past = [(float(s), BID + abs(s % 60 - 30) * RISE) for s in range(1, 1800)]
    world = World(tmp_path, past=past)
    SignalSettings.objects.create(account=world.account, **{**EAGER, "validation_seconds": 1.0})
    return world


def rise_until_open(world: World, seconds: int = 40) -> Cycle:
    """Let the price rise half a pip a second until a cycle is open."""
    world.run(3)
    for _ in range(seconds):
        if world.open_orders():
            break
        world.move(+0.5, run=0.99)
    (cycle,) = world.cycles("open")
    return cycle


def closed(world: World, cycle: Cycle) -> Cycle:
    cycle.refresh_from_db()
    assert cycle.status == "closed"
    world.assert_equal()
    return cycle


@pytest.mark.requirement("S1-71")
def test_scalping_takes_its_pips_at_the_broker(trained: World) -> None:
    trained.bot("Scalp", "scalping", take_profit=3.0, stop_loss=5.0, max_spread=2.0)
    cycle = rise_until_open(trained)
    (order,) = trained.open_orders()
    sign = 1 if cycle.side == "buy" else -1
    assert float(order.tp - order.price_open) * sign == pytest.approx(0.0003, abs=2e-5)
    assert (trained.truth.positions[0].tp, trained.truth.positions[0].sl) == (float(order.tp), float(order.sl))
    trained.move(sign * 5)
    assert closed(trained, cycle).realized_profit > 0


@pytest.mark.requirement("S1-71")
def test_trend_following_lets_its_stop_follow(trained: World) -> None:
    trained.bot("Trend", "trend-following", stop_atr=1.0, leave_on_turn=False)
    cycle = rise_until_open(trained)
    first = trained.truth.positions[0].sl
    trained.move(+20)
    moved = trained.truth.positions[0].sl
    assert moved > first > 0
    assert trained.open_orders()[0].sl == pytest.approx(type(trained.open_orders()[0].sl)(str(moved)))
    trained.restart()
    trained.run(2)
    assert trained.truth.positions[0].sl == moved
    trained.move(-60)
    assert closed(trained, cycle).close_reason == "every leg left"


def signal_bot(world: World, manager: str, **values: Any) -> None:
    world.bot(
        "Signals", "signal-trader", manager=manager, sizing="fixed", lot_size=0.1, max_cycles=1, min_trades=1,
        min_profit_factor=0.0, entry_cooldown=3600.0, **values,
    )  # fmt: skip


@pytest.mark.requirement("S4-12", "S4-13", "S4-16", "S4-50")
def test_a_set_is_traded_and_its_stop_trails(trained: World) -> None:
    signal_bot(trained, "trailing", trail_start=10.0, trail_distance=8.0, trail_step=2.0)
    cycle = rise_until_open(trained)
    assert cycle.memory["set"].split()[1] == cycle.side
    (book,) = trained.account.pseudo_books.all()
    trained.session.signals.store_all()
    book.refresh_from_db()
    traded = [row for row in ranking_of(book, 0.0001).rows if row.verdict.code == "traded"]
    assert [(str(row.result.key), row.verdict.text) for row in traded] == [
        (cycle.memory["set"], "traded by Signals #1")
    ]
    sign = 1 if cycle.side == "buy" else -1
    entry = float(trained.open_orders()[0].price_open)
    trained.move(sign * 20)
    stop = trained.truth.positions[0].sl
    assert (stop - entry) * sign >= 0.0002
    trained.move(-sign * 4)
    assert trained.truth.positions[0].sl == stop
    assert OrderIntent.objects.filter(kind="stops").exclude(state="filled").count() == 0
    trained.move(-sign * 7)
    assert closed(trained, cycle).realized_profit > 0


@pytest.mark.requirement("S4-14")
def test_blocks_are_added_with_the_trend(trained: World) -> None:
    signal_bot(trained, "block", block_distance=10.0, max_blocks=2)
    cycle = rise_until_open(trained)
    sign = 1 if cycle.side == "buy" else -1
    trained.move(sign * 12, run=4)
    first, second = trained.open_orders()
    common = (float(first.price_open) + float(second.price_open)) / 2
    trained.move(sign * 5, run=4)
    assert [p.sl for p in trained.truth.positions] == pytest.approx([common, common], abs=1.1e-5)
    trained.move(-sign * 25, run=4)
    closed(trained, cycle)


@pytest.mark.requirement("S4-15")
def test_legs_average_against_the_trend(trained: World) -> None:
    signal_bot(trained, "dca", dca_distance=10.0, dca_factor=2.0, max_dca=1, dca_take_profit=5.0, stop_loss_money=500.0)
    cycle = rise_until_open(trained)
    sign = 1 if cycle.side == "buy" else -1
    trained.move(-sign * 13, run=4)
    first, second = trained.open_orders()
    assert float(second.volume) == pytest.approx(2 * float(first.volume))
    average = (float(first.price_open) + 2 * float(second.price_open)) / 3
    assert [p.tp for p in trained.truth.positions] == pytest.approx([average + sign * 0.0005] * 2, abs=1.1e-5)
    trained.move(sign * 14, run=4)
    assert closed(trained, cycle).realized_profit > 0
