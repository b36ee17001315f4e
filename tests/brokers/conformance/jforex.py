"""The bench of JForex: a bridge on loopback."""

import json
from pathlib import Path

from brokers.domain import Side
from brokers.jforex.gateway import JForexGateway
from core.clock import VirtualClock
from tests.brokers.conformance.bench import Bench
from tests.brokers.jforex.fake import LOGIN, TOKEN, FakeBridge
from tests.brokers.simulator.conftest import START


class JForexBench(Bench):
    title = "JForex"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._clock = VirtualClock(START)
        self.fake = FakeBridge(self._clock)
        self.ends.callback(self.fake.stop)

    @property
    def clock(self) -> VirtualClock:
        return self._clock

    def gateway(self, *, right: bool = True, is_streaming: bool = False) -> JForexGateway:
        gateway = JForexGateway(
            address=self.fake.url, login=LOGIN, token=TOKEN if right else "wrong", server="demo", clock=self.clock,
            is_streaming=is_streaming,
        )  # fmt: skip
        self.ends.callback(gateway.close)
        return gateway

    def price(self, bid: float, ask: float) -> None:
        self.clock.advance(1)
        self.fake.price(round(bid, 5), round(ask, 5))

    def refuse_next(self) -> None:
        self.fake.faults.append("refuse")

    def fill_half_next(self) -> None:
        self.fake.faults.append("half")

    def lose_request(self) -> None:
        self.fake.faults.append("lose request")

    def lose_reply(self) -> None:
        self.fake.faults.append("lose reply")

    def fail_reads(self, *, times: int) -> None:
        self.fake.faults += ["read " + json.dumps([200, "{}"])] * times

    def cut(self) -> None:
        self.fake.is_cut = True

    def mend(self) -> None:
        self.fake.is_cut = False

    def by_hand(self, side: Side, lots: float) -> None:
        self.fake.submit({
            "label": "Strategy1", "comment": "", "instrument": "EUR/USD", "command": side.upper(),
            "units": round(lots * 100_000), "price": 0.0, "sl": None, "tp": None,
        })  # fmt: skip

    def open_lots(self) -> float:
        units = (o["units"] * (1 if self.fake.is_buy(o) else -1) for o in self.fake.open_orders())
        return float(sum(units)) / 100_000

    def executed(self) -> int:
        return sum(1 for o in self.fake.orders.values() for part in o["fills"] + o["closes"] if part)
