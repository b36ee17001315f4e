"""Indications: equal to their words, and the same in one piece, in many, or candle by candle."""

from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from brokers.candles import from_ticks
from marketdata.indications import IndicationSettings, Indicator, Kind, average_true_range
from tests.marketdata.markets import cuts, walk
from tests.marketdata.reference import reference

SOME = IndicationSettings(active_window_seconds=20, active_threshold=0.0002, validation_seconds=3.0)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(0, 10_000), st.sampled_from([1, 60]))
@pytest.mark.requirement("S4-06", "S4-11")
def test_pieces_give_exactly_what_the_whole_gives(data: Any, seed: int, seconds: int) -> None:
    made = IndicationSettings(active_window_seconds=20 * seconds, active_threshold=0.0002, candle_seconds=seconds)
    candles = walk(seed, 1500, seconds=seconds)
    whole = Indicator(made)
    expected = whole.take(candles)
    places = cuts(data.draw, len(candles))
    pieces = Indicator(made)
    for start, end in pairwise(places):
        # A state that was stored and read back goes on the same
        pieces = Indicator(made, np.frombuffer(pieces.state.tobytes()))
        found = pieces.take(candles.part(start, end))
        for name in ("sign", "strength", "size", "valid", "atr"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[start:end])
    np.testing.assert_array_equal(pieces.state, whole.state)


def test_candle_by_candle_is_the_same_as_at_once() -> None:
    candles = walk(3, 1200)
    expected = Indicator(SOME).take(candles)
    one_by_one = Indicator(SOME)
    for i in range(len(candles)):
        found = one_by_one.take(candles.part(i, i + 1))
        np.testing.assert_array_equal(found.sign[0], expected.sign[i])
        np.testing.assert_array_equal(found.strength[0], expected.strength[i])
        np.testing.assert_array_equal(found.valid[0], expected.valid[i])


@pytest.mark.requirement("S4-07", "S4-08", "S4-09", "S4-10")
def test_each_indication_is_what_its_words_say() -> None:
    seen = dict.fromkeys(Kind, 0)
    for seed in range(4):
        candles = walk(seed, 1400)
        found = Indicator(SOME).take(candles)
        for i in range(900, 1400, 3):
            words = reference(candles, i, SOME)
            for kind in Kind:
                expected = words[kind.label]
                got = (int(found.sign[i, kind]), int(found.size[i, kind]))
                assert got == (expected[0], expected[2]), (seed, i, kind)
                assert float(found.strength[i, kind]) == pytest.approx(expected[1], abs=1e-6)
                seen[kind] += expected[0] != 0
    assert all(count > 20 for count in seen.values()), seen


@pytest.mark.requirement("S4-33")
def test_a_signal_is_valid_once_it_has_lasted() -> None:
    found = Indicator(SOME).take(candles := walk(5, 1400))
    for kind in Kind:
        for i in range(1, len(candles)):
            since = i
            while since > 0 and found.sign[since - 1, kind] == found.sign[i, kind]:
                since -= 1
            lasted = candles.at[i] - candles.at[since] >= SOME.validation_seconds
            assert found.valid[i, kind] == (found.sign[i, kind] if lasted else 0)


def test_nothing_looks_ahead() -> None:
    candles = walk(9, 1200)
    whole = Indicator(SOME).take(candles)
    for end in (400, 700, 1100):
        part = Indicator(SOME).take(candles.part(0, end))
        np.testing.assert_array_equal(part.sign, whole.sign[:end])
        np.testing.assert_array_equal(part.strength, whole.strength[:end])


def test_the_range_is_that_of_closed_minutes() -> None:
    candles = walk(2, 1300)
    indicator = Indicator(SOME)
    indicator.take(candles)
    number = candles.at // 60
    closed = [number == m for m in sorted(set(number))[:-1]]
    expected = average_true_range(
        [candles.high[m].max() for m in closed],
        [candles.low[m].min() for m in closed],
        [candles.close[m][-1] for m in closed],
    )
    assert indicator.atr == pytest.approx(expected)


def test_ticks_make_candles_and_silence_makes_none() -> None:
    at = np.array([10.1, 10.9, 12.0, 12.5, 12.9])
    bid = np.array([1.0, 1.2, 1.1, 0.9, 1.0])
    made = from_ticks(at, bid, bid + 0.01 * np.arange(1, 6), 1)
    assert made.at.tolist() == [10.0, 12.0]
    assert [made.open.tolist(), made.high.tolist(), made.low.tolist(), made.close.tolist()] == [
        [1.0, 1.1], [1.2, 1.1], [1.0, 0.9], [1.2, 1.0],
    ]  # fmt: skip
    assert made.ticks.tolist() == [2.0, 3.0]
    np.testing.assert_allclose(made.spread, [0.01, 0.03])


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers"):
        Indicator(SOME, np.zeros(3))
