"""The benches of MetaTrader 5: on a simulated terminal, and through an agent beside one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from brokers.domain import Side
from brokers.gateway import Gateway
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.remote import RemoteMt5Gateway
from brokers.simulator.account import SymbolSetup
from brokers.simulator.structs import make
from brokers.simulator.terminal import SimulatedTerminal
from brokers.simulator.truth import read_truth
from core.clock import VirtualClock
from tests.brokers.agent.conftest import Remote
from tests.brokers.conformance.bench import Bench
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, SERVER, Rig

PARTIAL = 10010
SETUP = SymbolSetup("EURUSD", commission_per_lot=0.0)


class Mt5Bench(Bench):
    title = "MetaTrader 5"
    server_offset = timedelta(hours=2)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start()

    def start(self) -> None:
        """Make the terminal of the gateway, and another one for the market and for people."""
        self.rig = Rig(self.folder, symbols=(SETUP,))
        self.theirs: SimulatedTerminal = self.rig.mt5
        self.market = self.rig.connect()
        self.ends.callback(self.theirs.shutdown)
        self.ends.callback(self.market.shutdown)

    @property
    def clock(self) -> VirtualClock:
        return self.rig.clock

    def gateway(self, *, right: bool = True) -> Gateway:
        password = PASSWORD if right else "wrong"
        return Mt5Gateway(self.theirs, login=LOGIN, password=password, server=SERVER, path=None, clock=self.clock)

    def price(self, bid: float, ask: float) -> None:
        self.clock.advance(1)
        self.market.push_tick("EURUSD", round(bid, 5), round(ask, 5))

    @property
    def executing(self) -> SimulatedTerminal:
        """The terminal in which orders are executed."""
        return self.theirs

    def refuse_next(self) -> None:
        self.executing.faults.too_many_requests()

    def fill_half_next(self) -> None:
        terminal = self.executing
        send = terminal.order_send

        def half(request: dict[str, Any]) -> Any:
            del terminal.order_send
            result = send({**request, "volume": request["volume"] / 2})
            assert result is not None
            echo = make("TradeRequest", {**result.request._asdict(), "volume": request["volume"]})
            return make("OrderSendResult", {**result._asdict(), "retcode": PARTIAL, "request": echo})

        terminal.order_send = half  # type: ignore[method-assign]

    def lose_request(self) -> None:
        self.executing.faults.reply_lost_before_execution()

    def lose_reply(self) -> None:
        self.executing.faults.reply_lost_after_execution()

    def fail_reads(self, *, times: int) -> None:
        self.executing.faults.none_from("positions_get", times)

    def cut(self) -> None:
        self.theirs.faults.disconnect()

    def mend(self) -> None:
        self.theirs.faults.reconnect()

    def by_hand(self, side: Side, lots: float) -> None:
        result = (self.market.Buy if side is Side.BUY else self.market.Sell)("EURUSD", lots)
        assert result is not None

    def open_lots(self) -> float:
        return sum(p.volume * (1 if p.type == 0 else -1) for p in read_truth(self.rig.file).positions)

    def executed(self) -> int:
        return sum(1 for d in read_truth(self.rig.file).deals if d.order)


class AgentBench(Mt5Bench):
    title = "MetaTrader 5, remote agent"

    def start(self) -> None:
        self.remote = Remote(self.folder, SETUP)
        self.rig = self.remote.rig
        self.theirs = self.rig.mt5
        self.market = self.rig.connect()
        self.ends.callback(self.remote.stop)
        self.ends.callback(self.market.shutdown)

    def gateway(self, *, right: bool = True) -> Gateway:
        password = PASSWORD if right else "wrong"
        terminal = self.remote.terminal()
        return RemoteMt5Gateway(terminal, login=LOGIN, password=password, server=SERVER, path=None, clock=self.clock)

    def cut(self) -> None:
        super().cut()
        self.remote.server._hang_up_all()
