"""How runners share accounts: one that comes later gets its part, and what has no other place stays."""

from collections.abc import Callable

import pytest

from accounts import services
from accounts.models import TradingAccount
from core.clock import VirtualClock
from core.ids import SeededIds
from engine.lease import HeldLease
from engine.models import Lease
from engine.registry import register
from engine.runner import OTHERS_FIRST_SECONDS, Runner
from tests.world import START

pytestmark = pytest.mark.django_db
ACCOUNTS = 8


class Idle:
    """Stands for an account's thread that works: it holds its lease until it is asked to stop, and then ends."""

    def __init__(self, account_id: int, lease: HeldLease) -> None:
        self.account_id = account_id
        self.lease = lease
        self.is_starting = False
        self.stepping_since = None
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def start(self) -> None:
        """It works already."""

    def stop(self) -> None:
        self.alive = False
        self.lease.release()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    monkeypatch.setattr("engine.runner.AccountThread", lambda account_id, lease, **_: Idle(account_id, lease))
    for login in range(1, ACCOUNTS + 1):
        account = services.create_account(name=f"A{login}", login=login, server="S", password="pw", at=START)
        services.set_desired_state(account=account, state="running", at=START)
    return VirtualClock(START)


@pytest.fixture
def join(clock: VirtualClock) -> Callable[[str], Runner]:
    def made(name: str) -> Runner:
        runner = Runner(clock=clock, ids=SeededIds(1), token=name, labels=["here"], is_orphan=lambda: False)
        register(runner.name, "runner", ["here"], clock.now())
        return runner

    return made


def look(*runners: Runner) -> list[int]:
    """Let each reap and claim once, as every half second; return how many accounts each has then."""
    for runner in runners:
        runner._reap()
        runner._claim()
    return [sum(thread.is_alive() for thread in runner.threads.values()) for runner in runners]


@pytest.mark.requirement("S2-29")
def test_a_runner_that_comes_later_gets_its_share_and_nobody_takes_it_back(
    clock: VirtualClock, join: Callable[[str], Runner]
) -> None:
    first = join("first")
    assert look(first) == [ACCOUNTS]
    second = join("second")
    for _ in range(20):
        look(first, second)
        clock.advance(0.5)
    assert look(first, second) == [5, 3], "its share of four, and one more that is not worth the move"
    assert Lease.objects.exclude(holder="").count() == ACCOUNTS


def test_what_is_bound_to_a_place_stays(clock: VirtualClock, join: Callable[[str], Runner]) -> None:
    TradingAccount.objects.update(placement="here")
    first = join("first")
    look(first)
    join("second")
    for _ in range(10):
        assert look(first) == [ACCOUNTS]
        clock.advance(0.5)


def test_what_nobody_else_takes_comes_back_once_and_stays(clock: VirtualClock, join: Callable[[str], Runner]) -> None:
    first = join("first")
    look(first)
    join("deaf")
    assert look(first) == [5]
    assert look(first) == [5], "others first"
    clock.advance(OTHERS_FIRST_SECONDS)
    for _ in range(10):
        look(first)
    assert look(first) == [ACCOUNTS]
    assert first._handed_over
    clock.advance(1)
    assert look(first) == [ACCOUNTS]
