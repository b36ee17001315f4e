"""What a check of the selftest works on: an account of its own, and the module that a program would import."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.feed import FeedSpec
from brokers.simulator.module import as_module
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock

# A Tuesday, 9:00 on the server's clock
START = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
LOGIN, PASSWORD, SERVER = 1001, "selftest", "Simulated-Selftest"
BID, ASK = 1.1, 1.1001
DONE, REQUOTE, CLIENT_DISABLES, NO_CONNECTION, TOO_MANY = 10009, 10004, 10027, 10031, 10024
NOT_FOUND, FAIL, TIMEOUT, RECEIVE, NO_IPC = -4, -1, -10005, -10002, -10004


class Bench:
    """An account on scripted prices, the terminal, and the module that a program would import."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(START)
        self.file = folder / "selftest.sqlite"
        symbols = [
            SymbolSetup("EURUSD", depth_lots=5.0, commission_per_lot=0.0),
            SymbolSetup("GBPUSD", currency_base="GBP", commission_per_lot=0.0),
        ]
        script = {symbol.name: [(0.0, BID, ASK)] for symbol in symbols}
        feed = FeedSpec.script(script, anchor=START)
        create_account(self.file, AccountSpec(LOGIN, PASSWORD, SERVER), symbols, feed, clock=self.clock)
        self.terminal = SimulatedTerminal(self.file, clock=self.clock)
        self.mt5: Any = as_module(self.terminal)
        self.faults = self.terminal.faults
        assert self.mt5.initialize(login=LOGIN, password=PASSWORD, server=SERVER), self.mt5.last_error()

    def tick(self, bid: float, after: float = 1.0) -> None:
        """Let time pass, and EURUSD change its price."""
        self.clock.advance(after)
        self.terminal.push_tick("EURUSD", bid, round(bid + ASK - BID, 5))

    def buy(self, **fields: Any) -> Any:
        """Buy a tenth of a lot."""
        return self.mt5.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, **fields})

    def error(self) -> int:
        """Return the code of the last error."""
        return int(self.mt5.last_error()[0])


Check = Callable[[Bench], None]


def collect(checks: dict[str, Check], *names: str) -> Callable[[Check], Check]:
    """Say what a check is for: keep it in `checks` under these names."""

    def register(made: Check) -> Check:
        checks.update(dict.fromkeys(names, made))
        return made

    return register
