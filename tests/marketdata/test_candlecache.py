"""What a session asks its broker for, and what it takes from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketdata.candlecache import FIRST, LATER, CandleCache
from marketdata.candlefile import Candles
from marketdata.candlestore import CandleStore, SeriesId
from tests.world import World

BROKER = SeriesId("Sim-Server", "EURUSD", 60)


class Asked:
    """A gateway that notes how many candles it was asked for."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.counts: list[int] = []

    def candles(self, symbol: str, seconds: int, count: int) -> Any:
        self.counts.append(count)
        return self.gateway.candles(symbol, seconds, count)


def minutes(world: World, count: int) -> None:
    """Let the market live so many minutes."""
    for n in range(count):
        world.price(1.1 + n % 7 * 0.0001)
        world.clock.advance(60)


@pytest.mark.requirement("S2-45", "S2-46")
def test_the_first_load_is_long_and_later_ones_are_short(world: World, tmp_path: Path) -> None:
    gateway = Asked(world.session.gateway)
    store = CandleStore(tmp_path / "store")
    minutes(world, 30)
    cache = CandleCache(gateway, world.clock, store=store, source="Sim-Server")  # type: ignore[arg-type]
    first = cache.closed("EURUSD", 5)
    assert cache.closed("EURUSD", 5) is first, "once a minute"
    minutes(world, 3)
    second = cache.closed("EURUSD", 5)
    assert gateway.counts == [FIRST, LATER]
    assert len(second) == len(first) + 3
    assert [c.at for c in second] == sorted({c.at for c in second})
    minutes(world, 40)
    assert len(cache.closed("EURUSD", 5)) == len(second) + 40, "a gap longer than ten candles is filled"
    assert gateway.counts == [FIRST, LATER, LATER, FIRST]


@pytest.mark.requirement("S2-55")
def test_after_a_restart_the_disk_is_asked_first(world: World, tmp_path: Path) -> None:
    gateway = Asked(world.session.gateway)
    store = CandleStore(tmp_path / "store")
    minutes(world, 30)
    before = CandleCache(gateway, world.clock, store=store, source="Sim-Server")  # type: ignore[arg-type]
    seen = before.closed("EURUSD", 5)
    minutes(world, 2)
    after = CandleCache(gateway, world.clock, store=store, source="Sim-Server")  # type: ignore[arg-type]
    found = after.closed("EURUSD", 5)
    assert gateway.counts == [FIRST, LATER]
    assert [c.close for c in found[: len(seen)]] == [c.close for c in seen]


@pytest.mark.requirement("S2-47")
def test_what_the_broker_is_short_of_comes_from_imported_files(world: World, tmp_path: Path) -> None:
    store = CandleStore(tmp_path / "store")
    minutes(world, 20)
    own = CandleCache(world.session.gateway, world.clock).closed("EURUSD", 5)
    first = int(own[0].at.timestamp())
    at = first + np.arange(-9000, 50) * 60
    price = np.full(len(at), 108_000)
    files = Candles.of([at, price, price + 9, price - 9, price + 1, price * 0 + 4], 5)
    store.add(SeriesId("files", "EURUSD", 60), [files])
    cache = CandleCache(world.session.gateway, world.clock, store=store, source="Sim-Server")
    found = cache.closed("EURUSD", 5)
    stamps = [int(c.at.timestamp()) for c in found]
    assert stamps == sorted(set(stamps))
    assert found[-len(own) :] == own, "the broker's own candles count"
    assert len(found) == FIRST
    assert found[0].close == 1.08001


def test_damage_on_disk_costs_a_read_and_nothing_else(world: World, tmp_path: Path) -> None:
    store = CandleStore(tmp_path / "store")
    minutes(world, 30)
    CandleCache(world.session.gateway, world.clock, store=store, source="Sim-Server").closed("EURUSD", 5)
    (path,) = (tmp_path / "store").rglob("*.candles")
    path.write_bytes(b"x")
    gateway = Asked(world.session.gateway)
    cache = CandleCache(gateway, world.clock, store=store, source="Sim-Server")  # type: ignore[arg-type]
    assert len(cache.closed("EURUSD", 5)) >= 29
    assert gateway.counts == [FIRST]


def test_a_full_disk_does_not_stop_a_session(world: World, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    minutes(world, 5)
    cache = CandleCache(world.session.gateway, world.clock, store=CandleStore(tmp_path / "store"), source="Sim-Server")
    assert len(cache.closed("EURUSD", 5)) >= 4
