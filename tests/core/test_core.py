from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import VirtualClock
from core.ids import SeededIds, SystemIds
from core.numbers import floor_to_step, money, moved, round_to_digits


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from([0.01, 0.1, 1.0, 0.001, 0.05]))
def test_a_multiple_of_the_step_is_kept(steps: int, step: float) -> None:
    assert floor_to_step(steps * step, step) == pytest.approx(steps * step, abs=1e-9)


@given(st.floats(min_value=0, max_value=1000), st.sampled_from([0.01, 0.1, 1.0]))
def test_a_volume_is_never_rounded_up(value: float, step: float) -> None:
    floored = floor_to_step(value, step)
    assert floored <= value + step * 2e-6
    assert value - floored < step * (1 + 1e-6)


def test_a_step_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="step"):
        floor_to_step(1.0, 0.0)


def test_minus_zero_becomes_zero() -> None:
    assert str(round_to_digits(-0.0000001, 2)) == "0.0"


@pytest.mark.requirement("S0-04")
@pytest.mark.parametrize(("before", "after", "expected"), [(0.0, 0.01, False), (0.0, 0.02, True), (5.0, 4.98, True)])
def test_only_a_change_above_one_cent_counts(before: float, after: float, expected: bool) -> None:
    assert moved(before, after) is expected


def test_money_is_exact_in_the_database() -> None:
    assert str(money(0.1 + 0.2)) == "0.30"


def test_a_virtual_clock_moves_only_forward() -> None:
    clock = VirtualClock(datetime(2026, 1, 5, tzinfo=UTC))
    clock.sleep(2.5)
    assert (clock.now() - datetime(2026, 1, 5, tzinfo=UTC)).total_seconds() == clock.ticks() == 2.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_virtual_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(datetime(2026, 1, 5))  # noqa: DTZ001 - the refusal is what is tested


def test_the_same_seed_gives_the_same_tokens() -> None:
    assert [SeededIds(7).token() for _ in range(2)] == [SeededIds(7).token()] * 2
    assert SeededIds(7).token() != SeededIds(8).token()
    assert len({SystemIds().token() for _ in range(100)}) == 100
