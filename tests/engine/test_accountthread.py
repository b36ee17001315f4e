"""The thread around a session: what people see when an account can't be traded, and that it goes on by itself."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts import services
from accounts.models import TradingAccount
from brokers.domain import Book
from brokers.gateway import Gateway
from brokers.simulator.account import AccountSpec, create_account, demo_symbols
from brokers.simulator.feed import FeedSpec
from core.clock import Clock, SystemClock
from core.ids import SystemIds
from engine import accountthread
from engine.accountthread import AccountThread
from engine.lease import HeldLease
from engine.models import EngineState, Lease
from engine.opening import gateway_of
from events.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
WAIT = 60.0
CLOCK = SystemClock()


@pytest.fixture
def account(tmp_path: Path, settings: Any) -> TradingAccount:
    settings.VAR_DIR = tmp_path
    file = tmp_path / "terminal.sqlite"
    feed = FeedSpec.model(anchor=CLOCK.now(), seed=1)
    create_account(file, AccountSpec(7, "pw", "Sim"), demo_symbols(), feed, clock=CLOCK)
    account = services.create_account(
        name="A", login=7, server="Sim", password="pw", terminal_path=str(file), at=CLOCK.now()
    )
    services.set_desired_state(account=account, state="running", at=CLOCK.now())
    return account


@pytest.fixture
def thread(account: TradingAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccountThread]:
    monkeypatch.setattr(accountthread, "RESTART_PAUSE_SECONDS", 0.2)
    lease = HeldLease.acquire(account.pk, "test", clock=CLOCK)
    assert lease is not None
    made = AccountThread(account.pk, lease, clock=CLOCK, ids=SystemIds(), var_dir=tmp_path)
    yield made
    made.stop()
    made.join(WAIT)
    assert not made.is_alive()


def until_status(status: str) -> EngineState:
    deadline = CLOCK.ticks() + WAIT
    while CLOCK.ticks() < deadline:
        state = EngineState.objects.filter(status=status).first()
        if state is not None:
            return state
        CLOCK.sleep(0.05)
    raise AssertionError(f"never {status}: {list(EngineState.objects.values())}")


def test_it_runs_and_stops_and_frees_the_account(account: TradingAccount, thread: AccountThread) -> None:
    thread.start()
    until_status("running")
    services.set_desired_state(account=account, state="stopped", at=CLOCK.now())
    thread.wake()
    thread.join(WAIT)
    assert EngineState.objects.get().status == "stopped"
    assert Lease.objects.get().holder == ""


def connections() -> set[int]:
    """Return the database sessions that are not this test's own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return {row[0] for row in cursor.fetchall()}


def until_passes(thread: AccountThread, passes: int) -> None:
    deadline = CLOCK.ticks() + WAIT
    while CLOCK.ticks() < deadline:
        if thread._session is not None and thread._session.orders.statistics.total_syncs >= passes:
            return
        CLOCK.sleep(0.05)
    raise AssertionError(f"never {passes} passes")


@pytest.mark.requirement("S0-21")
def test_an_account_keeps_one_database_connection_over_all_its_passes(thread: AccountThread) -> None:
    before = connections()
    thread.start()
    until_passes(thread, 2)
    first = connections() - before
    assert len(first) == 1
    until_passes(thread, 6)
    assert connections() - before == first


@pytest.mark.requirement("S0-06", "S0-86")
def test_a_terminal_that_does_not_answer_holds_no_other_account_up(
    account: TradingAccount, thread: AccountThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "other.sqlite"
    create_account(
        file, AccountSpec(8, "pw", "Sim"), demo_symbols(), FeedSpec.model(anchor=CLOCK.now(), seed=2), clock=CLOCK
    )
    other = services.create_account(
        name="B", login=8, server="Sim", password="pw", terminal_path=str(file), at=CLOCK.now()
    )
    services.set_desired_state(account=other, state="running", at=CLOCK.now())
    asked, may_answer = threading.Event(), threading.Event()
    make = gateway_of

    def slow_for_a(which: TradingAccount, clock: Clock) -> Gateway:
        gateway = make(which, clock)
        if which.pk == account.pk:
            book = gateway.book

            def late() -> Book:
                asked.set()
                assert may_answer.wait(WAIT)
                return book()

            monkeypatch.setattr(gateway, "book", late)
        return gateway

    monkeypatch.setattr(accountthread, "gateway_of", slow_for_a)
    lease = HeldLease.acquire(other.pk, "test", clock=CLOCK)
    assert lease is not None
    beside = AccountThread(other.pk, lease, clock=CLOCK, ids=SystemIds(), var_dir=tmp_path)
    thread.start()
    try:
        assert asked.wait(WAIT)
        beside.start()
        until_passes(beside, 3)
        assert thread._session is None, "A is still loading"
        may_answer.set()
        until_passes(thread, 2)
    finally:
        may_answer.set()
        beside.stop()
        beside.join(WAIT)
    assert not beside.is_alive()


@pytest.mark.requirement("S0-79", "S1-38", "S1-54")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "Login 7 at Sim was refused by the broker. Check login, server and password"),
        ({"terminal_path": "/nowhere/terminal.sqlite"}, "The simulated terminal has no state file"),
        ({"server": "Other"}, "was refused by the broker"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_healed_by_correcting_it(
    account: TradingAccount, thread: AccountThread, change: dict[str, str], said: str
) -> None:
    right = {name: getattr(account, name) for name in change if name != "password"}
    _apply(account, change)
    thread.start()
    state = until_status("error")
    assert said in state.error_message
    assert "\n" not in state.error_message
    assert Event.objects.filter(kind="ERROR", level="error").exists()
    CLOCK.sleep(1.0)
    assert Event.objects.filter(kind="ERROR").count() == 1
    _apply(account, {**right, **({"password": "pw"} if "password" in change else {})})
    assert until_status("running").error_message == ""


def _apply(account: TradingAccount, change: dict[str, str]) -> None:
    plain = {name: value for name, value in change.items() if name != "password"}
    if plain:
        TradingAccount.objects.filter(pk=account.pk).update(**plain)
    if "password" in change:
        services.set_password(account=account, password=change["password"], at=CLOCK.now())


def test_a_lease_that_is_lost_ends_the_thread_and_touches_nothing(
    account: TradingAccount, thread: AccountThread
) -> None:
    thread.start()
    until_status("running")
    Lease.objects.update(token=99, holder="other")
    thread.join(WAIT)
    assert (Lease.objects.get().holder, Lease.objects.get().token) == ("other", 99)
