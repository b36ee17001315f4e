"""The split of a difference between live and replay: exact, and each cause where it belongs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtesting.parity.domain import Cause, Moment, Step, TradedLeg, as_row, compare, split_step, totals

# How long examples take to draw says how busy the machine is
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])
BASE = 1.1
prices = st.integers(-200, 200).map(lambda points: round(BASE + points * 1e-5, 5))
moments = st.builds(
    lambda at, bid, spread: Moment(at, bid, round(bid + spread * 1e-5, 5)),
    st.floats(0, 86_400), prices, st.integers(1, 40),
)  # fmt: skip
steps = st.builds(Step, prices, moments, moments)
legs = st.builds(
    TradedLeg, st.sampled_from(["EURUSD", "USDJPY"]), st.sampled_from(["buy", "sell"]), st.integers(0, 2),
    st.just(0.1), st.just(10_000.0), st.integers(-5000, 5000).map(lambda cents: cents / 100), steps,
    st.none() | steps, st.booleans(),
)  # fmt: skip
causes = st.sampled_from([None, *Cause])


@PATIENT
@given(steps, steps, st.booleans())
def test_the_parts_of_a_price_are_the_whole_difference(live: Step, ideal: Step, buying: bool) -> None:
    parts = split_step(live, ideal, buying=buying, money=10_000.0)
    whole = (live.price - ideal.price) * 10_000.0 * (-1 if buying else 1)
    assert sum(parts.values()) == pytest.approx(whole, abs=1e-6)


@PATIENT
@given(st.lists(legs, max_size=12), st.lists(legs, max_size=12), st.lists(causes, min_size=1, max_size=4))
def test_every_leg_is_counted_once_and_the_causes_add_up(
    live: Sequence[TradedLeg], ideal: Sequence[TradedLeg], found: Sequence[Cause | None]
) -> None:
    pairs = compare(live, ideal, lambda symbol, at: found[int(at) % len(found)])
    assert sorted(id(p.live) for p in pairs if p.live) == sorted(map(id, live))
    assert sorted(id(p.ideal) for p in pairs if p.ideal) == sorted(map(id, ideal))
    drift = sum(leg.net for leg in live) - sum(leg.net for leg in ideal)
    assert sum(totals(pairs).values()) == pytest.approx(drift, abs=0.005 * len(Cause) + 1e-6)
    assert all(p.live.key == p.ideal.key for p in pairs if p.live and p.ideal)
    for pair in pairs:
        as_row(pair)


@PATIENT
@given(st.lists(legs, max_size=8))
def test_a_day_equals_itself(live: Sequence[TradedLeg]) -> None:
    # A leg that a guard closed says so even where the replay did the same
    same = [replace(leg, held_back=False, entry=_own(leg.entry), exit=leg.exit and _own(leg.exit)) for leg in live]
    # Of equal legs the twins may be crossed: then their causes differ, and only the sum is nought
    pairs = compare(same, same, lambda symbol, at: None)
    assert sum(pair.drift for pair in pairs) == pytest.approx(0.0, abs=1e-6)


def _own(step: Step) -> Step:
    return replace(step, sent=step.decided)


CALM = Moment(0.0, 1.1, 1.1001)
IDEAL = TradedLeg("EURUSD", "buy", 0, 0.1, 10_000.0, 9.0, Step(1.1001, CALM, CALM), None)


@pytest.mark.parametrize(
    ("entry", "cause", "drift"),
    [
        (Step(1.1003, CALM, CALM), Cause.SLIPPAGE, -2.0),
        (Step(1.1003, CALM, Moment(1.0, 1.1002, 1.1003)), Cause.LATENCY, -2.0),
        (Step(1.1003, Moment(0.0, 1.0998, 1.1003), Moment(0.0, 1.0998, 1.1003)), Cause.SPREAD, -2.0),
        (Step(1.1003, Moment(1.0, 1.1002, 1.1003), Moment(1.0, 1.1002, 1.1003)), Cause.MISSED_TICK, -2.0),
    ],
)
def test_each_cause_of_a_worse_entry_is_named(entry: Step, cause: Cause, drift: float) -> None:
    live = replace(IDEAL, entry=entry, net=IDEAL.net + drift)
    found = {c: part for c, part in totals(compare([live], [IDEAL], lambda symbol, at: None)).items() if part}
    assert found == {cause: drift}


def test_what_follows_a_missed_entry_is_of_its_cause() -> None:
    late = Moment(900.0, 1.1, 1.1001)
    later = replace(IDEAL, level=1, net=4.0, entry=Step(1.1001, late, late))
    found = totals(compare([], [IDEAL, later], lambda symbol, at: Cause.GAP if at < 10 else None))
    assert found[Cause.GAP] == -13.0


def test_what_a_guard_closed_is_the_guards() -> None:
    exits = Step(1.09, Moment(50.0, 1.09, 1.0901), Moment(50.0, 1.09, 1.0901))
    live = replace(IDEAL, exit=exits, net=-101.0, held_back=True)
    assert totals(compare([live], [IDEAL], lambda symbol, at: None))[Cause.GUARD] == -110.0
