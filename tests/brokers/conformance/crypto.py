"""The bench of ccxt: its own okx class, against an exchange on loopback."""

from pathlib import Path

from brokers.crypto.gateway import CryptoGateway
from brokers.domain import Side
from brokers.gateway import Permit
from core.clock import VirtualClock
from tests.brokers.conformance.bench import Bench
from tests.brokers.crypto.fake import SECRET, FakeExchange
from tests.brokers.simulator.conftest import START

ONE_POSITION = "one position a symbol, of one bot"


class CryptoBench(Bench):
    title = "ccxt"
    without = {
        "stops": "kept by us, not at the exchange",
        "trades by instance": ONE_POSITION,
    }

    untold_deposit = 10_000.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._clock = VirtualClock(START)
        self.fake = FakeExchange(self._clock)
        self.ends.callback(self.fake.stop)

    @property
    def clock(self) -> VirtualClock:
        return self._clock

    def permit(self, intent: str = "") -> Permit:
        """Make a permit; the first is of the intent that the suite's comment names: a client id carries no other."""
        first = "abcdefghjk" if not self._intents else ""
        return super().permit(intent or first)

    def gateway(self, *, right: bool = True) -> CryptoGateway:
        gateway = CryptoGateway(
            login=1, secret=SECRET if right else "wrong:secret:phrase", server="okx-demo", currency="USD",
            clock=self.clock, address=self.fake.url,
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
        # As often as the gateway reads again when fills and positions don't agree
        self.fake.faults += ["read"] * times

    def cut(self) -> None:
        self.fake.is_cut = True

    def mend(self) -> None:
        self.fake.is_cut = False

    def by_hand(self, side: Side, lots: float) -> None:
        touch = self.fake.ask if side is Side.BUY else self.fake.bid
        self.fake.order(
            {"instId": "EUR-USD-SWAP", "side": str(side), "ordType": "ioc", "sz": str(lots), "px": str(touch)}
        )

    def open_lots(self) -> float:
        return self.fake.lots

    def executed(self) -> int:
        return len(self.fake.fills)
