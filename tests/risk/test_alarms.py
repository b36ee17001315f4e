"""The life of an alarm; and whatever prices and restarts do, a fired guard closes or says that it has not."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.domain.alarms import Alarm, Phase, follow
from risk.domain.guards import drawdown, evaluate
from risk.domain.peak import Peak, Reading, advance
from risk.domain.readings import Finding, Level, Seen, Tier, Worth
from risk.domain.settings import GuardSettings
from risk.models import GuardAlarm
from risk.services.alarms import as_alarm

START = datetime(2026, 3, 3, tzinfo=UTC)
SETTINGS = GuardSettings()


def finding(tier: Tier, figure: float = 25.0, *, countdown: bool = True, level: Level = Level.ACCOUNT) -> Finding:
    return Finding("drawdown", level, "", tier, figure, 20.0, f"{figure} %", countdown=countdown)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def alarm(**changes: object) -> Alarm:
    raised = follow(None, finding(Tier.CLOSE), SETTINGS, START, left=1)
    assert raised is not None
    return replace(raised, **changes)  # type: ignore[arg-type]


def test_a_fired_guard_counts_down_and_then_closes_until_nothing_is_left() -> None:
    raised = alarm()
    assert (raised.phase, raised.deadline) == (Phase.COUNTDOWN, at(10))
    assert raised.forbids_entries
    assert not raised.closes
    waiting = follow(raised, finding(Tier.CLOSE), SETTINGS, at(9.9), left=3)
    assert waiting is not None
    assert waiting.phase is Phase.COUNTDOWN
    closing = follow(waiting, finding(Tier.CLOSE), SETTINGS, at(10), left=3)
    assert closing is not None
    assert closing.closes
    closed = follow(closing, None, SETTINGS, at(11), left=0)
    assert closed is not None
    assert (closed.phase, closed.forbids_entries) == (Phase.CLOSED, True)


def test_a_countdown_goes_on_when_the_figure_recovers() -> None:
    closing = follow(alarm(), None, SETTINGS, at(10), left=1)
    assert closing is not None
    assert closing.phase is Phase.CLOSING


def test_what_opens_again_is_closed_again() -> None:
    again = follow(alarm(phase=Phase.CLOSED), None, SETTINGS, at(60), left=1)
    assert again is not None
    assert (again.phase, again.closes) == (Phase.CLOSING, True)


def test_a_veto_stops_the_closing_until_it_gets_much_worse() -> None:
    vetoed = alarm(phase=Phase.VETOED, vetoed_figure=25.0)
    same = follow(vetoed, finding(Tier.CLOSE, 29.9), SETTINGS, at(20), left=1)
    assert same == vetoed
    assert vetoed.forbids_entries
    deeper = follow(vetoed, finding(Tier.CLOSE, 30.0), SETTINGS, at(20), left=1)
    assert deeper is not None
    assert (deeper.phase, deeper.deadline) == (Phase.COUNTDOWN, at(30))


def test_a_guard_without_a_countdown_closes_at_once_and_a_symbol_is_free_again_when_it_is_calm() -> None:
    gap = finding(Tier.CLOSE, countdown=False, level=Level.SYMBOL)
    closing = follow(None, gap, SETTINGS, START, left=1)
    assert closing is not None
    assert closing.phase is Phase.CLOSING
    still = follow(closing, gap, SETTINGS, at(1), left=0)
    assert still is not None
    assert still.closes
    over = follow(still, None, SETTINGS, at(2), left=0)
    assert over is not None
    assert over.phase is Phase.ENDED


@pytest.mark.parametrize(("tier", "forbids"), [(Tier.WARN, False), (Tier.REDUCE, True)])
def test_milder_tiers_end_when_it_has_been_calm(tier: Tier, forbids: bool) -> None:
    raised = follow(None, finding(tier), SETTINGS, START, left=1)
    assert raised is not None
    assert (raised.phase, raised.forbids_entries) == (Phase.STANDING, forbids)
    calming = follow(raised, None, SETTINGS, at(5), left=1)
    assert calming is not None
    assert calming.phase is Phase.STANDING
    over = follow(calming, None, SETTINGS, at(15), left=1)
    assert over is not None
    assert over.phase is Phase.ENDED


def test_a_tier_falls_only_after_it_has_been_calm() -> None:
    raised = follow(None, finding(Tier.REDUCE), SETTINGS, START, left=1)
    milder = follow(raised, finding(Tier.WARN), SETTINGS, at(5), left=1)
    assert milder is not None
    assert milder.tier is Tier.REDUCE
    later = follow(milder, finding(Tier.WARN), SETTINGS, at(15), left=1)
    assert later is not None
    assert later.tier is Tier.WARN


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 30), st.booleans(), st.booleans(), st.booleans()), max_size=60
    )
)
def test_no_path_leaves_the_account_open_past_a_fired_guard_without_an_open_alert(
    steps: list[tuple[float, float, bool, bool, bool]],
) -> None:
    """Equity wanders, the engine is away for any time, closes fail or not, a person vetoes or not."""
    standing: Alarm | None = None
    now, left, fired = START, 5, False
    for fall, pause, close_works, person_vetoes, engine_runs in steps:
        now += timedelta(seconds=pause)
        if person_vetoes and standing is not None and standing.phase is Phase.COUNTDOWN:
            standing = replace(standing, phase=Phase.VETOED, vetoed_figure=standing.figure)
        if not engine_runs:
            continue
        tier = Tier.CLOSE if fall > 20 else Tier.REDUCE if fall > 15 else Tier.WARN if fall > 10 else Tier.CLEAR
        found = finding(tier, fall) if tier else None
        standing = follow(standing, found, SETTINGS, now, left=left)
        fired |= tier is Tier.CLOSE
        if standing is not None and standing.closes and close_works:
            left = max(0, left - 1)
        if fired and left:
            assert standing is not None
            assert standing.phase in (Phase.COUNTDOWN, Phase.VETOED, Phase.CLOSING)
            assert standing.forbids_entries
        if standing is not None and standing.phase is Phase.COUNTDOWN:
            assert standing.deadline is not None
            assert standing.deadline > now


def read_again(alarm: Alarm | None) -> Alarm | None:
    """Return an alarm as a restarted engine reads it from its row."""
    if alarm is None:
        return None
    values: dict[str, Any] = {field.name: getattr(alarm, field.name) for field in fields(Alarm)}
    found: Alarm = as_alarm(GuardAlarm(**values))
    return found


@given(steps=st.lists(st.tuples(st.floats(-0.15, 0.15), st.floats(0.1, 30), st.booleans(), st.booleans()), max_size=60))
def test_whatever_prices_and_restarts_do_a_fired_drawdown_is_closed_or_said(
    steps: list[tuple[float, float, bool, bool]],
) -> None:
    """Prices move what is open; a restart keeps the peak and the alarm alone; closes work or not."""
    balance, lots, price, now = 10_000.0, 5, 1.0, START
    peak, standing, fired_at = Peak(10_000.0, START), None, None
    for move, pause, restarts, close_works in steps:
        now, price = now + timedelta(seconds=pause), price * (1 + move)
        base = balance + lots * 3_000 * (price - 1)
        peak = advance(peak, Reading(now, base))
        seen = Seen(now, Worth(base, balance, 0.0, 0.0, 0.0), peak.value, None, 0)
        found = next(iter(evaluate(SETTINGS, seen, (drawdown,))), None)
        if restarts:
            standing = read_again(standing)
        before = standing
        standing = follow(standing, found, SETTINGS, now, left=lots)
        if fired_at is None and found is not None and found.tier is Tier.CLOSE:
            fired_at = now
        if fired_at is not None and standing is not None and before is not None and standing.closes:
            assert now - fired_at >= timedelta(seconds=SETTINGS.countdown_seconds)
        if fired_at is not None and lots:
            assert standing is not None
            assert standing.phase in (Phase.COUNTDOWN, Phase.CLOSING)
            assert standing.forbids_entries
        if standing is not None and standing.closes and close_works and lots:
            balance, lots = balance + 3_000 * (price - 1), lots - 1
