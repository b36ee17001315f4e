"""What trading has brought: sums to the cent, falls, and a gain that payments don't move."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.statistics import Figures, Flow, Trade, curve, figures, grouped

START = datetime(2026, 1, 1, tzinfo=UTC)
cents = st.integers(-50_000, 50_000).map(lambda n: n / 100)


def trade(n: int, result: float, symbol: str = "EURUSD") -> Trade:
    return Trade(1, n, symbol, 7, 0.1, START + timedelta(hours=n), START + timedelta(hours=n + 1), result)


def test_figures_of_a_known_list() -> None:
    seen = figures(trade(n, r) for n, r in enumerate((10.0, 20.0, -5.0, -5.0, -5.0, 30.0, 0.0)))
    assert (seen.trades, seen.wins, seen.losses, seen.net) == (7, 3, 3, 45.0)
    assert (seen.profit_factor, seen.best, seen.worst) == (4.0, 30.0, -5.0)
    assert (seen.longest_win_streak, seen.longest_loss_streak) == (2, 3)
    assert (seen.mean_win, seen.mean_loss, seen.mean_hours) == (20.0, -5.0, 1.0)
    assert seen.expectancy == pytest.approx(45 / 7)


def test_nothing_is_divided_by_nothing() -> None:
    seen = figures([])
    assert (seen.profit_factor, seen.expectancy, seen.win_rate, seen.mean_win, seen.mean_hours) == (None,) * 5
    assert figures([trade(1, 3.0)]).profit_factor is None
    empty = curve([], [])
    assert (empty.points, empty.gain, empty.drawdown_share, empty.drawdown) == ((), None, None, 0.0)


@given(st.lists(cents, max_size=40), st.lists(st.sampled_from(["EURUSD", "XAUUSD", "US500"]), min_size=40, max_size=40))
def test_groups_sum_to_the_whole_in_any_order(results: list[float], symbols: list[str]) -> None:
    trades = [trade(n, r, s) for n, (r, s) in enumerate(zip(results, symbols, strict=False))]
    whole, parts = figures(trades), grouped(reversed(trades), lambda t: t.symbol)
    assert whole == figures(reversed(trades))
    assert sum(part.net for part in parts.values()) == pytest.approx(whole.net, abs=1e-6)
    assert sum(part.trades for part in parts.values()) == whole.trades
    assert whole.gross_profit - whole.gross_loss == pytest.approx(whole.net, abs=1e-6)


def test_a_deposit_is_no_gain_and_a_withdrawal_no_loss() -> None:
    flows = [
        Flow(1, START, 1000.0),
        Flow(1, START + timedelta(hours=5), 9000.0),
        Flow(1, START + timedelta(hours=9), -5000.0),
    ]
    seen = curve([trade(1, 100.0), trade(6, 1010.0), trade(9, -611.0)], flows)
    assert seen.gain == pytest.approx(1.1 * 1.1 * 0.9 - 1)
    assert seen.points[-1][1] == pytest.approx(1000 + 9000 - 5000 + 100 + 1010 - 611)
    assert seen.drawdown == pytest.approx(611.0)
    assert seen.drawdown_share == pytest.approx(0.1, abs=0.001)


def test_months_multiply_to_the_gain() -> None:
    trades = [
        Trade(1, n, "EURUSD", 7, 0.1, START, START + timedelta(days=20 * n), r)
        for n, r in ((1, 50.0), (2, -20.0), (4, 9.0))
    ]
    seen = curve(trades, [Flow(1, START, 500.0)])
    product = 1.0
    for share in seen.by_month.values():
        product *= 1 + share
    assert product - 1 == pytest.approx(seen.gain)
    assert list(seen.by_month) == [(2026, 1), (2026, 2), (2026, 3)]


@given(st.lists(cents, max_size=40), st.floats(1.0, 1e6))
def test_a_fall_is_never_negative_nor_more_than_all_that_was_lost(results: list[float], deposit: float) -> None:
    seen = curve([trade(n, r) for n, r in enumerate(results)], [Flow(1, START, deposit)])
    lost = sum(-r for r in results if r < 0)
    assert 0 <= seen.drawdown <= lost + 1e-6
    assert seen.points[-1][1] == pytest.approx(deposit + sum(results))


def test_figures_are_values() -> None:
    assert figures([trade(1, 1.0)]) == figures([trade(1, 1.0)])
    assert isinstance(figures([]), Figures)
