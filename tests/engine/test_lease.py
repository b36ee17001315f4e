"""Leases: one holder at a time, a token that only grows, and a holder that stops before its time is over."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from django.db import connection, transaction

from accounts.models import TradingAccount
from brokers.sendjournal import SendJournal
from core.clock import VirtualClock
from engine.gate import SendGate
from engine.lease import SAFETY_SECONDS, TTL_SECONDS, HeldLease, release_all_of
from engine.models import Lease
from engine.session import AccountSession
from orders.gate import LeaseLost, fenced
from tests.world import World, later

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def account() -> TradingAccount:
    return TradingAccount.objects.create(name="A", login=1, server="S")


def take(account: TradingAccount, clock: VirtualClock, holder: str = "one") -> HeldLease:
    lease = HeldLease.acquire(account.pk, holder, clock=clock)
    assert lease is not None
    return lease


def expire(account: TradingAccount) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_lease SET expires_at = clock_timestamp() - interval '1 second' WHERE account_id = %s",
            [account.pk],
        )


def test_a_valid_lease_is_not_given_away_and_a_free_one_has_a_greater_token(
    account: TradingAccount, clock: VirtualClock
) -> None:
    first = take(account, clock)
    assert HeldLease.acquire(account.pk, "two", clock=clock) is None
    first.release()
    assert take(account, clock, "two").token == first.token + 1


def test_an_expired_lease_can_be_taken_and_its_old_holder_can_do_nothing_more(
    account: TradingAccount, clock: VirtualClock
) -> None:
    old = take(account, clock)
    expire(account)
    take(account, clock, "two")
    with pytest.raises(LeaseLost):
        old.renew()
    with pytest.raises(LeaseLost), transaction.atomic():
        old.assert_current()
    old.release()
    assert Lease.objects.get().holder == "two"


def test_an_expired_lease_that_nobody_took_is_renewed(account: TradingAccount, clock: VirtualClock) -> None:
    lease = take(account, clock)
    expire(account)
    lease.renew()
    assert HeldLease.acquire(account.pk, "two", clock=clock) is None


def test_the_holder_stops_sending_before_the_lease_ends(account: TradingAccount, clock: VirtualClock) -> None:
    lease = take(account, clock)
    assert lease.margin_seconds() == TTL_SECONDS - SAFETY_SECONDS
    clock.advance(TTL_SECONDS - SAFETY_SECONDS)
    assert lease.margin_seconds() == 0.0
    lease.renew()
    assert lease.margin_seconds() == TTL_SECONDS - SAFETY_SECONDS


def test_of_many_at_once_one_gets_it(account: TradingAccount, clock: VirtualClock) -> None:
    barrier = Barrier(8)

    def run(n: int) -> bool:
        barrier.wait(10)
        try:
            return HeldLease.acquire(account.pk, f"h{n}", clock=clock) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1


def test_a_change_of_holder_waits_for_a_fenced_write(account: TradingAccount, clock: VirtualClock) -> None:
    lease = take(account, clock)
    expire(account)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lease.assert_current()
            taking = pool.submit(_take_and_close, account.pk, clock)
            with pytest.raises(TimeoutError):
                taking.result(0.5)
        assert taking.result(10) is True


def _take_and_close(account_id: int, clock: VirtualClock) -> bool:
    try:
        return HeldLease.acquire(account_id, "two", clock=clock) is not None
    finally:
        connection.close()


def test_the_leases_of_a_dead_holder_are_freed_at_once(account: TradingAccount, clock: VirtualClock) -> None:
    take(account, clock)
    assert release_all_of("one") == 1
    take(account, clock, "two")


def test_the_gate_says_why_nothing_leaves(world: World) -> None:
    lease = HeldLease.acquire(world.account.pk, "one", clock=world.clock)
    assert lease is not None
    journal = world.state_file.parent / "journal" / "a"
    gate = SendGate(lease, SendJournal(journal), world.clock)
    assert gate.why_not_send("aaaaaaaaaa", later(5)) is None
    assert gate.why_not_send("aaaaaaaaaa", later(5)) == "it was sent before"
    assert gate.why_not_send("bbbbbbbbbb", later(0)) == "its deadline has passed"
    again = SendGate(lease, SendJournal(journal), world.clock)
    assert again.why_not_send("aaaaaaaaaa", later(5)) == "it was sent before"
    world.clock.advance(8)
    assert gate.why_not_send("cccccccccc", later(60)) == "the lease is about to expire"


def test_a_paused_engine_that_wakes_up_sends_and_writes_nothing(world: World) -> None:
    world.bot()
    world.run(3)
    sleeper = world.session
    world.crash()
    world.start()
    world.move(-11)
    there = len(world.truth.positions)
    assert wakes_up_and_loses_the_lease(sleeper, world)
    assert len(world.truth.positions) == there
    with pytest.raises(LeaseLost), fenced(sleeper.gate):
        pass
    world.assert_equal()


def wakes_up_and_loses_the_lease(sleeper: AccountSession, world: World) -> bool:
    for _ in range(10):
        try:
            sleeper.step()
        except LeaseLost:
            return True
        world.clock.advance(1)
    return False
