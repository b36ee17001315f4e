"""Two machines on one database share the accounts, and each takes over when the other dies or stands still."""

import signal
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import psutil
import pytest

from accounts.models import TradingAccount
from core.clock import SystemClock
from engine.models import EngineProcess
from orders.models import OrderIntent
from tests.processes.desk import all_traded_since_they_changed_hands, assert_whole, holding_hosts, make_account
from tests.processes.engine import Engine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills and stops processes the POSIX way")
NORTH, SOUTH = "north", "south"
Hosts = dict[str, Engine]


@pytest.fixture
def hosts(site_environment: dict[str, str], tmp_path: Path) -> Iterator[Hosts]:
    """Two hosts with a folder each, that share one account each at first; later any of them may have both."""
    shared = {make_account(tmp_path, number, placement=name).pk: name for number, name in enumerate((NORTH, SOUTH))}
    running = {name: host(site_environment, tmp_path, name) for name in (NORTH, SOUTH)}
    try:
        running[NORTH].until(lambda: holding_hosts() == shared, "each host to hold its account")
        TradingAccount.objects.update(placement="")
        running[NORTH].until(all_traded_since_they_changed_hands, "both to trade")
        yield running
    finally:
        for engine in running.values():
            engine.close()


def host(environment: dict[str, str], folder: Path, name: str) -> Engine:
    own = {"TRADING_VAR_DIR": str(folder / name), "TRADING_HOST_NAME": name, "TRADING_RUNNERS": "1"}
    return Engine({**environment, **own}, "--label", name, demo=False)


def whole(engine: Engine) -> list[psutil.Process]:
    found = engine.everything()
    assert len(found) > 2, "supervisor, clusters and runners"
    return found


def until_all_are_held_by(name: str, hosts: Hosts) -> None:
    accounts = dict.fromkeys(TradingAccount.objects.values_list("pk", flat=True), name)
    hosts[name].until(lambda: holding_hosts() == accounts, f"{name} to hold both accounts")
    hosts[name].until(all_traded_since_they_changed_hands, f"{name} to trade both accounts")


def beats(name: str) -> float:
    rows = EngineProcess.objects.filter(host=name, role="supervisor").order_by("-seen_at")
    return max((row.seen_at.timestamp() for row in rows), default=0.0)


def test_hosts_take_over_from_each_other_and_nothing_is_sent_twice(hosts: Hosts) -> None:
    for process in whole(hosts[NORTH]):
        process.kill()
    hosts[NORTH].process.wait()
    until_all_are_held_by(SOUTH, hosts)
    killed = SystemClock().now()
    hosts[NORTH].start_again()
    hosts[NORTH].until(partial(is_served_by, NORTH, since=killed), "the killed host to be back")
    stopped = whole(hosts[SOUTH])
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        until_all_are_held_by(NORTH, hosts)
        tokens = set(OrderIntent.objects.values_list("token", flat=True))
        before = beats(SOUTH)
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)
    hosts[SOUTH].until(lambda: beats(SOUTH) > before, "the machine that stood still to go on")
    hosts[NORTH].until(lambda: OrderIntent.objects.exclude(token__in=tokens).exists(), "trading to go on")
    assert set(holding_hosts().values()) == {NORTH}
    for engine in hosts.values():
        engine.interrupt()
    for account in TradingAccount.objects.all():
        assert_whole(account)


def is_served_by(name: str, *, since: datetime) -> bool:
    return EngineProcess.objects.filter(host=name, role="runner", started_at__gt=since).exists()
