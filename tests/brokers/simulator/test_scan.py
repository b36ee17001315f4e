"""The scan: what it finds, and that jumping from event to event fills like looking at every tick."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from brokers.simulator import scan
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import FeedSpec, TickPrices
from brokers.simulator.memory import MemoryState
from brokers.simulator.requests import handle
from brokers.simulator.scan import Lookout, Path, Stream, Ticks, next_look
from core.clock import VirtualClock

START = datetime(2026, 3, 3, 21, 30, tzinfo=UTC)
SYMBOLS = (
    SymbolSetup("EURUSD"),
    SymbolSetup("USDJPY", digits=3, currency_base="USD", currency_profit="JPY"),
    SymbolSetup("GBPUSD", currency_base="GBP"),
)
AROUND = {"EURUSD": 1.1, "USDJPY": 110.0, "GBPUSD": 1.3}


def walk(seed: int, setup: SymbolSetup, count: int, *, pips: float) -> Ticks:
    """Ticks of a random walk at random times over two nights; equal times of several symbols occur."""
    noise = np.random.default_rng(seed)
    at = START.timestamp() + np.sort(noise.integers(1, 100_000, count)).astype(float)
    at = at[np.flatnonzero(np.diff(at, prepend=0.0) > 0)]
    bid = AROUND[setup.name] + np.cumsum(noise.normal(0, pips * 10 * setup.point, len(at)))
    ask = bid + noise.integers(1, 30, len(at)) * setup.point
    return Ticks.of(at, bid, ask, setup.digits)


@dataclass(frozen=True)
class Traded:
    """What a market leaves behind."""

    deals: list[dict[str, Any]]
    finished: list[dict[str, Any]]
    open: list[dict[str, Any]]
    equity: float


def request(noise: np.random.Generator, setup: SymbolSetup, price: tuple[float, float]) -> dict[str, Any]:
    """A market or resting order, some with stops."""
    kind, pip = int(noise.integers(0, 6)), 10 * setup.point
    away = float(noise.integers(5, 40)) * pip * {2: -1, 3: 1, 4: 1, 5: -1}.get(kind, 0)
    side = 1 if kind % 2 == 0 else -1
    at = round(price[1 if kind % 2 == 0 else 0] + away, setup.digits)
    stops = [
        round(at + sign * side * float(noise.integers(5, 60)) * pip, setup.digits) if noise.random() < 0.6 else 0.0
        for sign in (-1, 1)
    ]
    return {
        "action": 1 if kind < 2 else 5, "symbol": setup.name, "type": kind, "price": at, "magic": 7,
        "volume": float(noise.integers(1, 60)) / 100, "sl": stops[0], "tp": stops[1],
    }  # fmt: skip


def trade(seed: int, *, every_tick: bool, balance: float, count: int = 400) -> Traded:
    """Send random requests at random times into a random market, and let the broker do the rest."""
    noise = np.random.default_rng(seed)
    chosen = SYMBOLS[: int(noise.integers(1, 4))]
    clock = VirtualClock(START)
    spec = AccountSpec(1, "pw", "Sim", balance=balance, leverage=500)
    feeds = {s.name: TickPrices(walk(seed + n, s, count, pips=3.0)) for n, s in enumerate(chosen)}
    state = MemoryState.opened(spec, chosen, FeedSpec.script({}, anchor=START), at=START.timestamp())
    exchange = Exchange(state, clock, feeds=feeds, every_tick=every_tick)
    for _ in range(12):
        clock.advance(float(noise.integers(1, 8000)))
        exchange.advance()
        setup = chosen[int(noise.integers(len(chosen)))]
        price = exchange.books.price(setup.name)
        if price is not None:
            handle(exchange, request(noise, setup, price), execute=True)
    clock.advance(100_000.0)
    exchange.advance()
    return Traded(
        [asdict(d) for d in state.ledger],
        [asdict(o) for o in state.finished],
        [asdict(p) for p in state.positions.values()],
        exchange.equity(),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([300.0, 1500.0, 100_000.0]))
def test_jumping_fills_like_looking_at_every_tick(seed: int, balance: float) -> None:
    assert trade(seed, every_tick=False, balance=balance) == trade(seed, every_tick=True, balance=balance)


def test_the_markets_of_the_property_have_stops_targets_and_stop_outs() -> None:
    reasons = {d["reason"] for seed in range(12) for d in trade(seed, every_tick=False, balance=300.0).deals}
    assert {3, 4, 5, 6} <= reasons


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("column", "level", "found"),
    [
        (scan.BID_LOW, 1.0995, 3),
        (scan.BID_HIGH, 1.1010, 2),
        (scan.ASK_LOW, 1.0997, 3),
        (scan.ASK_HIGH, 1.1011, 2),
        (scan.SPREAD_LOW, 0.00015, 2),
        (scan.BID_LOW, 1.0, 5),
    ],
)
def test_touches_are_found_at_their_level(
    column: int, level: float, found: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "COMPILED_FROM", 0 if compiled else 1000)
    bid = np.array([1.1000, 1.1005, 1.1010, 1.0995, 1.1000])
    ask = bid + np.array([0.0002, 0.0002, 0.0001, 0.0002, 0.0002])
    stream = Stream.merge([Ticks(np.arange(5.0), bid, np.round(ask, 5))])
    lookout = Lookout.nothing(1, 1000.0)
    lookout.touches[0, column] = level
    assert next_look(stream, 0, 5, lookout) == found
    assert next_look(stream, 4, 4, lookout) == 4


@pytest.mark.parametrize("compiled", [False, True])
def test_equity_is_followed_over_several_symbols(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "COMPILED_FROM", 0 if compiled else 1000)
    one = Ticks(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 0.5]), np.array([1.0, 2.0, 0.5]))
    two = Ticks(np.array([1.0, 2.0, 3.0]), np.array([10.0, 8.0, 9.0]), np.array([10.0, 8.0, 9.0]))
    stream = Stream.merge([one, two])
    lookout = Lookout.nothing(2, 100.0)
    lookout.exposures[:, scan.BIDS] = 10.0, 1.0
    lookout.path = Path.over(0.0, 5.0, 5, 100.0)
    # The second symbol is worth 5 before its first tick here: 115, 120, 130, 128, 129, 114
    lookout.worth[:] = 0.0, 5.0
    lookout.floor = 114.0
    assert next_look(stream, 0, 6, lookout) == 5
    figures = lookout.path.figures
    assert figures[scan.PEAK] == 130.0
    assert figures[scan.DRAWDOWN] == 16.0
    assert figures[scan.DRAWDOWN_SHARE] == pytest.approx(16 / 130)
    assert lookout.worst == 114.0
    assert lookout.path.curve[:5, 2].tolist() == [115.0, 120.0, 128.0, 129.0, 114.0]
    assert lookout.path.curve[2].tolist() == [128.0, 130.0, 128.0]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_track_fires_at_its_limits_and_falls_from_its_best(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "COMPILED_FROM", 0 if compiled else 1000)
    bid = np.array([1.0, 3.0, 6.0, 5.0, 2.0, -4.0])
    stream = Stream.merge([Ticks(np.arange(6.0), bid, bid)])
    never = scan.NEVER

    def first(upper: float = never, lower: float = -never, armed: float = never, lock: float = 0.0) -> int:
        lookout = Lookout.nothing(1, 0.0)
        lookout.tracks = np.array([[1.0, 0.0, 0.0, upper, lower, armed, lock, -never, never]])
        lookout.track_symbols = np.zeros(1, np.int64)
        found = next_look(stream, 0, 6, lookout)
        assert lookout.tracks[0, scan.HIGHEST] == bid[: found + 1].max()
        assert lookout.tracks[0, scan.LOWEST] == bid[: found + 1].min()
        return found

    assert first(upper=6.0) == 2
    assert first(lower=-4.0) == 5
    assert first(armed=4.0, lock=0.5) == 4
    assert first(armed=7.0, lock=0.5) == 6
