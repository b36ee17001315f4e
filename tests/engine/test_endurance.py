"""Faults that come slowly or from below: a full disk, a poisoned row, hours of work."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import TradingAccount
from benchmarks.passes import build
from brokers.mt5.gateway import Mt5Gateway
from brokers.sendjournal import SendJournal
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock
from engine.commands import run_commands
from engine.gate import SendGate
from engine.lease import HeldLease
from events.models import Command
from orders.manager import OrdersManager
from orders.models import Order, OrderIntent
from tests.world import START, World

HELD: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 0.0, "target_profit": 1000.0}
BUSY: dict[str, Any] = {"max_cycles": 2, "entry_cooldown": 0.0, "target_profit": 3.0, "distance": 5.0}
COMMANDS = 200
# Positions of each account
MASS = (5, 50, 50, 50)
TURNS_MAX = 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs a device that is always full")
def test_nothing_leaves_when_the_disk_is_full_and_trading_goes_on_when_it_is_not(world: World) -> None:
    journal = Path(settings.VAR_DIR) / "journal" / f"account-{world.account.pk}"
    world.start()
    journal.unlink(missing_ok=True)
    journal.symlink_to("/dev/full")
    world.bot(**HELD)
    world.run(20)
    assert world.truth.history == ()
    assert world.truth.positions == ()
    assert {i.state for i in OrderIntent.objects.all()} <= {"unknown", "refused", "absent"}
    journal.unlink()
    world.run(150)
    assert len(world.truth.positions) == 1
    world.assert_equal()


def test_one_poisoned_row_does_not_keep_the_others_from_being_served(world: World) -> None:
    world.start()
    world.run(1)
    at, before = world.clock.now(), Command.objects.count()
    rows = [Command(account=world.account, kind="state_changed", args={}, requested_at=at) for _ in range(COMMANDS)]
    rows[50] = Command(account=world.account, kind="integrity", args={"checks": 7}, requested_at=at)
    rows[77] = Command(account=world.account, kind="no such kind", args={"\u202e": []}, requested_at=at)
    Command.objects.bulk_create(rows)
    assert run_commands(world.session) == COMMANDS, "in one pass"
    assert not Command.objects.filter(state="waiting").exists()
    assert Command.objects.filter(state="done").count() == before + COMMANDS - 2
    unread, unknown = (Command.objects.get(kind=kind) for kind in ("integrity", "no such kind"))
    assert (unread.state, unread.result[:9]) == ("failed", "TypeError")
    assert (unknown.state, unknown.result[:15]) == ("failed", "unknown command")


def test_all_positions_of_many_accounts_change_at_once_and_every_account_gets_its_turn(
    transactional_db: None, tmp_path: Path
) -> None:
    """A pass costs the same statements however many values moved; what closed is booked account by account."""
    clock = VirtualClock(START)
    desks = [build(tmp_path, orders, clock, login) for login, orders in enumerate(MASS, 1)]
    managers = [manager_of(gateway, account, clock, tmp_path) for _, gateway, account in desks]
    tick(desks, clock, 1.1)
    for manager in managers:
        manager.run()
    tick(desks, clock, 1.105)
    assert len({statements(manager.run) for manager in managers}) == 1
    for terminal, _, _ in desks:
        for position in terminal.positions_get() or ():
            assert terminal.Close("EURUSD", ticket=position.ticket) is True
    turns = 0
    while Order.objects.filter(status="open").exists():
        turns += 1
        assert turns <= TURNS_MAX
        clock.advance(0.5)
        for manager in managers:
            manager.run()
        left = {Order.objects.filter(account=account, status="open").count() for _, _, account in desks[1:]}
        assert len(left) == 1, "accounts of one size are served alike"
    for login, orders in enumerate(MASS, 1):
        assert Order.objects.filter(account__login=login, status="closed").count() == orders


def tick(desks: list[tuple[SimulatedTerminal, Mt5Gateway, TradingAccount]], clock: VirtualClock, bid: float) -> None:
    clock.advance(0.5)
    for terminal, gateway, _ in desks:
        terminal.push_tick("EURUSD", bid, round(bid + 0.0001, 5))
        gateway.quote("EURUSD")


def manager_of(gateway: Mt5Gateway, account: TradingAccount, clock: VirtualClock, folder: Path) -> OrdersManager:
    lease = HeldLease.acquire(account.pk, f"test:{account.pk}", clock=clock)
    assert lease is not None
    return OrdersManager(
        gateway=gateway, gate=SendGate(lease, SendJournal(folder / str(account.pk)), clock), clock=clock
    )


def statements(run: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as seen:
        run()
    return len(seen)


@pytest.mark.skipif(sys.platform == "win32", reason="counts open files the POSIX way")
def test_hours_of_work_leave_nothing_behind(world: World) -> None:
    """Passes of many hours, compressed: the same work again and again holds no more memory, files or threads."""
    world.bot(**BUSY)
    path = [-6, -6, +14, -2]

    def work(rounds: int) -> tuple[int, int, int]:
        for _ in range(rounds):
            for pips in path:
                world.move(pips, run=2)
        world.run(5)
        gc.collect()
        process = psutil.Process()
        return len(gc.get_objects()), process.num_fds(), process.num_threads()

    work(3)
    objects, handles, threads = work(2)
    later_objects, later_handles, later_threads = work(8)
    assert (later_handles, later_threads) == (handles, threads)
    # Four times the work may grow bounded windows a little, never in step with the work
    assert later_objects < objects * 1.05
