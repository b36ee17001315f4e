"""A terminal on scripted prices and a virtual clock, and shorthands for requests."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.feed import FeedSpec
from brokers.simulator.structs import Struct
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock

# A Tuesday; the server's clock is New York + 7 h, so 7:00 UTC is 9:00 there
START = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
LOGIN, PASSWORD, SERVER = 1001, "pw", "Sim-Server"


class Rig:
    """One account: move its price with `price`, its time with `clock`, and trade with `buy` and `sell`."""

    def __init__(self, folder: Path, *, symbols: tuple[SymbolSetup, ...], **account: Any) -> None:
        self.clock = VirtualClock(START)
        self.file = folder / "terminal.sqlite"
        script = {s.name: [(0.0, 1.10000, 1.10010)] for s in symbols}
        spec = AccountSpec(LOGIN, PASSWORD, SERVER, **account)
        create_account(self.file, spec, symbols, FeedSpec.script(script, anchor=START), clock=self.clock)
        self.mt5 = self.connect()

    def connect(self) -> SimulatedTerminal:
        """Open another terminal on the account."""
        terminal = SimulatedTerminal(self.file, clock=self.clock)
        assert terminal.initialize(login=LOGIN, password=PASSWORD, server=SERVER)
        return terminal

    def price(self, bid: float, spread: float = 0.0001, *, symbol: str = "EURUSD", after: float = 1.0) -> None:
        """Let time pass, and the price change."""
        self.clock.advance(after)
        self.mt5.push_tick(symbol, round(bid, 5), round(bid + spread, 5))

    def send(self, **fields: Any) -> Struct:
        """Send a request that gets an answer."""
        result = self.mt5.order_send(fields)
        assert result is not None, self.mt5.last_error()
        return result

    def buy(self, volume: float = 0.1, **fields: Any) -> Struct:
        return self.send(action=1, symbol="EURUSD", volume=volume, type=0, **fields)

    def sell(self, volume: float = 0.1, **fields: Any) -> Struct:
        return self.send(action=1, symbol="EURUSD", volume=volume, type=1, **fields)

    def balance(self) -> float:
        info = self.mt5.account_info()
        assert info is not None
        return float(info.balance)

    def equity(self) -> float:
        info = self.mt5.account_info()
        assert info is not None
        return float(info.equity)


Make = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Make:
    def make(*symbols: SymbolSetup, **account: Any) -> Rig:
        return Rig(tmp_path, symbols=symbols or (SymbolSetup("EURUSD"),), **account)

    return make


@pytest.fixture
def rig(make_rig: Make) -> Rig:
    return make_rig()
