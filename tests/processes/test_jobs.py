"""The jobs' queue with a real cluster: backtest and parity go through it, once however often they are delivered."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django_q.models import Task
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import create_account
from backtesting import services
from backtesting.domain import Asked
from backtesting.models import Backtest, ParityReport
from backtesting.parity.measuring import TASK as PARITY
from core.clock import SystemClock
from strategies.services import create_bot
from tests.processes.engine import BASE_DIR, WAIT_SECONDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ends processes the POSIX way")
GRID = {"lot_size": 0.1, "distance": 5.0, "target_profit": 5.0, "max_cycles": 2}
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_cluster_runs_backtests_and_parity(site_environment: dict[str, str]) -> None:
    clock = SystemClock()
    ada = User.objects.create_user("ada")
    account = create_account(name="Main", login=1, server="Sim", at=clock.now())
    bot = create_bot(
        account=account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], values=GRID, at=clock.now()
    )
    bot.refresh_from_db()
    assert bot.config is not None
    asked = Asked(begin=BEGIN, end=BEGIN + timedelta(hours=12), seed=5)
    made = services.ask(config=bot.config, asked=asked, by=ada, clock=clock)
    # The queue may deliver a task twice
    async_task(services.TASK, made.pk, cluster=services.QUEUE, task_name="again")
    async_task(PARITY, bot.pk, "2026-03-02", cluster=services.QUEUE, task_name="parity")
    names = {f"backtest {made.pk}", "again", "parity"}
    cluster = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"], cwd=BASE_DIR, start_new_session=True,
        # Tasks are signed with the site's key
        env={**site_environment, "Q_CLUSTER_NAME": services.QUEUE, "SECRET_KEY": settings.SECRET_KEY},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = clock.ticks() + WAIT_SECONDS
        while Task.objects.filter(name__in=names).count() < len(names):
            assert clock.ticks() < deadline, "the cluster did not work the queue off"
            assert cluster.poll() is None, "the cluster ended"
            clock.sleep(0.2)
    finally:
        _end(cluster)
        connection.close()
    backtest = Backtest.objects.get(pk=made.pk)
    assert (backtest.status, backtest.progress, backtest.error) == ("done", 1.0, "")
    assert backtest.result is not None
    assert backtest.result["cycles"]
    results = {task.name: (task.success, task.result) for task in Task.objects.filter(name__in=names)}
    assert results.pop("parity") == (True, "skipped")
    assert set(results.values()) == {(True, "done"), (True, "nothing to do")}
    assert "no configuration on that day" in ParityReport.objects.get(day="2026-03-02").note


def _end(cluster: "subprocess.Popen[bytes]") -> None:
    """End the cluster with its workers."""
    family = [*psutil.Process(cluster.pid).children(recursive=True), psutil.Process(cluster.pid)]
    for process in family:
        if process.is_running():
            process.kill()
    cluster.wait(WAIT_SECONDS)
