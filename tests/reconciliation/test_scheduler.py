"""Many accounts: some at a time, errors isolated, circuits, status, stopping; the command and its exit codes (S3)."""

import json
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import services as account_services
from core.clock import VirtualClock
from reconciliation.models import AccountCheck, Divergence
from reconciliation.scheduler import ReconciliationScheduler
from reconciliation.slots import slot
from tests.reconciliation.test_pass import by_hand, check, held
from tests.world import START, World

__all__ = ["held"]
pytestmark = pytest.mark.django_db


def scheduler_of(visit: Any, accounts: list[int], **options: Any) -> ReconciliationScheduler:
    return ReconciliationScheduler(visit, lambda: accounts, clock=VirtualClock(START), **options)


@pytest.mark.requirement("S3-14", "S3-15", "S3-16", "S3-34", "S3-39")
def test_scheduler_initialization() -> None:
    made = scheduler_of(lambda pk: {}, [1])
    assert (made.interval_seconds, made.at_once) == (10.0, 5)
    assert scheduler_of(lambda pk: {}, [1], interval_seconds=3.0, at_once=2).at_once == 2


@pytest.mark.requirement("S3-18", "S3-39")
def test_get_status() -> None:
    made = scheduler_of(lambda pk: {"seen": pk}, [1, 2])
    made.run_once()
    found = made.get_status()
    assert (found["running"], found["rounds"]) == (True, 1)
    assert found["accounts"][2] == {
        "passes": 1,
        "errors": 0,
        "last_error": "",
        "last_at": START.isoformat(),
        "circuit": "closed",
    }


@pytest.mark.requirement("S3-19", "S3-39")
def test_scheduler_stop() -> None:
    made: ReconciliationScheduler

    def visit(pk: int) -> dict[str, Any]:
        made.stop()
        return {}

    made = scheduler_of(visit, [1])
    made.run()
    assert made.get_status()["running"] is False
    assert made.records[1].passes == 1


@pytest.mark.requirement("S3-17", "S3-31")
def test_one_account_that_fails_holds_no_other_up_and_waits_longer_each_time() -> None:
    clock = VirtualClock(START)

    def visit(pk: int) -> dict[str, Any]:
        if pk == 1:
            raise RuntimeError("no terminal")
        return {}

    made = ReconciliationScheduler(visit, lambda: [1, 2], clock=clock)
    for _ in range(6):
        made.run_once()
        clock.advance(10)
    assert made.records[2].passes == 6
    assert made.records[1].errors == 4, "three in a row open the circuit for 30 s"
    assert made.get_status()["accounts"][1]["last_error"] == "RuntimeError: no terminal"
    assert made.get_status()["accounts"][1]["circuit"] == "open"
    clock.advance(60)
    assert 1 in made.run_once()


@pytest.mark.requirement("S3-16")
def test_at_most_so_many_accounts_at_once() -> None:
    lock, gate = threading.Lock(), threading.Barrier(2, timeout=60)
    under_way, most = 0, 0

    def visit(pk: int) -> dict[str, Any]:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        gate.wait()
        with lock:
            under_way -= 1
        return {}

    scheduler_of(visit, [1, 2, 3, 4], at_once=2).run_once()
    assert most == 2


@pytest.mark.requirement("S3-16")
def test_a_hosts_slots_are_shared_by_its_processes_and_given_back(transactional_db: None) -> None:
    answers: list[bool] = []

    def other_process() -> None:
        from django.db import connection

        with slot(1, host="here") as is_free:
            answers.append(is_free)
        with slot(1, host="elsewhere") as is_free:
            answers.append(is_free)
        connection.close()

    def ask() -> None:
        thread = threading.Thread(target=other_process)
        thread.start()
        thread.join()

    with slot(1, host="here") as mine:
        assert mine
        ask()
    ask()
    assert answers == [False, True, True, True]


def run_command(*arguments: str) -> tuple[int, str]:
    """Return the exit code and what was printed."""
    out = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def let_go(held: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose engine is gone; commands live in its time."""
    from engine.management.commands import reconcile

    monkeypatch.setattr(reconcile, "CLOCK", held.clock)
    return held


def test_the_command_compares_an_account_that_no_engine_runs(let_go: World) -> None:
    held = let_go
    by_hand(held, action=1, volume=0.5, type=1)
    held.crash()
    code, text = run_command("--once", "--json", "--account", "Sim")
    found = json.loads(text)["Sim"]
    assert (code, found["by"], found["findings"], found["open"]) == (2, "command", {"unmatched": 1}, 1)
    assert AccountCheck.objects.get().checked_at is not None
    Divergence.objects.all().update(state="closed", closed_how="manual", closed_at=held.clock.now())
    code, text = run_command("--once")
    assert code == 0
    assert "2 positions, 1 orders, 1 matched; 1 unmatched; 0 open" in text


def test_the_command_says_which_account_could_not_be_compared_and_compares_the_others(let_go: World) -> None:
    held = let_go
    held.crash()
    account_services.create_account(name="Broken", login=9, server="Nowhere", at=START)
    code, text = run_command("--once")
    assert code == 3
    assert "Broken: not compared: " in text
    assert "Sim: 1 positions, 1 orders, 1 matched; nothing diverges; 0 open" in text


def test_the_command_names_the_accounts_when_there_is_no_such_one(held: World) -> None:
    with pytest.raises(CommandError, match="There is no account 'Sum'; known: Sim"):
        call_command("reconcile", "--once", "--account", "Sum")


def test_a_running_engine_is_asked_instead(held: World) -> None:
    import engine.reconciling as reconciling
    from core.ids import SeededIds

    check(held)

    class SessionClock(VirtualClock):
        """While the command waits, the engine works."""

        def sleep(self, seconds: float) -> None:
            held.run(seconds)
            self.advance(seconds)

    found = reconciling.reconcile_account(held.account.pk, clock=SessionClock(START), ids=SeededIds(1))
    assert (found["by"], found["quiet"], found["open"]) == ("engine", True, 0)
