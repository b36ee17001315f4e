"""What happens to a machine happens to real processes: the database dies, a commit is lost, a task comes twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django_q.models import OrmQ

from accounts.models import TradingAccount
from core.clock import SystemClock
from engine.models import EngineProcess, Lease
from orders.models import OrderIntent
from tests.processes.desk import assert_whole, make_account
from tests.processes.engine import BASE_DIR, Engine
from tests.processes.proxy import CuttingProxy
from tradingsite.postgres import Cluster

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes the POSIX way")
DATABASE_DEATHS, LOST_COMMITS, REDELIVERIES, AT_ONCE = 2, 8, 3, 5


def until_it_sends_on(engine: Engine) -> None:
    """Wait for a request that is newer than this call."""
    newest = OrderIntent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    engine.until(
        lambda: OrderIntent.objects.filter(pk__gt=newest, state__in=("filled", "accepted")).exists(), "a new request"
    )


def end_and_look(engine: Engine) -> None:
    engine.interrupt()
    assert engine.everything() == []
    for account in TradingAccount.objects.all():
        assert_whole(account)


@contextmanager
def connected_to(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this test's own queries go to another server."""
    params = {**connection.get_connection_params(), "dbname": "trading", **cluster.address()}
    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "get_connection_params", lambda: params)
        try:
            yield
        finally:
            connection.close()


def test_the_database_dies_and_trading_goes_on(
    site_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {k: v for k, v in site_environment.items() if k != "DATABASE_URL"}
    engine = Engine(environment)
    cluster = Cluster(engine.folder / "postgres")
    try:
        engine.until(cluster.answers, "the database")
        with connected_to(cluster, monkeypatch):
            engine.until_it_trades_on()
            for _ in range(DATABASE_DEATHS):
                until_it_sends_on(engine)
                dead = die_at_once(cluster)
                engine.until(partial(is_another, cluster, dead), "the database to be started by whoever needs it")
                connection.close()
                engine.until_it_trades_on()
            until_it_sends_on(engine)
            engine.interrupt()
            # What the engine started ended with it
            cluster.ensure_running()
            connection.close()
            assert_whole(TradingAccount.objects.get())
    finally:
        engine.close()
        cluster.stop()


def die_at_once(cluster: Cluster) -> int:
    """End the server as `pg_ctl stop -m immediate` does: no checkpoint, every connection cut; return its process id."""
    pid = cluster.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    return pid


def is_another(cluster: Cluster, dead: int) -> bool:
    return cluster.status().pid not in (None, dead)


def test_a_commit_whose_answer_never_comes_is_looked_up(site_environment: dict[str, str], tmp_path: Path) -> None:
    account = make_account(tmp_path, 1)
    proxy = CuttingProxy()
    engine = Engine({**site_environment, "DATABASE_URL": proxy.url()}, demo=False)
    try:
        engine.until_it_trades_on()
        until_it_sends_on(engine)
        proxy.cuts = LOST_COMMITS
        engine.until(lambda: proxy.cuts == 0, f"{LOST_COMMITS} commits to be lost")
        assert proxy.lost_before == proxy.lost_after == LOST_COMMITS // 2
        until_it_sends_on(engine)
        engine.interrupt()
    finally:
        engine.close()
        proxy.close()
    assert_whole(account)


def test_one_of_five_engines_runs_and_a_task_that_is_delivered_again_is_harmless(
    site_environment: dict[str, str], tmp_path: Path
) -> None:
    make_account(tmp_path, 1)
    engines = [Engine(site_environment, demo=False) for _ in range(AT_ONCE)]
    try:
        engines[0].until(lambda: sum(e.process.poll() is not None for e in engines) == AT_ONCE - 1, "four to give up",
                         may_end=True)  # fmt: skip
        (engine,) = (e for e in engines if e.process.poll() is None)
        for refused in engines:
            if refused is not engine:
                assert refused.process.returncode == 1
                assert "The engine of this checkout runs already." in refused.output()
        engine.until_it_trades_on()
        for _ in range(REDELIVERIES):
            until_it_sends_on(engine)
            holder, runners = Lease.objects.get().holder, engine.pids("runner")
            engine.until(deliver_again, "a task to give out once more")
            os.kill(engine.holder_pid(), signal.SIGKILL)
            engine.until(partial(is_held_by_another, than=holder), "another to hold the account")
            engine.until_it_trades_on()
            live = EngineProcess.objects.filter(role="runner", stop_requested=False).exclude(pid__in=runners)
            assert live.count() <= settings.RUNNERS
        until_it_sends_on(engine)
        end_and_look(engine)
    finally:
        for each in engines:
            each.close()


SHOW_TIMEOUT = """
import django; django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW idle_in_transaction_session_timeout")
    print(cursor.fetchone()[0])
"""


def is_held_by_another(*, than: str) -> bool:
    return Lease.objects.get().holder not in ("", than)


def deliver_again() -> bool:
    """Let the queue give every task out once more, as it does when one is not acknowledged in time; tell if any was."""
    given: int = OrmQ.objects.filter(key=settings.ENGINE_QUEUE).update(lock=SystemClock().now())
    return given > 0


def test_a_runner_holds_no_transaction_longer_than_its_lease(site_environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_TIMEOUT],
        cwd=BASE_DIR, env={**site_environment, "Q_CLUSTER_NAME": settings.ENGINE_QUEUE}, text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    assert shown.stdout.strip() == "5s"
