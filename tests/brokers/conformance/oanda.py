"""The bench of OANDA: a v20 server on loopback."""

import json
from pathlib import Path
from typing import Any

from brokers.domain import Side
from brokers.gateway import Gateway
from brokers.oanda.gateway import OandaGateway
from core.clock import VirtualClock
from tests.brokers.conformance.bench import Bench
from tests.brokers.oanda.fake import ACCOUNT, TOKEN, FakeOanda
from tests.brokers.simulator.conftest import START


class OandaBench(Bench):
    title = "OANDA v20"

    def __init__(self, folder: Path, **account: Any) -> None:
        super().__init__(folder)
        self._clock = VirtualClock(START)
        self.fake = FakeOanda(self._clock, **account)
        self.ends.callback(self.fake.stop)

    @property
    def clock(self) -> VirtualClock:
        return self._clock

    def gateway(self, *, right: bool = True, is_streaming: bool = False) -> Gateway:
        gateway = OandaGateway(
            account_id=ACCOUNT, login=1234567, token=TOKEN if right else "wrong", server="practice",
            clock=self.clock, hosts={"practice": (self.fake.url, self.fake.url)}, is_streaming=is_streaming,
        )  # fmt: skip
        self.ends.callback(gateway.close)
        return gateway

    def price(self, bid: float, ask: float) -> None:
        self.clock.advance(1)
        self.fake.price(round(bid, 5), round(ask, 5))

    def refuse_next(self) -> None:
        self.fake.faults.append("cancel")

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
        units = str(round(lots * 100_000) * side.sign)
        self.fake.order({"type": "MARKET", "instrument": "EUR_USD", "units": units, "timeInForce": "FOK"})

    def open_lots(self) -> float:
        return sum(float(t["currentUnits"]) for t in self.fake.open_trades()) / 100_000

    def executed(self) -> int:
        return sum(1 for t in self.fake.transactions if t["type"] == "ORDER_FILL")
