"""Views for tests of strategies: a fixed symbol, and hypothesis strategies for everything that may vary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st

from brokers.domain import Quote, Side, SymbolSpec
from strategies.domain import CycleView, InFlight, Leg, Setup, View

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
SPEC = SymbolSpec(
    name="EURUSD", digits=5, point=1e-5, contract_size=100_000.0, volume_min=0.01, volume_max=50.0, volume_step=0.01,
    stops_level_points=0, freeze_level_points=0, value_per_price=100_000.0, currency_base="EUR", currency_profit="USD",
    filling_mask=3, execution_mode=2, margin_per_lot=1100.0,
)  # fmt: skip


SETUP = Setup("direction buy 1/1", "direction", Side.BUY, 0.002, 0.001, False, 1.6, 40)


def quote(bid: float = 1.1, spread_points: int = 10) -> Quote:
    return Quote("EURUSD", round(bid, 5), round(bid + spread_points * 1e-5, 5), NOW)


def leg(level: int, price: float, side: Side = Side.BUY, volume: float = 0.1, **more: Any) -> Leg:
    given = {
        "order_id": 100 + level, "ticket": 5000 + level, "level": level, "side": side, "volume": volume,
        "price_open": price, "sl": 0.0, "tp": 0.0, "swap": 0.0, "commission": 0.0,
        "opened_at": NOW - timedelta(minutes=30 - level),
    }  # fmt: skip
    return Leg(**{**given, **more})


def cycle(*legs: Leg, id: int = 1, **more: Any) -> CycleView:  # noqa: A002 - the field's name
    given: dict[str, Any] = {
        "id": id, "symbol": "EURUSD", "side": legs[0].side if legs else Side.BUY, "opened_at": NOW - timedelta(hours=1),
        "legs": legs, "in_flight": (), "realized": 0.0, "best_net": None, "closing": False, "memory": {},
    }  # fmt: skip
    return CycleView(**{**given, **more})


def view(*cycles: CycleView, bid: float = 1.1, spread_points: int = 10, **more: Any) -> View:
    given: dict[str, Any] = {"now": NOW, "quote": quote(bid, spread_points), "spec": SPEC, "cycles": cycles}
    return View(**{**given, **more})


prices = st.integers(108_000, 112_000).map(lambda points: points * 1e-5)
quotes = st.builds(quote, prices, st.integers(0, 80))


@st.composite
def cycles(draw: Any, number: int) -> CycleView:
    """Draw a cycle with one to four legs, of one side or hedged, perhaps closing, perhaps with a leg under way."""
    side = draw(st.sampled_from(Side))
    hedged = draw(st.booleans())
    entries = draw(st.lists(prices, min_size=1, max_size=4))
    legs = tuple(
        leg(
            n, price, side.opposite if hedged and n % 2 else side, draw(st.integers(1, 100)) / 100,
            order_id=number * 100 + n, ticket=number * 1000 + n,
            swap=draw(st.integers(-500, 100)) / 100, commission=draw(st.integers(-200, 0)) / 100,
            opened_at=NOW - timedelta(minutes=60 - n), sl=draw(st.sampled_from([0.0, 0.0, round(price - 0.002, 5)])),
        )
        for n, price in enumerate(entries)
    )  # fmt: skip
    leaving = InFlight("close", number, 0, side, 0.1, order_id=legs[0].order_id)
    under_way = draw(st.sampled_from([(), (InFlight("open", number, len(legs), side, 0.1),), (leaving,)]))
    remembered = draw(st.sampled_from([{}, {"zone": 0.002, "exit": 0.003}]))
    return cycle(
        *legs, id=number, in_flight=under_way, realized=draw(st.integers(-100, 100)) * 1.0,
        best_net=draw(st.one_of(st.none(), st.integers(0, 300).map(float))), closing=draw(st.booleans()),
        side=side, memory=remembered, last_level=len(legs) - 1 + draw(st.integers(0, 1)),
    )  # fmt: skip


@st.composite
def views(draw: Any) -> View:
    """Draw anything that a strategy may be shown."""
    found = tuple(draw(cycles(number)) for number in range(1, draw(st.integers(0, 3)) + 1))
    return View(
        now=NOW,
        quote=draw(quotes),
        spec=SPEC,
        cycles=found,
        last_entry_at=draw(st.one_of(st.none(), st.integers(0, 200).map(lambda s: NOW - timedelta(seconds=s)))),
        signals={name: draw(st.sampled_from([-0.5, 0.0, 1.0])) for name in ("direction", "move", "active", "optimal")},
        setups=draw(st.sampled_from([(), (SETUP,), (replace(SETUP, side=Side.SELL), SETUP)])),
        atr=draw(st.one_of(st.none(), st.floats(1e-5, 0.01))),
        entries_blocked=draw(st.sampled_from([None, None, "paused"])),
        equity=10_000.0,
        margin_free=9_000.0,
    )


def at_quote(seen: View, other: Quote) -> View:
    """Return the same moment at other prices, with the best net that the engine would have followed there."""
    return replace(seen, quote=other)
