"""The gateway of docs/writing-a-gateway.md is built from the page itself and put through the conformance suite."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from brokers.domain import Side
from brokers.gateway import Gateway
from core.clock import VirtualClock
from tests.brokers.conformance.behaviours import BEHAVIOURS
from tests.brokers.conformance.bench import ASK, BID, Bench
from tests.brokers.simulator.conftest import START

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-gateway.md"
WITHOUT = {"prices and symbols", "resting orders", "resting order fills", "stops", "trades by instance"}


class Venue:
    """A broker that knows market orders in one symbol, answers with dicts, and fails when told to."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.bid, self.ask = BID, ASK
        self.trades: dict[int, dict[str, Any]] = {}
        self.deals: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.is_cut = False

    def take(self, fault: str) -> bool:
        if fault in self.faults:
            self.faults.remove(fault)
            return True
        return False

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        if self.is_cut:
            raise ConnectionError("cut")
        match name:
            case "login":
                return {"ok": arguments["password"] == "pw"}
            case "account":
                floating = sum(self.profit(t, t["lots"]) for t in self.trades.values())
                return {"balance": 10_000.0 + sum(d["profit"] for d in self.deals), "profit": floating}
            case "symbols":
                return {"names": ["EURUSD"]}
            case "price":
                return {"price": {"bid": self.bid, "ask": self.ask, "at": self.clock.now()}}
            case "trades":
                return {} if self.take("read") else {"trades": list(self.trades.values())}
            case "deals":
                return {"deals": self.deals}
        if self.take("lose request"):
            raise TimeoutError
        answer = self.order(**arguments)
        if self.take("lose reply"):
            raise TimeoutError
        return answer

    def profit(self, trade: dict[str, Any], lots: float) -> float:
        price = self.bid if trade["side"] == "buy" else self.ask
        return float(round((price - trade["price"]) * Side(trade["side"]).sign * lots * 100_000, 2))

    def order(self, *, side: str, lots: float, trade: int, magic: int, comment: str) -> dict[str, Any]:
        if self.take("refuse"):
            return {"result": "refused", "why": "no_money"}
        if self.take("half"):
            lots /= 2
        number = len(self.deals) + 1
        held = self.trades.get(trade)
        if trade and held is None:
            return {"result": "gone"}
        buys = (side == "buy") != bool(trade)
        price, profit = (self.ask if buys else self.bid), 0.0
        if held is None:
            trade = number
            self.trades[trade] = {"id": trade, "side": side, "lots": lots, "price": price, "magic": magic,
                                  "comment": comment, "at": self.clock.now()}  # fmt: skip
        else:
            profit = self.profit(held, lots)
            held["lots"] = round(held["lots"] - lots, 8)
            if not held["lots"]:
                del self.trades[trade]
        self.deals.append({"id": number, "trade": trade, "side": "buy" if buys else "sell", "lots": lots,
                           "entry": "in" if held is None else "out", "price": price, "profit": profit, "magic": magic,
                           "comment": comment, "at": self.clock.now()})  # fmt: skip
        return {"result": "done", "id": number, "trade": trade, "lots": lots, "price": price}


class TinyBench(Bench):
    title = "Tiny"

    def __init__(self, folder: Path, page: ModuleType) -> None:
        super().__init__(folder)
        self._clock = VirtualClock(START)
        self.venue = Venue(self._clock)
        self.page = page

    @property
    def clock(self) -> VirtualClock:
        return self._clock

    def gateway(self, *, right: bool = True) -> Gateway:
        password = "pw" if right else "wrong"
        made: Gateway = self.page.TinyGateway(self.venue.call, login=5, password=password, clock=self.clock)
        return made

    def price(self, bid: float, ask: float) -> None:
        self.clock.advance(1)
        self.venue.bid, self.venue.ask = bid, ask

    def refuse_next(self) -> None:
        self.venue.faults.append("refuse")

    def fill_half_next(self) -> None:
        self.venue.faults.append("half")

    def lose_request(self) -> None:
        self.venue.faults.append("lose request")

    def lose_reply(self) -> None:
        self.venue.faults.append("lose reply")

    def fail_reads(self, *, times: int) -> None:
        self.venue.faults += ["read"] * times

    def cut(self) -> None:
        self.venue.is_cut = True

    def mend(self) -> None:
        self.venue.is_cut = False

    def by_hand(self, side: Side, lots: float) -> None:
        self.venue.order(side=str(side), lots=lots, trade=0, magic=0, comment="")

    def open_lots(self) -> float:
        return float(sum(t["lots"] * Side(t["side"]).sign for t in self.venue.trades.values()))

    def executed(self) -> int:
        return len(self.venue.deals)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ModuleType]:
    """Import the page's code."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "tiny_gateway.py"
    file.write_text(code, "utf-8")
    spec = importlib.util.spec_from_file_location("tiny_gateway", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_gateway"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["tiny_gateway"]


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name not in WITHOUT])
def test_the_pages_gateway_conforms(tmp_path: Path, page: ModuleType, name: str) -> None:
    BEHAVIOURS[name](TinyBench(tmp_path, page))
