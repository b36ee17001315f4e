"""What people ask of cycles and orders, carried out by the engine on the simulated broker."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from core.ids import SystemIds
from cycles.requests import request_cycle_close
from events.models import Command
from orders.models import OrderIntent
from orders.requests import request_order_close, request_stops
from tests.world import World


@pytest.fixture
def trading(world: World) -> World:
    """A bot with one open leg."""
    world.bot()
    world.run(3)
    assert len(world.open_orders()) == 1
    return world


def answer(kind: str) -> str:
    command = Command.objects.filter(kind=kind).latest("id")
    assert command.state == "done", command.result
    return command.result


def test_a_leg_is_closed_once_whatever_is_clicked(trading: World) -> None:
    (order,) = trading.open_orders()
    said: dict[str, Any] = {"order": order, "reason": "enough of it", "by": trading.ada, "at": trading.clock.now()}
    for _ in range(2):
        request_order_close(volume=None, ids=SystemIds(), **said)
    assert Command.objects.filter(kind="close_order").count() == 1
    trading.run(3)
    assert answer("close_order").endswith(": done")
    closing = OrderIntent.objects.get(order=order, kind="close")
    assert (closing.state, closing.why) == ("filled", "by hand: enough of it")
    order.refresh_from_db()
    assert order.status == "closed"
    trading.assert_equal()
    with pytest.raises(ValidationError, match="is closed"):
        request_order_close(volume=None, ids=SystemIds(), **said)


def test_stops_are_set_at_the_broker_and_in_the_books(trading: World) -> None:
    (order,) = trading.open_orders()
    by, at = trading.ada, trading.clock.now()
    request_stops(order=order, sl=Decimal("1.09"), tp=Decimal("1.12"), reason="the news", by=by, at=at)
    trading.run(3)
    assert answer("change_stops").endswith(": done")
    (position,) = trading.truth.positions
    assert (position.sl, position.tp) == (1.09, 1.12)
    order.refresh_from_db()
    assert (float(order.sl), float(order.tp)) == (1.09, 1.12)
    trading.assert_equal()


def test_a_cycle_is_closed_with_all_its_legs_and_only_it(world: World) -> None:
    world.bot("Buys", max_levels=3, target_profit=500.0)
    world.bot("Sells", max_levels=3, target_profit=500.0, direction="sell")
    world.run(3)
    world.move(-11, run=5)
    buys, sells = (next(c for c in world.cycles("open") if c.side == side) for side in ("buy", "sell"))
    assert buys.orders.filter(status="open").count() == 2
    request_cycle_close(cycle=buys, reason="enough", by=world.ada, at=world.clock.now())
    world.run(4)
    assert answer("close_cycle").count(": done") == 2
    for cycle in (buys, sells):
        cycle.refresh_from_db()
    assert (buys.status, buys.close_reason) == ("closed", "by hand: enough")
    assert sells.status == "open"
    world.assert_equal()
