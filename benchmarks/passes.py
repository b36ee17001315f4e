"""Time the passes of Orders Manager and Cycles Manager over open orders: `python benchmarks/passes.py --orders 100`.

Every pass reads the simulated terminal after a new tick, so that all floating values move. `orders` is a whole pass
with its commit, `own` the same without the time that the terminal took to answer. The baseline, measured in the same
run, is what the sources do: one UPDATE for each order.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

import django

django.setup()

from django.db import connection

from accounts.models import TradingAccount
from brokers.mt5.gateway import Mt5Gateway
from brokers.sendjournal import SendJournal
from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock
from core.ids import SeededIds
from cycles.manager import CyclesManager
from cycles.models import Cycle
from engine.domain import percentile
from engine.gate import SendGate
from engine.lease import HeldLease
from engine.memory import settle
from orders.manager import OrdersManager
from orders.models import Order
from strategies.models import Bot, BotConfig
from tradingsite import postgres

START = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
LEGS_PER_CYCLE = 10
BASELINE_PASSES = 3
# A grid of thousands of legs has grown over days: the recent ledger, which every tenth second reads again, is short
SECONDS_BETWEEN_ORDERS = 30.0


class Watched:
    """A gateway whose own share of the time is counted, in seconds."""

    def __init__(self, gateway: Mt5Gateway) -> None:
        self._gateway = gateway
        self.spent = 0.0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._gateway, name)

        def counted(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **options)
            finally:
                self.spent += time.perf_counter() - started

        return counted


def timed(run: Callable[[], object], passes: int, before: Callable[[], object]) -> list[float]:
    """Return the durations of `run` in milliseconds, ascending; `before` is not timed."""
    samples = []
    for _ in range(passes):
        before()
        started = time.perf_counter()
        run()
        samples.append((time.perf_counter() - started) * 1000)
    return sorted(samples)


def build(
    folder: Path, orders: int, clock: VirtualClock, login: int = 1
) -> tuple[SimulatedTerminal, Mt5Gateway, TradingAccount]:
    """Open `orders` positions at the simulated broker, and write the books that belong to them."""
    file = folder / f"terminal-{login}.sqlite"
    script = {"EURUSD": [(0.0, 1.1, 1.1001)]}
    spec = AccountSpec(login, "pw", "Bench", balance=1e9)
    create_account(file, spec, [SymbolSetup("EURUSD")], FeedSpec.script(script, anchor=START), clock=clock)
    terminal = SimulatedTerminal(file, clock=clock)
    gateway = Mt5Gateway(terminal, login=login, password="pw", server="Bench", path=None, clock=clock)
    gateway.connect()
    request = {"action": 1, "symbol": "EURUSD", "volume": 0.01, "magic": 6 + login}
    # The state file is forced to disk at every order, which is not what is measured here
    terminal._exchange.state._db.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr]
    for n in range(orders):
        clock.advance(SECONDS_BETWEEN_ORDERS)
        result = terminal.order_send(request | {"type": n % 2})
        assert result is not None
        assert result.retcode == 10009
    account = TradingAccount.objects.create(name=f"Bench {login}", login=login, server="Bench", terminal_path=str(file))
    bot = Bot.objects.create(
        account=account, name="Bench", strategy="cycle-trader", symbols=["EURUSD"], magic=6 + login
    )
    config = BotConfig.objects.create(bot=bot, version=1, strategy="cycle-trader", strategy_version=1, values={})
    write_books(gateway, config)
    return terminal, gateway, account


def write_books(gateway: Mt5Gateway, config: BotConfig) -> None:
    """Write orders and cycles of a bot for every position that is open at the broker."""
    bot, found = config.bot, gateway.book().positions
    cycles = Cycle.objects.bulk_create(
        Cycle(
            account=bot.account, bot=bot, config=config, number=n + 1, symbol="EURUSD", side="buy", opened_at=START
        )
        for n in range(max(1, len(found) // LEGS_PER_CYCLE))
    )  # fmt: skip
    Order.objects.bulk_create(
        Order(
            account=bot.account, bot=bot, cycle=cycles[n % len(cycles)], ticket=p.ticket, identifier=p.identifier,
            symbol=p.symbol, side=p.side, status="open", level=n // len(cycles), volume=p.volume,
            volume_initial=p.volume, price_open=p.price_open, opened_at=START,
        )
        for n, p in enumerate(found)
    )  # fmt: skip


def measure(orders: int, passes: int) -> dict[str, Any]:
    """Return the benchmark's figures (milliseconds) and their ratios to the baseline."""
    clock = VirtualClock(START)
    with TemporaryDirectory() as folder:
        terminal, gateway, account = build(Path(folder), orders, clock)
        lease = HeldLease.acquire(account.pk, "bench", clock=clock)
        assert lease is not None
        gate = SendGate(lease, SendJournal(Path(folder) / "journal"), clock)
        watched: Any = Watched(gateway)
        manager = OrdersManager(gateway=watched, gate=gate, clock=clock)
        own: list[float] = []

        def pass_alone() -> None:
            watched.spent, started = 0.0, time.perf_counter()
            manager.run()
            own.append((time.perf_counter() - started - watched.spent) * 1000)

        cycles = CyclesManager(gate=gate, clock=clock, orders_manager=manager)
        ticks = SeededIds(1)

        def tick() -> None:
            clock.advance(0.5)
            bid = round(1.1 + int(ticks.token(2), 36) * 1e-6, 5)
            terminal.push_tick("EURUSD", bid, round(bid + 0.0001, 5))

        def row_by_row() -> None:
            for p in gateway.book().positions:
                Order.objects.filter(account=account, identifier=p.identifier).update(profit=round(p.profit, 2))

        manager.run()
        settle()
        baseline = timed(row_by_row, BASELINE_PASSES, tick)
        Order.objects.filter(account=account).update(profit=0)
        manager.run()
        found = {
            "baseline": baseline,
            "book": timed(gateway.book, passes, tick),
            "orders": timed(pass_alone, passes, tick),
            "own": sorted(own),
            "cycles": timed(cycles.run, passes, tick),
        }
    figures = {
        f"{name}_{label}_ms": round(percentile(samples, share), 3)
        for name, samples in found.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }
    base = figures["baseline_p50_ms"]
    ratios = {name: round(figures[f"{name}_p50_ms"] / base, 4) for name in ("book", "orders", "own", "cycles")}
    return {"benchmark": "passes", "orders": orders, "passes": passes, "figures": figures, "ratios": ratios}


def main() -> None:
    """Run it in a database of its own on the site's server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--orders", type=int, default=100, help="open orders (default 100)")
    parser.add_argument("--passes", type=int, default=100, help="timed passes (default 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.orders < 1 or options.passes < 1:
        parser.error("--orders and --passes: give numbers above 0")
    with postgres.using():
        old = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            found = measure(options.orders, options.passes)
        finally:
            connection.creation.destroy_test_db(old, verbosity=0)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['orders']} orders, {found['passes']} passes; baseline: one UPDATE an order")
    for name in ("baseline", "book", "orders", "own", "cycles"):
        p50, p99 = found["figures"][f"{name}_p50_ms"], found["figures"][f"{name}_p99_ms"]
        share = f"  {found['ratios'][name]:.3f} of the baseline" if name in found["ratios"] else ""
        print(f"{name:>9}: p50 {p50:9.2f} ms  p99 {p99:9.2f} ms{share}")


if __name__ == "__main__":
    main()
