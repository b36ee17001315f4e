"""Time how soon an account with open positions trades again after kill -9: `python benchmarks/recovery.py --kills 20`.

A whole engine runs in a folder of its own: supervisor, clusters, two runners, PostgreSQL with its disk writes. While a
bot trades beside the open positions, SIGKILL ends the runner that holds the account (or the whole engine, which is then
started again). It is timed until the account is held anew, until books and broker are equal, and until a request of the
new holder was answered. The baseline is the lease's 10 s: so long nobody of another host may act.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
(ROOT / "var").mkdir(exist_ok=True)
FOLDER = tempfile.TemporaryDirectory(prefix="recovery-", dir=ROOT / "var")
os.environ["TRADING_VAR_DIR"] = FOLDER.name
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
os.environ.pop("DATABASE_URL", None)

import django

django.setup()

from django.core.management import call_command

from accounts.models import TradingAccount
from accounts.services import create_account, set_desired_state
from benchmarks.passes import write_books
from brokers.mt5.gateway import Mt5Gateway
from brokers.simulator.account import AccountSpec, demo_symbols
from brokers.simulator.account import create_account as create_terminal
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from brokers.simulator.truth import read_truth
from core.clock import SystemClock
from engine.demo import SPEED
from engine.domain import percentile
from engine.lease import TTL_SECONDS
from engine.models import Lease
from engine.report import compare_with_truth
from orders.models import Order, OrderIntent
from strategies.services import create_bot, set_bot_state
from tests.processes.engine import Engine
from tradingsite import postgres

# Asks for something every other second: closes at half a unit of profit or loss, and begins again; the guard of orders
# a minute allows no more
BUSY: dict[str, Any] = {
    "lot_size": 0.1, "distance": 5000.0, "max_levels": 1, "target_profit": 0.5, "stop_loss_money": 0.5,
    "direction": "buy", "max_cycles": 1, "entry_cooldown": 2.2,
}  # fmt: skip
LOGIN = (8001, "pw", "Sim-Server")
STAGES = ("held anew", "books equal", "trading")


def make_account(folder: Path, positions: int, clock: SystemClock) -> TradingAccount:
    """Make an account that shall run: a stopped bot with open positions, and one that trades all the time."""
    path, at = folder / "terminals" / "1.sqlite", clock.now()
    feed = FeedSpec.recorded("eurusd-h1-2017", anchor=at, speed=SPEED)
    create_terminal(path, AccountSpec(*LOGIN, balance=1_000_000.0), demo_symbols(), feed, clock=clock)
    login, password, server = LOGIN
    account = create_account(
        name="Recovery", login=login, server=server, password=password, terminal_path=str(path), at=at
    )
    held = create_bot(account=account, name="Held", strategy="cycle-trader", symbols=["EURUSD"], values=BUSY, at=at)
    terminal = SimulatedTerminal(path, clock=clock)
    gateway = Mt5Gateway(terminal, login=login, password=password, server=server, path=None, clock=clock)
    gateway.connect()
    for n in range(positions):
        request = {"action": 1, "symbol": "EURUSD", "volume": 0.01, "type": n % 2, "magic": held.magic}
        result = terminal.order_send(request)
        assert result is not None
        assert result.retcode == 10009
    assert held.config is not None
    write_books(gateway, held.config)
    gateway.close()
    run_bot(account, "Busy", BUSY, at)
    set_desired_state(account=account, state="running", at=at)
    return account


def run_bot(account: TradingAccount, name: str, values: dict[str, Any], at: datetime) -> None:
    """Create a running bot."""
    bot = create_bot(account=account, name=name, strategy="cycle-trader", symbols=["EURUSD"], values=values, at=at)
    set_bot_state(bot=bot, state="running", at=at)


def kill_holder(engine: Engine) -> None:
    """Kill the runner that holds the account."""
    os.kill(engine.holder_pid(), signal.SIGKILL)


def kill_engine(engine: Engine) -> None:
    """Kill every process of the engine but the database server, and start it again as a service manager does."""
    for process in engine.everything():
        if process.name() != "postgres":
            process.kill()
    engine.process.wait()
    engine.start_again()


def kill_once(engine: Engine, account: TradingAccount, kill: Callable[[Engine], None]) -> list[float]:
    """Kill and return the seconds until the account is held anew, books are equal, and it trades."""
    clock, token = SystemClock(), Lease.objects.get().token
    began = clock.ticks()
    kill(engine)
    stages: tuple[tuple[str, Callable[[], Any]], ...] = (
        (STAGES[0], lambda: Lease.objects.exclude(holder="").filter(token__gt=token).exists()),
        (STAGES[1], lambda: compare_with_truth(account.pk, read_truth(Path(account.terminal_path))).equal),
        (
            STAGES[2],
            lambda: OrderIntent.objects.filter(fence__gt=token, state__in=("filled", "accepted", "adopted")).exists(),
        ),
    )
    took = []
    for name, holds in stages:
        engine.until(holds, name)
        took.append(clock.ticks() - began)
    return took


def measure(positions: int, kills: int, kill: Callable[[Engine], None], say: Callable[[str], None]) -> dict[str, Any]:
    """Return the seconds after each kill, as percentiles, and their ratios to the lease."""
    account = make_account(Path(FOLDER.name), positions, SystemClock())
    engine = Engine(dict(os.environ), demo=False)
    try:
        say("waiting for the first request")
        engine.until(lambda: OrderIntent.objects.filter(state="filled").exists(), "the first request")
        samples = []
        for number in range(kills):
            samples.append(kill_once(engine, account, kill))
            say(f"kill {number + 1} of {kills}: " + ", ".join(f"{s:.1f} s" for s in samples[-1]))
        kept = Order.objects.filter(status="open").count()
        engine.interrupt()
        postgres.embedded().ensure_running()
        compared = compare_with_truth(account.pk, read_truth(Path(account.terminal_path)))
    finally:
        engine.close()
    columns = {name: sorted(column) for name, column in zip(STAGES, zip(*samples, strict=True), strict=True)}
    figures = {
        f"{name} p{share:.0%}".rstrip("%"): round(percentile(column, share), 2)
        for name, column in columns.items()
        for share in (0.5, 0.99)
    }
    return {
        "benchmark": "recovery", "positions": positions, "kills": kills, "open at the end": kept,
        "equal at the end": compared.equal, "seconds": figures,
        "ratios to the lease": {name: round(value / TTL_SECONDS, 2) for name, value in figures.items()},
    }  # fmt: skip


def main() -> None:
    """Run it; exit code 2 when books and broker differ at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--positions", type=int, default=100, help="open positions (default 100)")
    parser.add_argument("--kills", type=int, default=20, help="kills (default 20)")
    parser.add_argument("--engine", action="store_true", help="kill the whole engine each time, and start it again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.positions < 2 or options.kills < 1:
        parser.error("--positions: give 2 or more; --kills: give 1 or more")

    def say(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    logging.getLogger("trading").setLevel(logging.WARNING)
    with FOLDER, postgres.using():
        call_command("migrate", verbosity=0)
        kill = kill_engine if options.engine else kill_holder
        found = measure(options.positions, options.kills, kill, say)
        postgres.embedded().stop()
    if options.json:
        print(json.dumps(found))
    else:
        print(f"seconds after SIGKILL with {found['positions']} open positions, {found['kills']} kills:")
        for name, value in found["seconds"].items():
            print(
                f"{name:>18}: {value:6.1f} s  {found['ratios to the lease'][name]:.2f} of the lease's {TTL_SECONDS:g} s"
            )
    raise SystemExit(0 if found["equal at the end"] else 2)


if __name__ == "__main__":
    main()
