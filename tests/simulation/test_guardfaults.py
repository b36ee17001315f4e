"""What forbids entries comes in the middle of a step; witness and checkers see an entry that goes against it."""

from functools import partial
from typing import Any

import pytest

from engine.gate import SendGate
from risk.domain.settings import GuardSettings
from risk.models import GuardAlarm, KillSwitch
from risk.services.killing import confirmation_of, kill
from tests.simulation import checkers
from tests.simulation.desk import Desk
from tests.simulation.faults import FAULTS
from tests.simulation.guardfaults import GUARD_FAULTS, limits
from tests.simulation.run import Result, run_seed, simulate
from tests.simulation.scenario import make
from tests.world import START

pytestmark = pytest.mark.django_db(transaction=True)


def _kill_once_reviewed(desk: Desk) -> None:
    """Throw the account's kill switch between the review of the first entry and its send."""

    def hook(name: str) -> None:
        if name == "engine.trading.Trader._enter:committed":
            desk.on_point = None
            desk.clock.advance(0.01)
            kill(
                mode=KillSwitch.Mode.EXITS_ONLY, reason="rehearsed", confirmation=confirmation_of(desk.account, None),
                at=desk.clock.now(), account=desk.account,
            )  # fmt: skip
            desk.clock.advance(0.01)

    desk.on_point = hook


def _killed_run() -> Result:
    return simulate(make(11, (), seconds=60.0), prepare=_kill_once_reviewed)


def test_a_switch_between_review_and_send_lets_nothing_leave() -> None:
    result = _killed_run()
    assert result.violations == []
    assert (result.figures["kill switches"], result.figures["entries"]) == (1, 0)


def test_a_person_who_meets_a_database_that_is_away_acts_later() -> None:
    def prepare(desk: Desk) -> None:
        desk.at(20.0, partial(FAULTS["database_down"].begin, desk, 0.5))
        desk.at(21.0, partial(GUARD_FAULTS["kill_switch"], desk, 0.5))

    result = simulate(make(12, (), seconds=60.0), prepare=prepare)
    assert result.violations == []
    assert result.figures["kill switches"] == 1
    assert any("the database is away" in line for line in result.history)


def test_witness_and_books_tell_of_an_entry_against_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SendGate, "why_not_enter", lambda *_, **__: None)
    told = _killed_run().violations
    assert any("while blocked by [('kill switch exits_only',)]" in violation for violation in told), told
    assert any("while blocked by exits_only" in violation for violation in told), told


def test_the_checkers_tell_of_a_fired_guard_that_left_something_open(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = checkers.broken
    seen: dict[str, list[str]] = {}

    def tampered(truth: Any) -> list[str]:
        assert honest(truth) == []
        alarm = GuardAlarm.objects.create(
            account_id=1, guard="rehearsed", level="account", tier=3, phase="standing", figure=21.0, limit=20.0,
            text="21 %", since=START,
        )  # fmt: skip
        for phase in ("standing", "closed", "ended"):
            GuardAlarm.objects.filter(pk=alarm.pk).update(phase=phase, ended_at=START if phase == "ended" else None)
            seen[phase] = honest(truth)
        alarm.delete()
        return []

    monkeypatch.setattr(checkers, "broken", tampered)
    simulate(make(11, (), seconds=30.0))
    assert seen["standing"] == ["P9: rehearsed fired and is still standing"]
    assert seen["closed"][0].startswith("P9: rehearsed is closed and ")
    assert seen["ended"] == ["P9: rehearsed fired and ended by itself"]


def test_every_draw_of_limits_is_one_that_the_settings_take() -> None:
    for number in range(500):
        GuardSettings.model_validate(limits(number / 500))


def test_what_holds_entries_back_is_rehearsed() -> None:
    result = run_seed(5, tuple(GUARD_FAULTS), seconds=120.0)
    assert result.violations == [], result.story()
    assert result.figures["blocks"] + result.figures["kill switches"] > 0
