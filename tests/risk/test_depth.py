"""Thin books: read where the broker shows market depth, and said where it does not."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brokers.mt5.depth import Depth, thinner_side
from orders.models import OrderIntent
from risk.models import GuardAlarm
from tests.risk.test_scenarios import configure
from tests.world import World

SELL, BUY = 1, 2


@pytest.fixture
def world_of(transactional_db: None, tmp_path: Path, settings: Any) -> Callable[[float], World]:
    settings.VAR_DIR = tmp_path
    return lambda depth: World(tmp_path, depth=depth)


def row(kind: int, price: float, lots: float) -> SimpleNamespace:
    return SimpleNamespace(type=kind, price=price, volume_dbl=lots)


def entries() -> int:
    return OrderIntent.objects.filter(kind="open").count()


def test_the_thinner_side_of_the_best_prices_counts() -> None:
    rows = [row(SELL, 1.2, 90), row(SELL, 1.1, 3), row(BUY, 1.0, 7), row(BUY, 0.9, 90)]
    assert thinner_side(rows) == 3
    assert thinner_side([*rows, row(3, 1.1, 9)]) == 7, "market offers at the best price count too"
    assert thinner_side([row(SELL, 1.1, 3)]) == 0


def test_a_thin_book_stops_entries_until_it_is_deep_enough(world_of: Callable[[float], World]) -> None:
    world = world_of(4.0)
    configure(world, thin_book_lots=7.0)
    world.bot()
    world.run(3)
    alarm = GuardAlarm.objects.get(guard="thin_book")
    assert (alarm.tier, alarm.phase, alarm.subject) == (2, "standing", "EURUSD")
    assert 2.0 <= alarm.figure <= 6.0
    assert entries() == 0
    configure(world, thin_book_lots=1.0)
    world.run(3)
    alarm.refresh_from_db()
    assert alarm.phase == "ended"
    assert entries() == 1


def test_without_depth_it_is_said_and_the_spread_speaks_for_it(world_of: Callable[[float], World]) -> None:
    world = world_of(0.0)
    configure(world, thin_book_lots=7.0)
    world.bot()
    world.run(3)
    alarm = GuardAlarm.objects.get(guard="thin_book")
    assert (alarm.tier, alarm.phase) == (1, "standing")
    assert "no market depth" in alarm.text
    assert entries() == 1


class Terminal:
    """A terminal whose depth comes and goes; `asked` counts what it was begun for."""

    def __init__(self) -> None:
        self.rows: Any = ()
        self.asked: list[str] = []

    def market_book_add(self, name: str) -> bool:
        self.asked.append(name)
        return name != "NONE"

    def market_book_get(self, name: str) -> Any:
        return self.rows


def test_a_book_is_begun_once_again_after_a_failure_and_never_where_there_is_none() -> None:
    terminal = Terminal()
    depth = Depth(terminal)
    assert [depth.best_lots("NONE") for _ in range(3)] == [None, None, None]
    assert depth.best_lots("EURUSD") is None, "just begun, it is still empty"
    terminal.rows = (row(SELL, 1.1, 3), row(BUY, 1.0, 2))
    assert depth.best_lots("EURUSD") == 2
    terminal.rows = None
    assert depth.best_lots("EURUSD") is None
    terminal.rows = (row(SELL, 1.1, 3), row(BUY, 1.0, 2))
    assert depth.best_lots("EURUSD") == 2
    assert terminal.asked == ["NONE", "EURUSD", "EURUSD"]
    depth.forget()
    assert depth.best_lots("NONE") is None
    assert terminal.asked[-1] == "NONE"
