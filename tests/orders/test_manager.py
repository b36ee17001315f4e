"""The Orders Manager against a broker where things happen by themselves, by hand, and by us (S0)."""

import logging
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brokers.simulator.terminal import SimulatedTerminal
from events.models import Event
from orders.models import Deal, Order, OrderIntent
from tests.world import World

ONE_CYCLE: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400}


def events(kind: str) -> list[str]:
    return list(Event.objects.filter(kind=kind).order_by("id").values_list("text", flat=True))


@pytest.fixture
def held(world: World) -> World:
    """A world with one open position."""
    world.bot(**ONE_CYCLE, target_profit=1000.0)
    world.run(3)
    assert len(world.open_orders()) == 1
    return world


def request(world: World, **fields: Any) -> SimulatedTerminal:
    """Send a request by hand, past the engine."""
    hand = world.by_hand()
    result = hand.order_send({"symbol": "EURUSD", **fields})
    assert result is not None
    assert result.retcode == 10009, result
    return hand


@pytest.mark.requirement("S0-60", "S0-61", "S0-62", "S0-63", "S0-64", "S0-65", "S0-93", "S0-07")
def test_statistics_count_both_sides_syncs_errors_and_repairs(held: World) -> None:
    before = held.session.orders.get_order_statistics()
    assert (before["mt5_orders_count"], before["db_orders_count"], before["suspicious_orders_count"]) == (1, 1, 0)
    held.terminal.faults.none_from("positions_get", 1)
    held.by_hand().Close("EURUSD")
    held.run(3)
    after = held.session.orders.get_order_statistics()
    assert (after["mt5_orders_count"], after["db_orders_count"]) == (0, 0)
    assert after["fixed_orders"] == before["fixed_orders"] + 1
    assert after["total_syncs"] > before["total_syncs"]
    assert after["total_errors"] >= 1


@pytest.mark.requirement("S0-98", "S0-99")
def test_passes_and_repairs_are_logged_as_the_source_words_them(held: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="trading")
    held.run(1)
    held.by_hand().Close("EURUSD")
    held.run(2)
    lines = [record.getMessage() for record in caplog.records]
    syncs = held.session.orders.statistics.total_syncs
    assert f"Order sync #{syncs}: 0 MT5 orders, 0 DB orders" in lines
    assert "Fixed 1 suspicious orders" in lines


@pytest.mark.requirement("S0-11", "S0-14", "S0-17", "S0-18", "S0-24", "S0-25", "S0-28", "S0-20")
def test_a_take_profit_is_booked_with_its_reason_events_and_money(world: World) -> None:
    world.bot(**ONE_CYCLE, take_profit=20.0, target_profit=1000.0)
    world.run(3)
    world.move(+25)
    order = Order.objects.get()
    assert (order.status, order.close_reason) == ("closed", "take_profit")
    assert float(order.profit) == 24.0
    assert float(order.commission) == -0.7
    assert len(events("ORDER_CLOSED_BY_MT5")) == 1
    assert len(events("CYCLE_RECALCULATE_PROFIT")) == 1
    assert world.cycles()[0].realized_profit == order.profit + order.swap + order.commission
    world.assert_equal()


@pytest.mark.requirement("S0-26")
def test_a_position_closed_by_a_person_is_told_apart(held: World) -> None:
    held.by_hand().Close("EURUSD")
    held.run(2)
    assert Order.objects.get().close_reason == "manual"
    assert len(events("ORDER_MANUALLY_CLOSED")) == 1


@pytest.mark.requirement("S0-27")
def test_a_close_that_the_broker_refuses_is_told_and_tried_again(world: World) -> None:
    world.bot(**ONE_CYCLE)
    world.run(3)
    world.terminal.faults.requote(1)
    world.move(+15, run=1)
    assert events("ORDER_CLOSE_FAILED") or events("ORDER_REFUSED")
    world.run(10)
    assert world.truth.positions == ()
    closes = OrderIntent.objects.filter(kind="close").order_by("id")
    assert [i.state for i in closes] == ["refused", "filled"]
    world.assert_equal()


@pytest.mark.requirement("S0-13", "S0-19")
def test_a_partial_close_and_changed_stops_are_followed(held: World) -> None:
    ticket = held.open_orders()[0].ticket
    request(held, action=1, position=ticket, volume=0.04, type=1)
    request(held, action=6, position=ticket, sl=1.05, tp=1.2)
    held.run(3)
    (order,) = held.open_orders()
    assert (float(order.volume), float(order.sl), float(order.tp)) == (0.06, 1.05, 1.2)
    assert float(order.volume_initial) == 0.1
    assert events("ORDER_CHANGED")
    held.assert_equal()
    held.by_hand().Close("EURUSD")
    held.run(2)
    assert float(Order.objects.get().profit) == -1.0
    held.assert_equal()


def test_swaps_of_the_night_reach_the_books(held: World) -> None:
    held.clock.advance(15 * 3600)
    held.run(3)
    held.by_hand().Close("EURUSD")
    held.run(2)
    order = Order.objects.get()
    assert float(order.swap) == -0.6
    assert held.cycles()[0].realized_profit == order.profit + order.swap + order.commission


def test_a_foreign_position_is_reported_once_and_left_alone(held: World) -> None:
    request(held, action=1, volume=0.5, type=1, magic=999)
    held.run(5)
    assert len(events("POSITION_FOREIGN")) == 1
    assert len(held.open_orders()) == 1
    assert len(held.truth.positions) == 2


@pytest.mark.requirement("S0-15", "S0-95")
def test_force_sync_reads_the_whole_recent_ledger_again_and_imports_nothing_twice(held: World) -> None:
    deals = Deal.objects.count()
    held.session.orders.force_order_sync()
    held.session.orders.force_order_sync()
    assert Deal.objects.count() == deals
    held.assert_equal()


@pytest.mark.requirement("S0-10", "S0-22", "S0-78")
def test_a_pass_takes_the_same_number_of_queries_for_many_orders(world: World) -> None:
    world.bot(max_levels=20, target_profit=100_000.0, **ONE_CYCLE)
    world.run(3)

    def queries() -> int:
        world.price(world.bid + 0.00003)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            world.session.orders.run()
            world.session.cycles.run()
        return len(seen)

    few = queries()
    for _ in range(12):
        world.move(-11, run=1.5)
    assert len(world.open_orders()) >= 10
    assert queries() <= few


@pytest.mark.requirement("S0-12", "S0-41")
def test_floating_profit_follows_the_price_within_a_pass(held: World) -> None:
    from orders.models import AccountMarks

    held.move(+7, run=1)
    marks = AccountMarks.objects.get()
    assert marks.profits == [6.0]
    assert marks.equity == pytest.approx(held.by_hand().account_info().equity)  # type: ignore[union-attr]


@pytest.mark.requirement("S0-71", "S0-72")
def test_a_lost_connection_backs_off_and_recovers_without_a_false_closure(held: World) -> None:
    held.terminal.faults.disconnect()
    held.run(30)
    errors = held.session.loop.jobs["orders"].errors
    assert 3 <= errors < 30, "the job backs off instead of hammering"
    assert held.session.reporter.health() != "healthy"
    held.terminal.faults.reconnect()
    held.run(70)
    assert held.session.reporter.health() == "healthy"
    assert len(held.open_orders()) == 1
    held.assert_equal()
