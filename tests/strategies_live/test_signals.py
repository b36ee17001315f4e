"""Indications and pseudo positions in a session: history at start, then second by second, kept over a crash."""

from datetime import timedelta

import numpy as np
import pytest

from engine.models import EngineState
from strategies.models import PseudoBook, SignalSettings
from strategies.pseudo.sets import SymbolSets
from strategies.pseudo.store import grid_of, restore
from tests.marketdata.markets import walk
from tests.world import BID, START, World

EAGER = {
    "min_move": 0.2, "pullback": 0.8, "active_window_seconds": 20, "active_threshold_percent": 0.005,
    "validation_seconds": 2.0, "cooldown_seconds": 5.0, "min_profit_factor": 0.0, "min_trades": 1, "history_days": 1,
}  # fmt: skip


def eager(world: World) -> None:
    SignalSettings.objects.create(account=world.account, **EAGER)


def walking(world: World, seconds: int, seed: int = 3) -> None:
    """Let the market walk a tick a second, while the session's signals follow it."""
    closes = walk(seed, seconds).close
    for bid in closes - closes[0] + world.bid:
        world.clock.advance(0.999)
        world.price(float(bid))
        world.session.signals.run({"EURUSD"})


def followed(world: World) -> SymbolSets:
    return world.session.signals._followed["EURUSD"].sets


@pytest.mark.requirement("S4-04", "S4-30", "S4-31", "S4-38", "S4-49")
def test_the_history_is_computed_at_start_and_then_followed(lively: World) -> None:
    eager(lively)
    lively.bot(direction="signal")
    assert EngineState.objects.filter(prehistoric_data_loaded=True).count() == 0
    lively.run(5)
    assert EngineState.objects.get().prehistoric_data_loaded
    sets = followed(lively)
    # An hour of two ticks a minute was before the start, and each minute ranged ten pips
    assert sets.indicator.atr == pytest.approx(0.001, rel=0.01)
    assert sets.at >= START.timestamp()
    before = sets.at
    walking(lively, 10)
    assert sets.at - before == pytest.approx(10, abs=1)


@pytest.mark.requirement("S4-16", "S4-20")
def test_live_second_by_second_ends_like_the_whole_history_at_once(lively: World) -> None:
    eager(lively)
    lively.bot(direction="signal")
    lively.run(5)
    walking(lively, 240)
    sets = followed(lively)
    assert sum(r.trades for r in sets.ranking()) > 5
    again = SymbolSets(sets.grid)
    since, until = START - timedelta(days=1), START + timedelta(seconds=sets.at - START.timestamp() + 1)
    gateway = lively.session.gateway
    again.take(gateway.candle_range("EURUSD", 1, since, until))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(again.sets, sets.sets)
    np.testing.assert_array_equal(again.results, sets.results)
    np.testing.assert_array_equal(again.indicator.state, sets.indicator.state)


def test_a_restart_goes_on_where_the_last_row_ended(lively: World) -> None:
    eager(lively)
    lively.bot(direction="signal")
    lively.run(5)
    walking(lively, 130)
    row = PseudoBook.objects.get()
    grid = grid_of(SignalSettings.objects.get(), 0.0001)
    kept = restore(lively.account.pk, "EURUSD", grid, since=START)
    assert kept is not None
    stored_at = kept.at
    assert stored_at >= START.timestamp() + 60
    lively.restart()
    lively.run(5)
    sets = followed(lively)
    whole = SymbolSets(sets.grid)
    end = START + timedelta(seconds=sets.at - START.timestamp() + 1)
    gateway = lively.session.gateway
    whole.take(gateway.candle_range("EURUSD", 1, START - timedelta(days=1), end))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(whole.sets, sets.sets)
    assert PseudoBook.objects.get().pk == row.pk
    # What began before the stored row was taken from it, not computed again
    assert restore(lively.account.pk, "EURUSD", grid, since=START) is not None


def test_other_settings_begin_anew(lively: World) -> None:
    eager(lively)
    lively.bot(direction="signal")
    lively.run(5)
    grid = grid_of(SignalSettings.objects.get(), 0.0001)
    SignalSettings.objects.update(min_move=0.4)
    other = grid_of(SignalSettings.objects.get(), 0.0001)
    assert restore(lively.account.pk, "EURUSD", grid, since=START - timedelta(days=1)) is not None
    assert restore(lively.account.pk, "EURUSD", other, since=START - timedelta(days=1)) is None


@pytest.mark.requirement("S4-21", "S4-22", "S4-23")
def test_at_most_ten_symbols_are_read_in_a_pass_and_each_has_its_turn(lively: World) -> None:
    signals = lively.session.signals
    names = [f"S{n:02d}" for n in range(25)]
    grid = grid_of(SignalSettings(account=lively.account), 0.0001)
    from engine.signals import Followed

    for name in names:
        signals._followed[name] = Followed(SymbolSets(grid), START - timedelta(minutes=1), live=True)
    turns = [signals._behind(names) for _ in range(5)]
    assert [len(turn) for turn in turns] == [10] * 5
    assert {name for turn in turns[:3] for name in turn} == set(names)


def test_a_symbol_that_nobody_knows_keeps_no_other_from_loading(lively: World) -> None:
    lively.bot(direction="signal", symbols=("AAAAAA", "EURUSD", "ZZZZZZ"))
    lively.run(5)
    assert lively.session.signals.signals("EURUSD")
    assert not lively.session.signals.loaded
    assert lively.session.signals.signals("AAAAAA") == {}


def test_a_read_that_fails_stops_no_entry_of_others(lively: World) -> None:
    lively.bot(direction="signal")
    lively.run(5)
    lively.terminal.faults.none_from("copy_ticks_range", 5)
    # How long the pauses between its tries are is drawn
    signals = lively.session.loop.jobs["signals"]
    while signals.errors < 5 or signals.failures_in_a_row:
        lively.run(5)
        assert lively.clock.now() < START + timedelta(minutes=5), signals.last_error
    assert followed(lively).at > START.timestamp() + 10
    assert abs(lively.bid - BID) < 0.01
