"""The auto-close service at a broker that fills in parts, and beside a person who is faster."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import crashpoints
from cycles.models import Cycle
from orders.models import Order, OrderIntent
from risk.models import GuardAlarm
from risk.services.killing import kill
from tests.risk.test_scenarios import configure, crash, drawdown
from tests.world import World


def dries_up(world: World, lots: float) -> None:
    """Let the book hold about ten times so many lots from now on."""
    exchange = world.terminal._exchange
    assert exchange is not None
    exchange.symbols["EURUSD"] = replace(exchange.symbols["EURUSD"], depth_lots=lots)


def closes() -> list[tuple[float, float]]:
    rows = OrderIntent.objects.filter(kind="close").order_by("id").values_list("volume", "filled_volume")
    return [(float(volume), float(filled)) for volume, filled in rows]


@pytest.mark.parametrize("is_netting", [False, True])
@pytest.mark.parametrize("is_ours", [False, True])
def test_what_a_part_fill_left_is_closed_next_and_nothing_more(
    is_netting: bool, is_ours: bool, transactional_db: None, tmp_path: Path, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path
    world = World(tmp_path, is_netting=is_netting)
    world.start()
    configure(world)
    if is_ours:
        world.bot(lot_size=1.0, distance=5000.0, target_profit=1e6)
    else:
        assert world.by_hand().Buy("EURUSD", 1.0) is not None
    world.run(3)
    dries_up(world, 0.04)
    kill(mode="flatten", reason="odd", confirmation="Sim", account=world.account, by=world.ada, at=world.clock.now())
    world.run(20)
    assert not world.truth.positions
    asked, filled = zip(*closes(), strict=True)
    assert len(asked) > 1
    assert sum(filled) == pytest.approx(1.0)
    # Each asks for what is left, and none for more
    assert list(asked) == pytest.approx([1.0 - sum(filled[:n]) for n in range(len(filled))])
    world.assert_equal()


@pytest.mark.parametrize("is_netting", [False, True])
def test_a_person_who_closes_first_leaves_nothing_to_open_on_the_other_side(
    is_netting: bool, transactional_db: None, tmp_path: Path, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path
    world = World(tmp_path, is_netting=is_netting)
    crash(world)
    left = [1]

    def faster(point: str) -> None:
        """Close by hand between the gate's word and the request."""
        if point == "send:passed" and left:
            left.clear()
            hand = world.by_hand()
            for position in world.truth.positions:
                assert hand.Close("EURUSD", ticket=position.ticket) is True

    with crashpoints.rehearsed(faster):
        world.run(20)
    assert left == []
    assert not world.truth.positions
    assert drawdown(world).phase == "closed"
    assert OrderIntent.objects.filter(kind="open").count() == 1
    assert GuardAlarm.objects.filter(phase="closing").count() == 0


def test_a_close_that_comes_to_what_the_books_know_as_closed_is_over_at_once(world: World) -> None:
    """A pass that breaks off after it booked closures leaves the guards the list of before: they close once more."""
    world.bot(entry_cooldown=86_400)
    world.run(3)
    stale = world.session.orders.last
    world.by_hand().Close("EURUSD")
    world.run(5)
    assert Order.objects.get().status == "closed"
    kill(mode="flatten", reason="enough", confirmation="Sim", account=world.account, by=world.ada, at=world.clock.now())
    world.session.orders.last = stale
    world.session.guards.run()
    intent = OrderIntent.objects.get(kind="close")
    assert (intent.state, intent.reply_code) == ("filled", 10036)
    world.run(15)
    assert Cycle.objects.get().status == "closed"
