"""Outcomes that nobody told: late, cut, hidden. However it ends, one decision makes one order, or a person is asked."""

from typing import Any

import pytest

from events.models import Event
from orders.models import Order, OrderIntent
from risk.selectors import standing_blocks
from tests.world import World

SLOW: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 20, "target_profit": 1000.0}


def states() -> list[str]:
    return list(OrderIntent.objects.order_by("id").values_list("state", flat=True))


@pytest.mark.parametrize("seconds", [2, 10, 30, 50])
def test_an_execution_that_comes_late_is_adopted_and_never_repeated(world: World, seconds: float) -> None:
    world.terminal.faults.delayed_execution(seconds)
    world.bot(**SLOW)
    world.run(80)
    assert states() == ["adopted"]
    assert len(world.truth.positions) == len(world.open_orders()) == 1
    world.assert_equal()


@pytest.mark.parametrize("seconds", [120, 600])
def test_an_execution_after_its_absence_was_proved_is_adopted_too_and_told(world: World, seconds: float) -> None:
    world.terminal.faults.delayed_execution(seconds)
    world.bot(**SLOW)
    world.run(seconds + 30)
    assert states()[0] == "adopted"
    assert "absent" in OrderIntent.objects.order_by("id")[0].history.values_list("to_state", flat=True)
    assert {o.identifier for o in world.open_orders()} == {p.identifier for p in world.truth.positions}
    assert Event.objects.filter(kind="ORDER_ADOPTED", level="error").exists()
    assert "late_execution" in {block[1] for block in standing_blocks(world.account.pk)}
    world.assert_equal()


def test_with_a_late_history_nothing_is_proved_absent_that_exists(world: World) -> None:
    world.terminal.faults.history_late(30)
    world.terminal.faults.reply_lost_after_execution()
    world.bot(**SLOW)
    world.run(120)
    assert states() == ["adopted"]
    assert len(world.truth.positions) == 1
    world.assert_equal()


@pytest.mark.requirement("S0-16", "S0-18", "X-03")
def test_a_close_seen_before_its_history_waits_for_the_proof(world: World) -> None:
    world.bot(**SLOW)
    world.run(3)
    world.terminal.faults.history_late(20)
    world.by_hand().Close("EURUSD")
    world.run(10)
    assert Order.objects.get().status == "open", "without its deals a closure is not booked"
    assert Order.objects.get().suspicious_since is not None
    world.run(15)
    assert Order.objects.get(identifier=Order.objects.order_by("id")[0].identifier).status == "closed"


def test_a_restarted_terminal_is_connected_to_again(world: World) -> None:
    world.bot(**SLOW)
    world.run(3)
    world.terminal.faults.terminal_restart()
    world.run(90)
    assert world.session.reporter.health() == "healthy"
    assert standing_blocks(world.account.pk) == ()
    assert len(world.open_orders()) == 1
