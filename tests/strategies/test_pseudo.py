"""Pseudo positions: jumping equals candle by candle, limits and cooldowns hold, results are counted right."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from brokers.candles import Candles
from brokers.domain import Side
from marketdata.indications import IndicationSettings, Kind
from strategies.pseudo import kernels
from strategies.pseudo.results import last_results, read_results
from strategies.pseudo.sets import SetGrid, SymbolSets
from tests.marketdata.markets import cuts, walk

EAGER = IndicationSettings(
    min_move=0.2, pullback=0.8, active_window_seconds=20, active_threshold=0.00005, validation_seconds=2.0
)
GRID = SetGrid(
    take_profits=(0.5, 1.0, 2.0), stop_losses=(0.5, 1.0), cooldown_seconds=5.0, min_profit_factor=0.8, min_trades=3,
    commission=1e-6, indications=EAGER,
)  # fmt: skip


def fed(candles: Candles, grid: SetGrid = GRID) -> SymbolSets:
    sets = SymbolSets(grid)
    sets.take(candles)
    return sets


def assert_same(one: SymbolSets, other: SymbolSets) -> None:
    np.testing.assert_array_equal(one.sets, other.sets)
    np.testing.assert_array_equal(one.results, other.results)
    np.testing.assert_array_equal(one.valid, other.valid)
    assert (one.signals(), one.setups(), one.at) == (other.signals(), other.setups(), other.at)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(0, 10_000))
@pytest.mark.requirement("S4-49")
def test_jumping_over_history_equals_candle_by_candle(data: Any, seed: int) -> None:
    candles = walk(seed, 2500)
    steps = SymbolSets(GRID)
    for i in range(len(candles)):
        steps.take(candles.part(i, i + 1))
    jumps = SymbolSets(GRID)
    places = cuts(data.draw, len(candles))
    for start, end in pairwise(places):
        jumps.take(candles.part(start, end))
    assert_same(jumps, steps)


@pytest.mark.requirement("S4-10", "S4-16")
def test_every_indication_trades_in_the_long_run() -> None:
    sets = fed(walk(1, 20_000))
    trades = dict.fromkeys(Kind, 0)
    for result in sets.ranking():
        trades[result.key.kind] += result.trades
    assert all(count > 10 for count in trades.values()), trades


@pytest.mark.requirement("S4-32", "S4-34")
def test_a_set_holds_one_position_and_waits_after_a_close() -> None:
    candles = walk(4, 6000)
    sets = SymbolSets(GRID)
    closed_at = np.full(len(GRID.sets), -math.inf)
    entries = 0
    for i in range(len(candles)):
        before = sets.sets.copy()
        sets.take(candles.part(i, i + 1))
        after, t = sets.sets, candles.at[i]
        closed = after[:, kernels.TRADES] > before[:, kernels.TRADES]
        opened = (after[:, kernels.OPEN] > 0) & (before[:, kernels.OPEN] == 0)
        assert (after[:, kernels.TRADES] - before[:, kernels.TRADES] <= 1).all()
        assert not (opened & closed).any()
        assert (t - closed_at[opened] >= GRID.cooldown_seconds).all()
        held = (after[:, kernels.OPEN] > 0) & (before[:, kernels.OPEN] > 0)
        np.testing.assert_array_equal(after[held, kernels.ENTRY], before[held, kernels.ENTRY])
        closed_at[closed] = t
        entries += int(opened.sum())
    assert entries > 200


@pytest.mark.requirement("S4-33")
def test_only_a_signal_that_lasted_opens_a_position() -> None:
    sets = SymbolSets(GRID)
    candles = walk(8, 4000)
    opened_any = False
    for i in range(len(candles)):
        before = sets.sets[:, kernels.OPEN].copy()
        sets.take(candles.part(i, i + 1))
        for k in np.flatnonzero((sets.sets[:, kernels.OPEN] > 0) & (before == 0)):
            key = GRID.sets[k]
            assert sets.valid[key.kind] == key.side.sign
            opened_any = True
    assert opened_any


def one_set(side: Side, *, follows: bool = False) -> tuple[SetGrid, SymbolSets]:
    grid = SetGrid((2.0,), (1.0,), (follows,), commission=0.0, indications=EAGER)
    sets = SymbolSets(grid)
    k = [key.side for key in grid.sets].index(side)
    kernels.enter(sets.sets, k, side.sign, 2.0, 1.0, follows, 0.0, 1.1, 0.0001, 0.001)
    return grid, sets


def candle(t: float, opened: float, high: float, low: float, close: float, spread: float = 0.0001) -> Candles:
    return Candles(*(np.array([value]) for value in (t, opened, high, low, close, 1.0, spread)))


@pytest.mark.parametrize(
    ("side", "bar", "earned"),
    [
        # A buy opens at the ask 1.1001: stop 1.0991, target 1.1021, both on the bid
        (Side.BUY, (1.1, 1.1021, 1.0995, 1.102), 2.0),
        (Side.BUY, (1.1, 1.1010, 1.0991, 1.1), -1.0),
        (Side.BUY, (1.1, 1.1030, 1.0990, 1.1), -1.0),  # both touched: the stop came first
        (Side.BUY, (1.0980, 1.0985, 1.0975, 1.098), -2.1),  # opened beyond the stop
        # A sell opens at the bid 1.1000: stop 1.1010, target 1.0980, both on the ask
        (Side.SELL, (1.1, 1.1005, 1.0979, 1.098), 2.0),
        (Side.SELL, (1.1, 1.1009, 1.0995, 1.1), -1.0),
        (Side.SELL, (1.1020, 1.1025, 1.1015, 1.102), -2.1),
    ],
)
def test_exits_pay_the_spread_and_the_worse_price(side: Side, bar: tuple[float, ...], earned: float) -> None:
    _, sets = one_set(side)
    sets.take(candle(1.0, *bar))
    done = [r for r in sets.ranking() if r.trades]
    assert [r.expectancy for r in done] == [pytest.approx(earned)]


def test_a_trailing_set_follows_from_half_its_target() -> None:
    grid, sets = one_set(Side.BUY, follows=True)
    k = next(i for i, key in enumerate(grid.sets) if sets.sets[i, kernels.OPEN])
    stops = []
    for t, high in enumerate((1.1010, 1.1012, 1.1015, 1.1014)):
        sets.take(candle(float(t + 1), high - 0.0001, high, high - 0.0002, high - 0.0001))
        stops.append(round(float(sets.sets[k, kernels.STOP]), 6))
    assert stops == [1.0991, 1.1002, 1.1005, 1.1005]


@given(st.lists(st.integers(-40, 40).map(lambda n: n / 8), max_size=120))
def test_results_are_those_of_the_last_fifty(values: list[float]) -> None:
    ring, row = np.zeros(kernels.KEPT, np.float32), np.zeros(kernels.FIELDS)
    for n, value in enumerate(values):
        ring[n % kernels.KEPT] = value
    row[kernels.TRADES] = len(values)
    recent = values[-kernels.KEPT :]
    assert last_results(ring, len(values)).tolist() == recent
    (result,) = read_results([GRID.sets[0]], row[None], ring[None])
    lost, gained = -sum(v for v in recent if v <= 0), sum(v for v in recent if v > 0)
    assert result.profit_factor == pytest.approx(gained / lost if lost else math.inf if gained else 0.0)
    assert result.profit_factor == pytest.approx(kernels.profit_factor(ring[None], 0, len(values)))
    assert result.expectancy == pytest.approx(sum(recent) / len(recent) if recent else 0.0)
    best = total = deepest = 0.0
    for value in recent:
        total += value
        best, deepest = max(best, total), max(deepest, max(best, total) - total)
    assert result.drawdown == pytest.approx(deepest)


@pytest.mark.requirement("S4-61")
def test_only_sets_within_the_limits_are_setups_best_first() -> None:
    sets = fed(walk(1, 20_000))
    candles = walk(21, 4000)
    candles = replace(candles, at=candles.at + 30_000)
    found: list[Any] = []
    for i in range(len(candles)):
        sets.take(candles.part(i, i + 1))
        setups = sets.setups()
        factors = [s.profit_factor for s in setups]
        assert factors == sorted(factors, reverse=True)
        assert all(s.trades >= GRID.min_trades and s.profit_factor >= GRID.min_profit_factor for s in setups)
        found.extend(setups)
    assert found


def test_another_grid_has_another_name() -> None:
    assert GRID.fingerprint == replace(GRID).fingerprint
    assert GRID.fingerprint != replace(GRID, min_trades=4).fingerprint
    assert GRID.fingerprint != replace(GRID, indications=replace(EAGER, pullback=0.5)).fingerprint
