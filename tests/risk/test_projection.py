"""The worst case: asked from the strategy itself, and equal to what the price would bring."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.domain import Quote, Side, SymbolSpec
from risk.domain.projection import awaited, coming, lots_of, opened, run_of, stop_out_bid, walk, worst_case
from strategies import registry
from strategies.domain import OpenCycle, View

NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 100_000, 0.01, 100, 0.01, 0, 0, 100_000, "EUR", "USD", 1, 2, True, 1100.0)
QUOTE = Quote("EURUSD", 1.1, 1.1001, NOW)
VIEW = View(NOW, QUOTE, SPEC, (), equity=10_000, margin_free=10_000)
GRID = registry.get("cycle-trader")


def grid(**values: object) -> object:
    return GRID.params.model_validate({"lot_size": 0.1, "distance": 10.0, "target_profit": 1e6, **values})


def test_a_grid_is_walked_to_its_last_level_by_its_own_decisions() -> None:
    view = opened(VIEW, OpenCycle(Side.BUY, 0.1, "entry"))
    points = walk(GRID.decide, grid(direction="buy", max_levels=4), view, falling=True)
    run = run_of(points, SPEC, falling=True)
    assert run.levels == 3
    # Levels at 10, 20 and 30 pips below the first entry: 30 + 20 + 10 pips of 0.1 lot, and the spread of each leg
    assert run.equity_change == pytest.approx(-(30 + 20 + 10) * 1.0 - 3 * 1.0, abs=0.05)
    assert run.margin_change == pytest.approx(0.3 * 1100)
    assert run_of(walk(GRID.decide, grid(direction="buy"), view, falling=False), SPEC, falling=False).levels == 0


def test_what_a_grid_would_add_and_waits_for_can_be_drawn() -> None:
    view = opened(VIEW, OpenCycle(Side.BUY, 0.1, "entry"))
    params = GRID.params.model_validate({"lot_size": 0.1, "distance": 10.0, "target_profit": 20.0, "direction": "buy"})
    legs = coming(walk(GRID.decide, params, view, falling=True))
    assert [(leg.level, leg.side, leg.price_open) for leg in legs][:2] == [(1, Side.BUY, 1.0991), (2, Side.BUY, 1.0981)]
    assert coming(walk(GRID.decide, params, view, falling=False)) == ()
    found = dict(awaited(GRID.decide(view, params).watches, view))
    # The entry at 1.1001 needs 20 pips of 0.1 lot for 20
    assert found["target"] == pytest.approx(1.1021)
    assert found["level 1"] == pytest.approx(1.0991)


def test_a_money_stop_ends_the_walk_with_its_loss() -> None:
    view = opened(VIEW, OpenCycle(Side.BUY, 0.1, "entry"))
    params = grid(direction="buy", max_levels=8, stop_loss_money=50.0)
    run = run_of(walk(GRID.decide, params, view, falling=True), SPEC, falling=True)
    assert run.equity_change == pytest.approx(-49, abs=1.5)
    assert run.margin_change == 0


def test_resting_levels_fill_on_the_way() -> None:
    view = opened(VIEW, OpenCycle(Side.BUY, 0.1, "entry"))
    market = walk(GRID.decide, grid(direction="buy", max_levels=4), view, falling=True)
    resting = walk(GRID.decide, grid(direction="buy", max_levels=4, pending=True), view, falling=True)
    assert run_of(resting, SPEC, falling=True).levels == run_of(market, SPEC, falling=True).levels == 3


def test_the_worse_direction_counts_and_symbols_add_up() -> None:
    runs = []
    for side in (Side.BUY, Side.SELL):
        for falling in (True, False):
            view = opened(VIEW, OpenCycle(side, 0.1, "entry"))
            runs.append(run_of(walk(GRID.decide, grid(max_levels=4), view, falling=falling), SPEC, falling=falling))
    both = worst_case(10_000, 220, runs, 50.0)
    assert both.equity == pytest.approx(10_000 - 63 + 3, abs=40)
    assert both.margin_level is not None
    assert not both.is_stop_out
    assert worst_case(200, 220, runs, 50.0).is_stop_out
    assert worst_case(10_000, 0, [], 50.0).margin_level is None


@given(
    buys=st.floats(0, 5).map(lambda v: round(v, 2)),
    sells=st.floats(0, 5).map(lambda v: round(v, 2)),
    equity=st.floats(1_000, 50_000),
)
def test_at_the_stop_out_price_the_margin_level_is_the_stop_out(buys: float, sells: float, equity: float) -> None:
    margin = max(buys, sells) * 1100
    bid = stop_out_bid(equity, margin, (buys, sells), QUOTE, SPEC, 50.0)
    if bid is None:
        assert abs(buys - sells) < 1e-9 or (buys - sells) * 1e5 * 1.1 <= equity - margin / 2 + 1
        return
    left = equity + (bid - QUOTE.bid) * (buys - sells) * SPEC.value_per_price
    assert left / margin * 100 == pytest.approx(50.0, abs=0.5)


def test_lots_are_counted_by_side() -> None:
    view = opened(opened(VIEW, OpenCycle(Side.BUY, 0.1, "e")), OpenCycle(Side.SELL, 0.2, "e"))
    assert lots_of(leg for cycle in view.cycles for leg in cycle.legs) == (0.1, 0.2)
