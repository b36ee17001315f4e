"""A start with open business: what happened while nobody traded is told, and the account's policy takes hold."""

from typing import Any

import pytest

from accounts.models import TradingAccount
from events.models import Event
from orders.models import OrderIntent
from risk.models import Block
from risk.services import lift_block
from tests.world import World

GRID: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 0.0, "target_profit": 1000.0, "take_profit": 30.0}


@pytest.fixture
def grid(world: World) -> World:
    """A world with a cycle of two legs."""
    world.bot(**GRID)
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    return world


def restart(world: World, policy: str) -> None:
    TradingAccount.objects.update(restart_policy=policy)
    world.crash()
    hand = world.by_hand()
    hand.push_tick("EURUSD", world.bid, world.bid + 0.0001)
    newest = max(p.ticket for p in hand.positions_get() or ())
    assert hand.Close("EURUSD", ticket=newest)
    hand.shutdown()
    world.start()


def standing(world: World) -> list[str]:
    blocks = Block.objects.filter(account=world.account, cause__startswith="restart", lifted_at__isnull=True)
    return list(blocks.values_list("cause", flat=True))


def approve(world: World) -> None:
    block = Block.objects.get(account=world.account, cause__startswith="restart", lifted_at__isnull=True)
    assert lift_block(block_id=block.pk, why="looked at it", by_id=world.ada.pk, at=world.clock.now())


def test_the_report_says_what_closed_which_level_is_missing_and_what_it_costs(grid: World) -> None:
    restart(grid, "resume")
    report = Event.objects.get(kind="RESTART_REPORT")
    assert "1 closed" in report.text
    assert "1 grid levels are missing, opening them again costs 1.70" in report.text
    (gap,) = report.data["missing"]
    assert (gap["level"], gap["lots"], gap["cost"]) == (1, 0.1, 1.7)
    assert standing(grid) == []
    grid.run(3)
    assert len(grid.truth.positions) == 2, "resumed, the bot adds the level that is missing"


def test_a_quiet_start_reports_nothing(grid: World) -> None:
    grid.restart()
    assert not Event.objects.filter(kind="RESTART_REPORT").exists()
    assert standing(grid) == []


def test_frozen_bots_do_nothing_until_somebody_approves(grid: World) -> None:
    restart(grid, "adopt_and_freeze")
    assert standing(grid) == ["restart frozen"]
    sent = OrderIntent.objects.count()
    grid.move(-30)
    grid.run(5)
    assert OrderIntent.objects.count() == sent
    approve(grid)
    grid.run(5)
    assert OrderIntent.objects.count() > sent


def test_tp_only_lets_bots_close_and_open_nothing(grid: World) -> None:
    restart(grid, "tp_only")
    assert standing(grid) == ["restart tp-only"]
    grid.move(-30)
    assert len(grid.truth.positions) == 1
    grid.move(+80, run=5)
    grid.run(30)
    assert len(grid.truth.positions) == 0
    approve(grid)
    grid.run(5)
    assert len(grid.truth.positions) == 1


def test_flatten_closes_everything_and_stays_flat_until_somebody_approves(grid: World) -> None:
    restart(grid, "flatten")
    grid.run(30)
    assert grid.truth.positions == ()
    assert standing(grid) == ["restart flatten"]
    grid.assert_equal()
    approve(grid)
    grid.run(5)
    assert len(grid.truth.positions) == 1


@pytest.mark.parametrize("policy", ["adopt_and_freeze", "tp_only", "flatten"])
def test_an_account_without_open_business_just_starts(world: World, policy: str) -> None:
    TradingAccount.objects.update(restart_policy=policy)
    world.bot(**GRID)
    world.start()
    assert standing(world) == []
