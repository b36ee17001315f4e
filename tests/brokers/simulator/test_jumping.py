"""Jumping from event to event fills like looking at every tick, also where lots end, hours close and positions net."""

from dataclasses import asdict
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import FeedSpec, TickPrices
from brokers.simulator.memory import MemoryState
from brokers.simulator.requests import handle
from brokers.simulator.server_time import to_server
from core.clock import VirtualClock
from tests.brokers.simulator.test_scan import START, walk

SYMBOLS = (
    SymbolSetup("EURUSD", depth_lots=0.4, depth_steps=3, execution=3, filling_mask=7, slippage_points=4),
    SymbolSetup(
        "USDJPY", digits=3, currency_base="USD", currency_profit="JPY", sessions="Mon-Fri 00:30-20:00", swap_mode=7,
        gtc_mode=2, filling_mask=7, margin_hedged=0.0, margin_hedged_use_leg=False,
    ),
    SymbolSetup("GBPUSD", currency_base="GBP", calc_mode=4, margin_rate_long=0.5, swap_mode=5),
)  # fmt: skip


def request(
    noise: np.random.Generator, setup: SymbolSetup, price: tuple[float, float], server: float
) -> dict[str, Any]:
    """A market or resting order of any type, filling and life time."""
    kind, pip = int(noise.integers(0, 8)), 10 * setup.point
    side = 1 if kind % 2 == 0 else -1
    ahead = {2: -1, 3: 1, 4: 1, 5: -1, 6: 1, 7: -1}.get(kind, 0)
    at = round(price[1 if side == 1 else 0] + ahead * float(noise.integers(3, 40)) * pip, setup.digits)
    stops = [
        round(at + sign * side * float(noise.integers(5, 60)) * pip, setup.digits) if noise.random() < 0.5 else 0.0
        for sign in (-1, 1)
    ]
    life = int(noise.integers(0, 4)) if kind > 1 else 0
    return {
        "action": 1 if kind < 2 else 5, "symbol": setup.name, "type": kind, "price": at, "sl": stops[0], "tp": stops[1],
        "volume": float(noise.integers(1, 120)) / 100, "type_filling": int(noise.integers(0, 4)), "type_time": life,
        "stoplimit": round(at - side * 5 * pip, setup.digits), "expiration": int(server + noise.integers(60, 90_000)),
    }  # fmt: skip


def trade(seed: int, *, every_tick: bool, margin_mode: int, balance: float) -> Any:
    """Send random requests at random times into a random market; return what it leaves behind."""
    noise = np.random.default_rng(seed)
    clock = VirtualClock(START)
    spec = AccountSpec(1, "pw", "Sim", balance=balance, leverage=500, margin_mode=margin_mode)
    feeds = {s.name: TickPrices(walk(seed + n, s, 300, pips=3.0)) for n, s in enumerate(SYMBOLS)}
    state = MemoryState.opened(spec, SYMBOLS, FeedSpec.script({}, anchor=START), at=START.timestamp())
    exchange = Exchange(state, clock, feeds=feeds, every_tick=every_tick)
    for _ in range(14):
        clock.advance(float(noise.integers(1, 7000)))
        exchange.advance()
        setup = SYMBOLS[int(noise.integers(len(SYMBOLS)))]
        price = exchange.books.price(setup.name)
        if price is not None:
            wanted = request(noise, setup, price, to_server("ny+7", clock.now().timestamp()))
            handle(exchange, wanted, execute=True)
    clock.advance(100_000.0)
    exchange.advance()
    rows: tuple[Any, ...] = (*state.ledger, *state.finished, *state.positions.values(), *state.orders.values())
    return [asdict(row) for row in rows], exchange.equity()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0, 1, 2]), st.sampled_from([400.0, 2000.0, 100_000.0]))
def test_jumping_fills_like_looking_at_every_tick(seed: int, margin_mode: int, balance: float) -> None:
    jumped = trade(seed, every_tick=False, margin_mode=margin_mode, balance=balance)
    assert jumped == trade(seed, every_tick=True, margin_mode=margin_mode, balance=balance)


def test_the_markets_of_the_property_have_everything_that_is_hard() -> None:
    balances = (300.0, 2000.0)
    found = [trade(n, every_tick=False, margin_mode=n % 3, balance=balances[n % 2])[0] for n in range(60)]
    rows = [row for market in found for row in market]
    deals = [row for row in rows if "entry" in row]
    orders = [row for row in rows if "filling" in row]
    assert {0, 1, 2} <= {d["entry"] for d in deals}
    assert {3, 4, 5, 6, 7} <= {d["reason"] for d in deals}
    assert {2, 4, 5, 6} <= {o["state"] for o in orders}
    parts = [d["order"] for d in deals if d["order"]]
    assert len(parts) > len(set(parts))
