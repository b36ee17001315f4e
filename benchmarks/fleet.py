"""Many simulated accounts on one engine of real processes, in a folder and on a database server of their own.

Import it before anything else of the site: it chooses the folder.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
(ROOT / "var").mkdir(exist_ok=True)
FOLDER = tempfile.TemporaryDirectory(prefix="fleet-", dir=ROOT / "var")
os.environ["TRADING_VAR_DIR"] = FOLDER.name
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
os.environ.pop("DATABASE_URL", None)
os.environ["MAX_BOTS"] = "1000"

import django

django.setup()

import psutil
from django.core.management import call_command
from django.db import Error as DatabaseProblem
from django.db import connection

from accounts.models import TradingAccount
from accounts.services import create_account, set_desired_state
from benchmarks.passes import write_books
from brokers.mt5.gateway import Mt5Gateway
from brokers.simulator.account import AccountSpec, demo_symbols
from brokers.simulator.account import create_account as create_terminal
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock
from engine.models import EngineProcess, EngineState
from strategies.services import create_bot, set_bot_state
from tests.processes.engine import Engine

CLOCK = SystemClock()
# Holds what it has: it is asked every second, and has nothing to do
HOLDING: dict[str, Any] = {
    "lot_size": 0.1, "distance": 5000.0, "max_levels": 1, "target_profit": 90_000.0, "direction": "buy",
    "max_cycles": 1, "entry_cooldown": 86_400.0,
}  # fmt: skip
# Opens and closes something every few seconds
TRADING: dict[str, Any] = {
    "lot_size": 0.1, "distance": 5000.0, "max_levels": 1, "target_profit": 0.5, "stop_loss_money": 0.5,
    "direction": "buy", "max_cycles": 1, "entry_cooldown": 10.0,
}  # fmt: skip
START_SECONDS = 600.0


def migrate() -> None:
    """Make the schema, quietly."""
    logging.getLogger("trading").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)


def make_accounts(count: int, positions: int, values: dict[str, Any], *, speed: float) -> None:
    """Make accounts that shall run, each with open positions of one bot; prices go `speed` times as fast."""
    for number in range(1, count + 1):
        at, path = CLOCK.now(), Path(FOLDER.name) / "terminals" / f"{number}.sqlite"
        feed = FeedSpec.recorded("eurusd-h1-2017", anchor=at, speed=speed)
        spec = AccountSpec(number, "pw", "Fleet", balance=1_000_000.0)
        create_terminal(path, spec, demo_symbols(), feed, clock=CLOCK)
        account = create_account(
            name=f"Fleet {number}", login=number, server="Fleet", password="pw", terminal_path=str(path), at=at
        )
        bot = create_bot(
            account=account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], values=values, at=at
        )
        if positions:
            _open(path, account, bot, positions)
        set_bot_state(bot=bot, state="running", at=at)
        set_desired_state(account=account, state="running", at=at)


def _open(path: Path, account: TradingAccount, bot: Any, positions: int) -> None:
    terminal = SimulatedTerminal(path, clock=CLOCK)
    gateway = Mt5Gateway(terminal, login=account.login, password="pw", server="Fleet", path=None, clock=CLOCK)
    gateway.connect()
    # The state file is forced to disk at every order, which is not what is measured
    terminal._exchange.state._db.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr]
    for n in range(positions):
        result = terminal.order_send(
            {"action": 1, "symbol": "EURUSD", "volume": 0.01, "type": n % 2, "magic": bot.magic}
        )
        assert result is not None
        assert result.retcode == 10009, result
    write_books(gateway, bot.config)
    gateway.close()


def wait_until_running(say: Callable[[str], None], alive: Callable[[], bool]) -> float:
    """Wait until every account runs; return the seconds that it took. Raises SystemExit when it does not come to it."""
    began, told = CLOCK.ticks(), -1
    wanted = TradingAccount.objects.count()
    while CLOCK.ticks() - began < START_SECONDS and alive():
        try:
            running = EngineState.objects.filter(status="running").count()
        except DatabaseProblem:
            connection.close()
            running = 0
        if running != told:
            say(f"{running} of {wanted} accounts run")
            told = running
        if running == wanted:
            return CLOCK.ticks() - began
        CLOCK.sleep(1.0)
    raise SystemExit(f"after {CLOCK.ticks() - began:.0f} s {told} of {wanted} accounts run")


def processes_of(engine: Engine) -> list[psutil.Process]:
    """Return the engine's processes, with those that the database server keeps for each connection."""
    found = {process.pid: process for process in engine.everything()}
    for process in list(found.values()):
        try:
            if "postgres" in process.name():
                found |= {child.pid: child for child in process.children(recursive=True)}
        except psutil.Error:
            continue
    return list(found.values())


def cpu_seconds(found: list[psutil.Process]) -> dict[str, float]:
    """Return the processor time that the engine's processes have used so far: runners, database, others."""
    runners = set(EngineProcess.objects.filter(role="runner").values_list("pid", flat=True))
    used = dict.fromkeys(("runners", "database", "others"), 0.0)
    for process in found:
        try:
            times, name = process.cpu_times(), process.name()
        except psutil.Error:
            continue
        role = "runners" if process.pid in runners else "database" if "postgres" in name else "others"
        used[role] += times.user + times.system
    return used
