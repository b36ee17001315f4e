"""Resting orders: how they end is what their history and their deals say, however fast it went."""

from pathlib import Path
from typing import Any

import pytest

from brokers.simulator.terminal import SimulatedTerminal
from orders.models import Order
from tests.world import SPREAD, World

GRID: dict[str, Any] = {
    "max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0, "lot_size": 0.1, "max_levels": 2,
    "lot_mode": "multiply", "lot_factor": 3.0, "pending": True,
}  # fmt: skip


@pytest.fixture
def resting(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    """A world with one position and, ten pips below, a resting order that a thin market can only fill in part."""
    settings.VAR_DIR = tmp_path
    world = World(tmp_path, depth=0.1)
    world.bot(**GRID)
    world.run(5)
    assert list(Order.objects.order_by("id").values_list("status", flat=True)) == ["open", "pending"]
    return world


def the_leg() -> Order:
    """Return the first order that rested; the bot may have placed another since."""
    return Order.objects.filter(level=1).select_related("intent").earliest("id")


def touch(world: World) -> SimulatedTerminal:
    """Let the price touch the resting order, with the engine looking away; return a person's terminal."""
    world.price(float(the_leg().price_open) - SPREAD)
    hand = world.by_hand()
    assert any(p.ticket == the_leg().ticket for p in hand.positions_get() or ())
    assert any(o.ticket == the_leg().ticket for o in hand.orders_get() or ()), "a part of it rests still"
    return hand


def end(hand: SimulatedTerminal, *, close: bool) -> None:
    """Remove what rests still of the order, and with `close` close what was filled."""
    leg = the_leg()
    messages: list[dict[str, Any]] = [{"action": 8, "order": leg.ticket}]
    if close:
        (position,) = hand.positions_get(ticket=leg.ticket) or ()
        lots = position.volume
        messages.append({"action": 1, "symbol": "EURUSD", "position": leg.ticket, "type": 1, "volume": lots})
    for message in messages:
        result = hand.order_send(message)
        assert result is not None
        assert result.retcode == 10009, result
    assert bool(hand.positions_get(ticket=leg.ticket)) is not close


def test_what_was_filled_of_a_cancelled_order_and_closed_again_is_booked(resting: World) -> None:
    end(touch(resting), close=True)
    resting.run(5)
    leg = the_leg()
    assert leg.status == "closed"
    assert 0 < float(leg.volume_initial) < 0.3
    assert leg.intent is not None
    assert (leg.intent.state, leg.intent.filled_volume) == ("filled", leg.volume_initial)
    assert leg.profit != 0
    resting.assert_equal()


def test_what_was_filled_of_a_cancelled_order_stays_open(resting: World) -> None:
    end(touch(resting), close=False)
    resting.run(5)
    leg = the_leg()
    assert leg.status == "open"
    assert 0 < float(leg.volume) < 0.3
    resting.assert_equal()
