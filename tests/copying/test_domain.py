"""What a provider's position is worth to a subscriber."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.domain import Side
from copying.domain import (
    Enter,
    Later,
    Never,
    Position,
    Rules,
    Scaling,
    Standing,
    excess,
    mirrored,
    plan,
    stops_of,
    symbol_of,
)
from tests.strategies.views import NOW, SPEC, view

QUOTE = view().quote
RULES = Rules(Scaling.MULTIPLIER, 1.0, {}, False, 5.0, 3, timedelta(seconds=10), 5.0)
POSITION = Position("EURUSD", Side.BUY, 0.3, QUOTE.ask, QUOTE.bid - 0.01, QUOTE.ask + 0.02, NOW - timedelta(seconds=1))
STANDING = Standing(NOW, QUOTE, SPEC, 10_000.0, 20_000.0, 0)
LOTS = st.floats(0.001, 1_000.0)


def test_lots_follow_equity_a_number_or_a_multiple() -> None:
    for scaling, factor, lots in (
        (Scaling.EQUITY, 1.0, 0.15), (Scaling.EQUITY, 2.0, 0.3), (Scaling.FIXED, 0.07, 0.07),
        (Scaling.MULTIPLIER, 0.5, 0.15), (Scaling.MULTIPLIER, 100.0, 5.0),
    ):  # fmt: skip
        found = plan(replace(RULES, scaling=scaling, factor=factor), POSITION, STANDING)
        assert found == Enter(Side.BUY, lots, POSITION.sl, POSITION.tp)


def test_brokers_differ_in_what_a_lot_is() -> None:
    tenth = replace(POSITION, contract_size=SPEC.contract_size / 10)
    assert plan(RULES, tenth, STANDING) == Enter(Side.BUY, 0.03, POSITION.sl, POSITION.tp)


def test_turned_around_sides_and_stops_change_places() -> None:
    found = plan(replace(RULES, reverse=True), replace(POSITION, price=QUOTE.bid), STANDING)
    assert found == Enter(Side.SELL, 0.3, POSITION.tp, POSITION.sl)


@pytest.mark.parametrize(
    ("rules", "position", "standing", "kind", "why"),
    [
        ({}, {"opened_at": NOW - timedelta(seconds=11)}, {}, Never, "seen 11.0 s after"),
        ({}, {}, {"open_copies": 3}, Later, "3 copies are open"),
        ({}, {"price": QUOTE.ask + 0.0006}, {}, Later, "6.0 pips from"),
        ({}, {"price": QUOTE.ask - 0.0006}, {}, Later, "6.0 pips from"),
        ({"scaling": Scaling.EQUITY}, {}, {"equity": None}, Later, "equity"),
        ({"scaling": Scaling.EQUITY}, {}, {"equity_provider": 0.0}, Later, "equity"),
        ({"scaling": Scaling.EQUITY}, {}, {"equity": -5.0}, Later, "equity"),
        ({"factor": 0.001}, {}, {}, Never, "less than the broker's least"),
    ],
)
def test_what_is_not_copied_says_why(
    rules: dict[str, object], position: dict[str, object], standing: dict[str, object], kind: type, why: str
) -> None:
    found = plan(replace(RULES, **rules), replace(POSITION, **position), replace(STANDING, **standing))  # type: ignore[arg-type]
    assert isinstance(found, Later | Never)
    assert isinstance(found, kind)
    assert why in found.why


def test_symbols_are_mapped_and_others_left_out() -> None:
    rules = replace(RULES, symbol_map={"EURUSD.r": "EURUSD"})
    assert symbol_of(rules, "EURUSD.r", ["EURUSD"]) == "EURUSD"
    assert symbol_of(rules, "EURUSD", ["EURUSD"]) == "EURUSD"
    assert isinstance(symbol_of(rules, "XAUUSD", ["EURUSD"]), Never)


@given(LOTS, LOTS, LOTS, st.sampled_from(list(Scaling)), st.floats(1, 1e6), st.floats(1, 1e6))
def test_no_copy_is_larger_than_asked_for_or_allowed(
    volume: float, factor: float, most: float, scaling: Scaling, ours: float, theirs: float
) -> None:
    rules = replace(RULES, scaling=scaling, factor=factor, volume_max=most)
    standing = replace(STANDING, equity=ours, equity_provider=theirs)
    found = plan(rules, replace(POSITION, volume=volume), standing)
    if isinstance(found, Enter):
        asked = {
            Scaling.FIXED: factor, Scaling.MULTIPLIER: volume * factor, Scaling.EQUITY: volume * factor * ours / theirs
        }[scaling]  # fmt: skip
        slack = SPEC.volume_step * 1e-5
        assert SPEC.volume_min <= found.volume <= min(asked, most, SPEC.volume_max) + slack
        assert abs(found.volume / SPEC.volume_step - round(found.volume / SPEC.volume_step)) < 1e-6
    else:
        assert found.why


@given(LOTS, LOTS, LOTS)
def test_a_larger_position_never_has_a_smaller_copy(one: float, two: float, factor: float) -> None:
    small, large = sorted((one, two))
    rules = replace(RULES, factor=factor, volume_max=1e9)
    copies = [plan(rules, replace(POSITION, volume=volume), STANDING) for volume in (small, large)]
    if isinstance(copies[0], Enter):
        assert isinstance(copies[1], Enter)
        assert copies[0].volume <= copies[1].volume


STEPS = st.integers(1, 500).map(lambda n: n / 100)


@given(STEPS, STEPS, st.floats(0, 1), st.floats(0, 1))
def test_parts_are_closed_towards_the_providers_share(ours: float, theirs: float, first: float, second: float) -> None:
    held, seen = ours, theirs
    for share in (first, first * second):
        seen = min(seen, max(0.01, round(theirs * share, 2)))
        part = excess(held, ours, seen, theirs, SPEC)
        assert 0 <= part <= held
        held = round(held - part, 8)
        assert held >= SPEC.volume_min - 1e-9
        wanted = max(SPEC.volume_min, ours * seen / theirs)
        assert held <= wanted + SPEC.volume_step / 2 + 1e-6 or part == 0
        assert held >= wanted - SPEC.volume_step / 2 - 1e-6
        assert excess(held, ours, seen, theirs, SPEC) == 0, "asked again it closes no more"
    assert excess(ours, ours, theirs, theirs, SPEC) == 0


@given(st.sampled_from(list(Side)), st.floats(0, 2), st.floats(0, 2))
def test_turning_around_twice_changes_nothing(side: Side, sl: float, tp: float) -> None:
    assert mirrored(mirrored(side, True), True) is side
    assert mirrored(side, False) is side
    assert stops_of(*stops_of(sl, tp, True), True) == (sl, tp)
