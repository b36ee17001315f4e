"""A start with open business: what happened while nobody traded is told, and the account's policy takes hold."""

from typing import Any

import pytest

from accounts.models import TradingAccount
from events.models import Event
from orders.models import OrderIntent
from risk.models import Block
from risk.services import lift_block
from strategies.models import Bot
from strategies.services import change_bot, set_bot_state
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


def test_a_bot_has_a_policy_of_its_own_and_others_follow_the_account(world: World) -> None:
    bots = [world.bot(name, **GRID) for name in ("Grid", "Flat", "Idle")]
    grid, flat, idle = bots
    set_policy(world, grid, "tp_only")
    set_policy(world, flat, "flatten")
    set_bot_state(bot=idle, state="paused", at=world.clock.now(), by=world.ada)
    world.run(3)
    assert len(world.truth.positions) == 2
    set_policy(world, idle, "adopt_and_freeze")
    world.restart()
    assert policies(world) == {(grid.pk, "restart tp-only"), (flat.pk, "restart flatten")}
    world.run(30)
    assert {o.bot_id for o in world.open_orders()} == {grid.pk}
    world.move(-30, run=5)
    assert {o.bot_id for o in world.open_orders()} == {grid.pk}
    assert len(world.truth.positions) == 1, "neither adds a level nor opens a cycle"
    world.assert_equal()


@pytest.mark.parametrize("policy", ["adopt_and_freeze", "tp_only", "flatten"])
def test_a_bot_that_resumes_goes_on_while_the_account_s_policy_holds_the_others(world: World, policy: str) -> None:
    held, free = world.bot("Held", **GRID), world.bot("Free", **GRID)
    set_policy(world, free, "resume")
    TradingAccount.objects.update(restart_policy=policy)
    world.run(3)
    assert len(world.truth.positions) == 2
    world.restart()
    assert {bot for bot, _ in policies(world)} == {held.pk}
    world.move(-11, run=5)
    assert [o.level for o in world.open_orders() if o.bot_id == free.pk] == [0, 1]
    assert [o.level for o in world.open_orders() if o.bot_id == held.pk] == ([] if policy == "flatten" else [0])


def set_policy(world: World, bot: Bot, policy: str) -> None:
    assert change_bot(bot=bot, restart_policy=policy, at=world.clock.now(), by=world.ada)


def policies(world: World) -> set[tuple[int | None, str]]:
    blocks = Block.objects.filter(account=world.account, cause__startswith="restart", lifted_at__isnull=True)
    return set(blocks.values_list("bot_id", "cause"))
