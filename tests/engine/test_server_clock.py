"""A DST change of the broker's clock, as the engine lives through it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.models import ServerOffset
from core.clock import VirtualClock
from engine.opening import gateway_of
from events.models import Event
from orders.models import Deal, Order, OrderIntent
from reconciliation.models import BookSnapshot, Divergence
from tests import world as world_module
from tests.world import World

FRIDAY = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)
MONDAY = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)


@pytest.fixture
def world(transactional_db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(world_module, "START", FRIDAY)
    return World(tmp_path)


@pytest.mark.requirement("S2-52")
def test_a_change_over_the_weekend_is_an_event_and_old_times_stay_what_they_were(world: World) -> None:
    world.bot(target_profit=1000.0)
    world.run(10)
    assert list(ServerOffset.objects.values_list("seconds", flat=True)) == [7200]
    first = Deal.objects.exclude(symbol="").get()
    opened = Order.objects.get().opened_at
    assert (first.server_offset_seconds, first.at - FRIDAY < timedelta(seconds=10)) == (7200, True)
    world.crash()
    clock = world.clock
    assert isinstance(clock, VirtualClock)
    clock.advance((MONDAY - clock.now()).total_seconds())
    hand = world.by_hand()
    for _ in range(3):
        clock.advance(60)
        hand.push_tick("EURUSD", world.bid, world.bid + world_module.SPREAD)
    hand.shutdown()
    world.start()
    world.run(20)
    assert list(ServerOffset.objects.values_list("seconds", flat=True)) == [7200, 10_800]
    event = Event.objects.filter(kind="SERVER_CLOCK").latest("id")
    assert (event.level, event.data["before"], event.data["seconds"]) == ("warning", 7200, 10_800)
    gateway = gateway_of(world.account, clock)
    gateway.connect()
    again = next(d for d in gateway.deals_of(first.position_id) if d.ticket == first.ticket)
    assert again.at == first.at
    assert gateway.book().positions[0].opened_at - opened < timedelta(seconds=1)
    gateway.close()


def test_a_stored_time_of_the_broker_keeps_what_it_was_converted_by(world: World) -> None:
    """Our own clock's times have no offset; the broker's do: filled and cancelled resting orders, closures, facts."""
    world.bot(pending=True, target_profit=1000.0, max_levels=4)
    world.run(10)
    offsets = {"opened_offset_seconds", "closed_offset_seconds"}
    assert [set(row.values()) for row in Order.objects.values(*offsets)] == [{None}] * Order.objects.count()
    tick = OrderIntent.objects.earliest("id").trace["tick"]
    assert tick["server_offset_seconds"] == 7200
    resting = Order.objects.filter(status="pending").earliest("id")
    world.move(-11, run=5)
    resting.refresh_from_db()
    assert (resting.status, resting.opened_offset_seconds, resting.closed_offset_seconds) == ("open", 7200, None)
    hand = world.by_hand()
    hand.order_send({"action": hand.TRADE_ACTION_DEAL, "symbol": "EURUSD", "type": 1, "volume": 0.1,
                     "position": resting.ticket, "price": world.bid})  # fmt: skip
    waits = Order.objects.filter(status="pending").earliest("id")
    hand.order_send({"action": hand.TRADE_ACTION_REMOVE, "order": waits.ticket})
    hand.order_send({"action": hand.TRADE_ACTION_DEAL, "symbol": "EURUSD", "type": 0, "volume": 0.2,
                     "price": world.bid + world_module.SPREAD})  # fmt: skip
    world.run(30)
    resting.refresh_from_db()
    waits.refresh_from_db()
    assert (resting.status, resting.closed_offset_seconds) == ("closed", 7200)
    assert (waits.status, waits.opened_offset_seconds, waits.closed_offset_seconds) == ("cancelled", None, 7200)
    assert {facts["server_offset_seconds"] for facts in BookSnapshot.objects.latest("id").broker} == {7200}
    foreign = Divergence.objects.get(kind="unmatched")
    assert foreign.theirs["server_offset_seconds"] == 7200
