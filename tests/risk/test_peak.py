"""The clean peak: what may raise it, what money in and out does to it, and that it can be computed again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.numbers import adds_up
from risk.domain.peak import Peak, Reading, advance, begin, rebuild
from risk.peaks import follow_peak
from risk.selectors import Ledger

START = datetime(2026, 3, 3, tzinfo=UTC)
worth = st.floats(min_value=100, max_value=1e6, allow_nan=False)


def readings(*bases: float) -> list[Reading]:
    return [Reading(START + timedelta(seconds=n), base) for n, base in enumerate(bases)]


@given(k=st.integers(2, 6), data=st.data())
def test_fewer_wrong_readings_than_needed_never_raise_the_peak(k: int, data: st.DataObject) -> None:
    good_highest = data.draw(worth)
    good = st.floats(min_value=1, max_value=good_highest)
    wrong = st.floats(min_value=good_highest, max_value=1e9)
    blocks = data.draw(st.lists(st.tuples(st.lists(wrong, max_size=k - 1), good), max_size=20))
    bases = [base for bad, fine in blocks for base in (*bad, fine)]
    peak = rebuild(Peak(good_highest, START), readings(*bases), k)
    assert peak.value == good_highest


@given(st.lists(st.tuples(worth, st.booleans()), max_size=30))
def test_partial_readings_never_raise_the_peak(given_readings: list[tuple[float, bool]]) -> None:
    items = [Reading(START, base, complete) for base, complete in given_readings]
    peak = rebuild(Peak(100.0, START), items)
    assert peak.value <= max([100.0, *(r.base for r in items if r.complete)])
    assert rebuild(Peak(100.0, START), [Reading(START, r.base, False) for r in items]).value == 100.0


def test_a_peak_rises_to_the_lowest_of_three_readings_in_a_row() -> None:
    assert rebuild(Peak(1000, START), readings(1100, 1050, 1080)).value == 1050
    assert rebuild(Peak(1000, START), readings(1100, 1050, 990, 1080, 1090)).value == 1000
    gap = [Reading(START, 1100), Reading(START, 1100, False), Reading(START, 1100), Reading(START, 1100)]
    assert rebuild(Peak(1000, START), gap).value == 1000


@given(
    base=worth, fall=st.floats(0, 90), share=st.floats(-0.95, 5).filter(lambda s: abs(s) > 1e-3)
)  # fmt: skip
def test_payments_leave_the_drawdown_as_it_was(base: float, fall: float, share: float) -> None:
    peak = Peak(base / (1 - fall / 100), START)
    after = base * (1 + share)
    moved = advance(peak, Reading(START, after, flow=after - base))
    assert moved.drawdown(after) == pytest.approx(peak.drawdown(base), abs=1e-6)


def test_a_withdrawal_is_no_loss_and_a_deposit_hides_none() -> None:
    down = Peak(10_000, START)
    withdrawn = advance(down, Reading(START, 4_000, flow=-5_000))
    assert withdrawn.value == pytest.approx(10_000 * 4 / 9)
    assert withdrawn.drawdown(4_000) == pytest.approx(10.0)
    paid_in = advance(down, Reading(START, 17_000, flow=9_000))
    assert paid_in.drawdown(17_000) == pytest.approx(20.0)


def test_an_emptied_account_has_no_drawdown_and_new_money_is_all_there_is() -> None:
    emptied = advance(Peak(10_000, START), Reading(START, 0.0, flow=-9_000))
    assert emptied.drawdown(0.0) == 0.0
    assert advance(emptied, Reading(START, 500.0, flow=500.0)).value == 500.0


def test_payments_seen_in_a_partial_reading_wait_for_a_complete_one() -> None:
    peak = advance(Peak(10_000, START), Reading(START, 4_000, complete=False, flow=-5_000))
    assert peak.value == 10_000
    assert advance(peak, Reading(START, 4_000, flow=-5_000)).drawdown(4_000) == pytest.approx(10.0)


def test_a_peak_begins_no_higher_than_the_ledger_proves() -> None:
    assert begin(START, 1e9, 10_000).value == 10_000
    assert begin(START, 7_000, 10_000).value == 7_000
    assert begin(START, 7_000, None).value == 7_000


@given(st.lists(st.tuples(worth, st.booleans()), max_size=40), st.integers(0, 40))
def test_a_restart_anywhere_gives_the_same_peak(items: list[tuple[float, bool]], cut: int) -> None:
    every = [Reading(START, base, complete) for base, complete in items]
    assert rebuild(rebuild(Peak(500, START), every[:cut]), every[cut:]) == rebuild(Peak(500, START), every)


def test_a_list_that_lacks_positions_does_not_add_up() -> None:
    assert adds_up(9_500, 10_000, 0, -500)
    assert adds_up(9_700, 10_000, 200, -500)
    assert not adds_up(9_500, 10_000, 0, 0)


def test_no_peak_begins_with_a_partial_reading() -> None:
    with pytest.raises(ValueError, match="no complete reading"):
        follow_peak(None, Reading(START, 1e6, False), Ledger(0.0, None), account_id=1, demo=True, needed=3)
