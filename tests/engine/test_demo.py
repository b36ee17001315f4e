"""The demo and the first account: made once, never over what a person changed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts.models import TradingAccount, User
from accounts.selectors import password_of
from brokers.simulator.truth import read_truth
from core.clock import VirtualClock
from engine.demo import SERVER, ensure_demo
from engine.firstaccount import ensure_first_account
from strategies.models import Bot
from strategies.services import set_bot_state

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def test_the_demo_is_an_account_two_bots_and_a_login(tmp_path: Path, client: Any) -> None:
    demo = ensure_demo(tmp_path, clock=VirtualClock(NOW))
    account = TradingAccount.objects.get()
    assert (account.desired_state, account.demo, account.broker) == ("running", True, "simulator")
    assert [b.desired_state for b in Bot.objects.all()] == ["running", "running"]
    entry = client.post("/admin/login/", {"username": demo.user, "password": demo.password, "next": "/admin/"})
    assert entry.status_code == 302
    assert demo.password_file.stat().st_mode & 0o077 == 0
    assert read_truth(demo.state_file).balance == 100_000.0


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    first = ensure_demo(tmp_path, clock=clock)
    bot = Bot.objects.first()
    assert bot is not None
    set_bot_state(bot=bot, state="stopped", at=NOW)
    User.objects.get().set_password("changed by its owner")
    assert ensure_demo(tmp_path, clock=clock) == first
    assert Bot.objects.filter(desired_state="stopped").count() == 1
    assert (TradingAccount.objects.count(), User.objects.count()) == (1, 1)


def test_a_new_terminal_and_an_old_database_find_together(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    demo = ensure_demo(tmp_path, clock=clock)
    old = password_of(TradingAccount.objects.get())
    demo.state_file.unlink()
    ensure_demo(tmp_path, clock=clock)
    assert password_of(TradingAccount.objects.get()) != old


def test_an_old_terminal_and_a_new_database_find_together(tmp_path: Path) -> None:
    from brokers.simulator.terminal import SimulatedTerminal

    clock = VirtualClock(NOW)
    demo = ensure_demo(tmp_path, clock=clock)
    TradingAccount.objects.update(server="Gone", name="Gone")
    ensure_demo(tmp_path, clock=clock)
    terminal = SimulatedTerminal(demo.state_file, clock=clock)
    account = TradingAccount.objects.get(server=SERVER)
    assert terminal.initialize(login=account.login, password=password_of(account), server=account.server)


@pytest.mark.requirement("S1-24")
def test_the_first_account_comes_from_the_environment_and_is_stopped(settings: Any) -> None:
    settings.MT5_LOGIN, settings.MT5_PASSWORD, settings.MT5_SERVER = 424242, "secret", "Broker-Demo"
    settings.MT5_PATH = r"C:\mt5\terminal64.exe"
    account = ensure_first_account(at=NOW)
    assert account is not None
    assert (account.login, account.server, account.broker, account.desired_state) == (
        424242, "Broker-Demo", "mt5", "stopped",
    )  # fmt: skip
    assert password_of(account) == "secret"
    assert ensure_first_account(at=NOW) is None


def test_without_variables_there_is_no_first_account() -> None:
    assert ensure_first_account(at=NOW) is None
    assert not TradingAccount.objects.exists()
