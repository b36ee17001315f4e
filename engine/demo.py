"""The demo: a login, an account on a simulated terminal that replays recorded EURUSD, and two trading bots."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.models import DesiredState, TradingAccount, User
from accounts.services import create_account as create_trading_account
from accounts.services import set_desired_state, set_password
from brokers.simulator.account import AccountSpec, create_account, demo_symbols
from brokers.simulator.feed import FeedSpec
from core.clock import Clock
from strategies.models import Bot
from strategies.services import create_bot, set_bot_state

LOGIN = 5_000_001
SERVER = "Simulated-Demo"
NAME = "Demo"
USER = "demo"
# An hour of 2017 in twelve seconds: cycles open and close while one looks
SPEED = 300.0
# Months pass in a day: with less, the guards' limits of one day would stop the demo within minutes
BALANCE = 100_000.0
GRID: dict[str, Any] = {
    "lot_size": 0.1, "distance": 4.0, "max_levels": 6, "target_profit": 3.0, "max_cycles": 2,
    "entry_cooldown": 5.0, "direction": "both", "lot_mode": "fixed",
}  # fmt: skip
TRAILING: dict[str, Any] = {
    "lot_size": 0.05, "distance": 6.0, "max_levels": 5, "target_profit": 4.0, "trail_start": 0.5, "trail_lock": 0.7,
    "max_cycles": 1, "entry_cooldown": 10.0, "direction": "buy", "lot_mode": "add", "lot_factor": 0.5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demo:
    """Where to log in, and the account's state file."""

    user: str
    password: str | None
    password_file: Path
    state_file: Path


def ensure_demo(var_dir: Path, *, clock: Clock) -> Demo:
    """Make what of the demo is missing; what exists, and what a person changed, stays as it is."""
    now = clock.now()
    password_file = var_dir / "demo_password"
    state_file = var_dir / "terminals" / "demo.sqlite"
    broker_password = secrets.token_urlsafe(12)
    spec = AccountSpec(LOGIN, broker_password, SERVER, balance=BALANCE)
    feed = FeedSpec.recorded("eurusd-h1-2017", anchor=now, speed=SPEED)
    is_new = create_account(state_file, spec, demo_symbols(), feed, clock=clock)
    with transaction.atomic():
        user = _ensure_user(password_file)
        account = TradingAccount.objects.filter(server=SERVER, login=LOGIN).first()
        if account is None:
            password = broker_password if is_new else _password_in(state_file)
            account = create_trading_account(
                name=NAME, login=LOGIN, server=SERVER, terminal_path=str(state_file), password=password, by=user, at=now
            )
            _make_bots(account, user, now)
            set_desired_state(account=account, state=DesiredState.RUNNING, by=user, at=now)
        elif is_new:
            set_password(account=account, password=broker_password, by=user, at=now)
    shown = password_file.read_text("utf-8").strip() if password_file.exists() else None
    return Demo(USER, shown, password_file, state_file)


def _ensure_user(password_file: Path) -> User:
    """Return the demo's superuser; the file holds the password that it was made with."""
    user = User.objects.filter(username=USER).first()
    if user is None:
        password = secrets.token_urlsafe(9)
        password_file.parent.mkdir(parents=True, exist_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(f"{password}\n", "utf-8")
        user = User.objects.create_superuser(USER, password=password)
    return user


def _password_in(state_file: Path) -> str:
    """Read the broker password that an earlier database's account was made with."""
    from brokers.simulator.account import spec_from
    from brokers.simulator.state import State

    state = State(state_file)
    try:
        return spec_from(state.meta["account"]).password
    finally:
        state.close()


def _make_bots(account: TradingAccount, user: User, now: datetime) -> None:
    for name, values in (("Grid", GRID), ("Trailing", TRAILING)):
        bot: Bot = create_bot(
            account=account, name=name, strategy="cycle-trader", symbols=["EURUSD"], values=values, by=user, at=now
        )
        set_bot_state(bot=bot, state="running", by=user, at=now)
