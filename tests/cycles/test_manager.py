"""The Cycles Manager: figures, types, completion, and the repair of relations (S0)."""

import logging
from typing import Any

import pytest

from cycles.models import Cycle
from events.models import Event
from orders.models import Order
from tests.world import World

ONE_CYCLE: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0}


@pytest.fixture
def held(world: World) -> World:
    """A world with one cycle of two legs."""
    world.bot(**ONE_CYCLE)
    world.run(3)
    world.move(-11)
    assert len(world.open_orders()) == 2
    return world


@pytest.mark.requirement("S0-34")
def test_a_cycles_volume_and_booked_profit_follow_its_orders(held: World) -> None:
    held.run(2)
    (cycle,) = held.cycles("open")
    assert float(cycle.total_volume) == 0.2
    ticket = held.open_orders()[0].ticket
    result = held.by_hand().order_send({"action": 1, "symbol": "EURUSD", "position": ticket, "volume": 0.1, "type": 1})
    assert result is not None
    held.run(3)
    cycle.refresh_from_db()
    closed = Order.objects.get(status="closed")
    assert float(cycle.total_volume) == 0.1
    assert cycle.realized_profit == closed.profit + closed.swap + closed.commission


@pytest.mark.requirement("S0-66", "S0-67", "S0-68", "S0-69", "S0-94", "S0-100")
def test_statistics_and_the_log_line(held: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="trading")
    held.run(3)
    found = held.session.cycles.get_cycle_statistics()
    assert (found["total_active_cycles"], found["ct_cycles_count"], found["ah_cycles_count"]) == (1, 1, 0)
    assert found["cycles_created"] == 1
    assert found["total_profit"] == found["ct_total_profit"] == -13.0
    syncs = held.session.cycles.statistics.total_syncs
    assert f"Cycle sync #{syncs}: 1 active cycles" in [r.getMessage() for r in caplog.records]
    held.by_hand().Close("EURUSD")
    held.run(3)
    assert held.session.cycles.get_cycle_statistics()["cycles_closed"] == 1


@pytest.mark.requirement("S0-37", "S0-38", "S0-39")
@pytest.mark.parametrize(
    ("kind", "levels", "expected"), [("CT", [], "CT"), ("CT", [{"level": 1}], "HEDGE"), ("HEDGE", [], "HEDGE")]
)
def test_the_type_is_told_by_hedge_levels_or_by_name(
    held: World, kind: str, levels: list[dict[str, int]], expected: str
) -> None:
    Cycle.objects.update(kind=kind, hedge_levels=levels, total_volume=0)
    held.run(3)
    assert held.cycles()[0].kind == expected
    found = held.session.cycles.get_cycle_statistics()
    assert (found["ct_cycles_count"], found["ah_cycles_count"]) == ((1, 0) if expected == "CT" else (0, 1))


@pytest.mark.requirement("S0-36", "S0-47", "S0-48", "S0-49", "S0-51", "S0-70", "S0-101")
def test_a_cycle_closed_while_its_order_is_open_at_the_broker_is_reopened(
    held: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="trading")
    Cycle.objects.update(status="closed", closed_at=held.clock.now(), close_reason="by mistake")
    held.run(31)
    (cycle,) = held.cycles("open")
    assert cycle.closed_at is None
    assert Event.objects.filter(kind="CYCLE_REOPENED", cycle=cycle).count() == 1
    assert "Fixed 1 incorrectly closed cycles" in [r.getMessage() for r in caplog.records]
    assert held.session.cycles.get_cycle_statistics()["fixed_cycles"] == 1


def test_a_cycle_closed_for_longer_than_a_day_is_left_as_it_is(held: World) -> None:
    old = held.clock.now()
    held.clock.advance(25 * 3600)
    Cycle.objects.update(status="closed", closed_at=old, close_reason="long ago")
    held.run(31)
    assert held.cycles()[0].status == "closed"


@pytest.mark.requirement("S0-35", "S0-44", "S0-76")
def test_an_order_that_lost_its_cycle_gets_it_back_from_its_intent(held: World) -> None:
    order = held.open_orders()[1]
    Order.objects.filter(pk=order.pk).update(cycle=None)
    held.run(31)
    order.refresh_from_db()
    assert order.cycle_id == held.cycles("open")[0].pk
    assert Event.objects.filter(kind="ORDER_ORPHAN_REPAIRED").count() == 1


def test_an_entry_that_the_broker_refused_leaves_a_closed_cycle_and_no_loop(world: World) -> None:
    world.terminal.faults.requote(1)
    world.bot(**ONE_CYCLE)
    world.run(3)
    assert world.truth.positions == ()
    assert [c.status for c in world.cycles()] == ["closed"]
    assert world.cycles()[0].close_reason == "the entry was refused"


@pytest.mark.requirement("S0-81")
def test_a_start_repairs_before_it_trades(held: World) -> None:
    Cycle.objects.update(status="closed", closed_at=held.clock.now(), close_reason="by mistake")
    held.crash()
    held.start()
    assert len(held.cycles("open")) == 1
    kinds = held.kinds()
    blocks = Event.objects.filter(kind="BLOCK_RAISED", text__contains="startup")
    reopened = Event.objects.get(kind="CYCLE_REOPENED")
    assert reopened.pk > blocks.latest("id").pk
    assert kinds[::-1].index("BLOCK_LIFTED") < kinds[::-1].index("CYCLE_REOPENED")
