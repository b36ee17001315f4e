"""Netting accounts: a request of ours that met an opposite position, and positions that others turn round."""

from pathlib import Path
from typing import Any

import pytest

from events.models import Event
from orders.models import Order, OrderIntent
from reconciliation.models import Divergence
from risk.selectors import standing_blocks
from strategies.models import Bot
from tests.world import World

SELLS: dict[str, Any] = {
    "direction": "sell", "max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0, "lot_size": 0.1,
}  # fmt: skip


@pytest.fixture
def netting(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    """A world whose account nets."""
    settings.VAR_DIR = tmp_path
    return World(tmp_path, is_netting=True)


def lose_a_sell_that_meets(world: World, *, bought: float) -> int:
    """Let our first sell arrive late, at a position that a person bought meanwhile; return that position's id."""
    world.run(1)
    world.terminal.faults.delayed_execution(2)
    world.bot(**SELLS)
    world.session.trader.run()
    assert states() == ["unknown"]
    world.by_hand().Buy("EURUSD", bought)
    (position,) = world.truth.positions
    world.clock.advance(3)
    world.price(world.bid)
    world.by_hand().positions_get()
    return int(position.identifier)


def states() -> list[str]:
    return list(OrderIntent.objects.order_by("id").values_list("state", flat=True))


def test_a_reversal_of_ours_that_closed_again_unseen_is_adopted_with_its_money(netting: World) -> None:
    identifier = lose_a_sell_that_meets(netting, bought=0.06)
    netting.by_hand().Close("EURUSD")
    netting.run(90)
    intent = OrderIntent.objects.order_by("id")[0]
    assert (intent.state, float(intent.filled_volume)) == ("adopted", 0.1)
    order = Order.objects.get(identifier=identifier)
    assert (order.status, order.side, float(order.volume_initial)) == ("closed", "sell", 0.04)
    netting.assert_equal()


def test_a_request_of_ours_that_only_reduced_is_adopted_and_opens_nothing(netting: World) -> None:
    lose_a_sell_that_meets(netting, bought=0.3)
    netting.run(90)
    intent = OrderIntent.objects.order_by("id")[0]
    assert (intent.state, float(intent.filled_volume)) == ("adopted", 0.1)
    assert not Order.objects.exists()
    assert [(p.volume, p.type) for p in netting.truth.positions] == [(0.2, 0)]


def test_a_position_that_was_turned_round_is_followed_and_a_person_is_asked(netting: World) -> None:
    netting.bot(**SELLS)
    netting.run(3)
    netting.by_hand().Buy("EURUSD", 0.3)
    netting.run(15)
    (order,) = netting.open_orders()
    assert (order.side, float(order.volume)) == ("buy", 0.2)
    assert Event.objects.filter(kind="ORDER_CHANGED", level="warning").count() == 1
    divergence = Divergence.objects.get(state="open")
    assert (divergence.kind, divergence.ours["side"], divergence.theirs["side"]) == ("foreign_change", "sell", "buy")
    assert "reconciliation" in {block[1] for block in standing_blocks(netting.account.pk)}
    netting.by_hand().Close("EURUSD")
    netting.run(15)
    assert Order.objects.get().status == "closed"
    netting.assert_equal()


def grid(world: World, **values: Any) -> None:
    """Let a bot buy, and buy a second time ten pips below."""
    world.bot(max_levels=2, entry_cooldown=86400, target_profit=1000.0, **values)
    world.run(3)
    world.move(-11, run=3)


def test_a_second_leg_joins_the_position_and_its_order_holds_both(netting: World) -> None:
    grid(netting)
    (order,) = netting.open_orders()
    (position,) = netting.truth.positions
    assert (order.identifier, float(order.volume), order.level) == (position.identifier, 0.2, 1)
    assert float(order.price_open) == pytest.approx(position.price_open)
    assert states() == ["filled", "filled"]
    assert list(OrderIntent.objects.order_by("id").values_list("order", flat=True)) == [None, order.pk]
    netting.run(20)
    netting.assert_equal()
    assert OrderIntent.objects.count() == 2, "a level that has its lots was asked for again"
    assert not Divergence.objects.exists()


def test_a_second_leg_whose_answer_was_lost_joins_by_its_deal(netting: World) -> None:
    netting.bot(max_levels=2, entry_cooldown=86400, target_profit=1000.0)
    netting.run(3)
    netting.terminal.faults.reply_lost_after_execution()
    netting.move(-11, run=15)
    (order,) = netting.open_orders()
    assert (float(order.volume), float(order.volume_initial), order.level) == (0.2, 0.2, 1)
    assert states() == ["filled", "adopted"]
    netting.assert_equal()
    assert not Divergence.objects.exclude(kind="unknown_outcome").exists()


def test_a_resting_leg_that_is_filled_joins_the_position(netting: World) -> None:
    grid(netting, pending=True)
    (order,) = netting.open_orders()
    assert (float(order.volume), float(order.volume_initial), order.level) == (0.2, 0.2, 1)
    netting.run(20)
    netting.assert_equal()
    assert not Divergence.objects.exists()


def test_both_legs_close_as_the_one_position_that_they_are(netting: World) -> None:
    grid(netting)
    netting.by_hand().Close("EURUSD")
    netting.run(15)
    order = Order.objects.get()
    assert (order.status, order.close_reason, float(order.volume_initial)) == ("closed", "manual", 0.2)
    netting.assert_equal()


def test_nothing_joins_the_position_of_another_cycle(netting: World) -> None:
    netting.bot("One", entry_cooldown=86400, target_profit=1000.0)
    netting.run(3)
    # A bot at work elsewhere is not asked for when the account turns out to net
    two = netting.bot("Two", symbols=("USDJPY",), entry_cooldown=86400, target_profit=1000.0, max_cycles=1)
    Bot.objects.filter(pk=two.pk).update(symbols=["EURUSD"])
    netting.run(3)
    refused = OrderIntent.objects.order_by("id")[1]
    assert refused.state == "refused"
    assert "held by another cycle" in refused.history.get(to_state="refused").why
    netting.assert_equal()


def test_nothing_joins_the_position_of_a_person(netting: World) -> None:
    netting.run(1)
    netting.by_hand().Buy("EURUSD", 0.3)
    netting.bot(entry_cooldown=86400, target_profit=1000.0)
    netting.run(3)
    (intent,) = OrderIntent.objects.all()
    assert (intent.state, "would_join" in intent.reply_text) == ("refused", True)
    assert [p.volume for p in netting.truth.positions] == [0.3]
