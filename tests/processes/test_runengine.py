"""The real thing: clusters, runners, leases, the site; parts of it are killed, and trading goes on."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import psutil
import pytest

from accounts.models import TradingAccount
from accounts.selectors import password_of
from accounts.services import set_desired_state, set_password
from core.clock import SystemClock
from cycles.models import Cycle
from engine.models import EngineProcess, EngineState
from orders.models import Order
from tests.processes.engine import BASE_DIR, WAIT_SECONDS, Engine, last_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes the POSIX way")


@pytest.fixture
def engine(site_environment: dict[str, str]) -> Iterator[Engine]:
    running = Engine(site_environment)
    yield running
    running.close()


def test_a_run_opens_and_closes_cycles_and_its_books_equal_the_broker(site_environment: dict[str, str]) -> None:
    engine = Engine(site_environment, "--seconds", "40", "--json")
    try:
        figures = last_json(engine.output())
    finally:
        engine.close()
    assert engine.process.returncode == 0, figures
    assert figures["cycles_opened"] >= 2
    assert figures["cycles_closed"] >= 1
    assert figures["orders_opened"] >= figures["cycles_opened"]
    assert figures["books_equal_broker"] is True
    assert figures["restarts"] == 0
    jobs = figures["jobs"]
    assert {"orders", "cycles", "trade", "realtime"} <= jobs.keys()
    assert all(jobs[name]["passes"] > 0 and jobs[name]["p99_ms"] >= jobs[name]["p50_ms"] for name in jobs)
    assert engine.everything() == []
    assert not EngineProcess.objects.exists()


@pytest.mark.requirement("S1-63", "S2-11", "S2-12")
def test_whatever_is_killed_trading_goes_on_and_nothing_is_sent_twice(engine: Engine) -> None:
    engine.until_it_trades_on()
    engine.until(Order.objects.exists, "a first order")
    for role in ("runner", "cluster", "supervisor"):
        victim = engine.holder_pid() if role == "runner" else engine.pids(role)[0]
        os.kill(victim, signal.SIGKILL)
        if role == "supervisor":
            engine.process.wait()
            engine.start_again()
        engine.until_it_trades_on()
    for process in engine.everything():
        process.kill()
    engine.process.wait()
    engine.start_again()
    engine.until_it_trades_on()
    engine.interrupt()
    compared = engine.compare(TradingAccount.objects.get().pk)
    assert compared.equal, compared
    assert engine.everything() == []


@pytest.mark.requirement("S4-01")
def test_pause_and_resume_from_the_database_reach_a_running_engine(engine: Engine) -> None:
    engine.until_it_trades_on()
    engine.until(Cycle.objects.exists, "a first cycle")
    account, now = TradingAccount.objects.get(), SystemClock().now
    for state in ("paused", "stopped", "running"):
        set_desired_state(account=account, state=state, at=now())
        engine.until(partial(is_shown, state), f"the engine to be {state}")
    engine.interrupt()
    assert EngineState.objects.get().status == "stopped"


def test_a_wrong_password_is_told_at_the_terminal_and_healed_without_a_restart(engine: Engine) -> None:
    engine.until_it_trades_on()
    account, now = TradingAccount.objects.get(), SystemClock().now
    right = password_of(account)
    for password, shown in (("wrong", "error"), (right, "running")):
        set_desired_state(account=account, state="stopped", at=now())
        engine.until(partial(is_shown, "stopped"), "the account to stop")
        set_password(account=account, password=password, at=now())
        set_desired_state(account=account, state="running", at=now())
        engine.until(partial(is_shown, shown), f"the account to be {shown}")
    said = "Demo: Login 5000001 at Simulated-Demo was refused by the broker. Check login, server and password"
    assert engine.interrupt().count(said) == 1


def test_a_second_runengine_is_refused_in_one_line(engine: Engine, site_environment: dict[str, str]) -> None:
    engine.until_it_trades_on()
    second = run(site_environment)
    assert second.returncode == 1
    assert "The engine of this checkout runs already. Stop it with `make stop` first." in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1
    engine.until_it_trades_on()


def run(environment: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "runengine", *options],
        cwd=BASE_DIR, env=environment, text=True, capture_output=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip


def test_a_port_in_use_is_said_in_one_line(site_environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run(site_environment, "--web", f"127.0.0.1:{port}")
    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        f"CommandError: Port {port} of 127.0.0.1 is in use. Stop what uses it (`make stop` if it is ours), "
        f"or choose another: make run WEB=127.0.0.1:{port + 1}"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--web", "nowhere"), "--web:"),
        (("--web", "127.0.0.1:99999"), "is no HOST:PORT"),
        (("--seconds", "0"), "--seconds: give a number above 0"),
        (("--seconds", "nan"), "--seconds: give a number above 0"),
        (("--runners", "0"), "--runners: give a number from 1 to 16"),
    ],
)
def test_wrong_options_are_named(options: tuple[str, ...], said: str, site_environment: dict[str, str]) -> None:
    refused = run(site_environment, *options)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_missing_database_is_said_in_one_line(site_environment: dict[str, str]) -> None:
    nowhere = {**site_environment, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    refused = run(nowhere, "--demo")
    assert refused.returncode == 1
    assert "DATABASE_URL" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.requirement("S0-86")
def test_an_idle_runner_stays_small(engine: Engine) -> None:
    engine.until_it_trades_on()
    rss = psutil.Process(engine.holder_pid()).memory_info().rss
    assert rss < 150 * 1024 * 1024


def is_shown(state: str) -> bool:
    return EngineState.objects.filter(status=state).exists()
