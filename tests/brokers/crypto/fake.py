"""An exchange on loopback that speaks as much of OKX's v5 as ccxt needs: one swap, prices by hand, faults by name."""

import json
import socket
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.clock import VirtualClock

KEY, SECRET = "key", "key:secret:phrase"
Row = dict[str, Any]

INSTRUMENT: Row = {
    "instId": "EUR-USD-SWAP", "instType": "SWAP", "uly": "EUR-USD", "settleCcy": "USD", "ctVal": "100000",
    "ctMult": "1", "ctType": "linear", "lotSz": "0.01", "minSz": "0.01", "maxLmtSz": "1000", "tickSz": "0.00001",
    "lever": "50", "state": "live", "listTime": "1600000000000", "baseCcy": "", "quoteCcy": "", "expTime": "",
}  # fmt: skip


class FakeExchange:
    """The account's state. `faults` are taken by the next request that they fit."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.faults: list[str] = []
        self.is_cut = False
        self.is_hedged = False
        self.requests: list[str] = []
        self.balance = 10_000.0
        self.orders: dict[str, Row] = {}
        self.fills: list[Row] = []
        self.hidden = 0
        self.lots, self.entry = 0.0, 0.0
        self.ticks: list[tuple[datetime, float, float]] = []
        self.price(1.10000, 1.10010)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.is_cut = True
        self.server.shutdown()
        self.server.server_close()

    def take(self, fault: str) -> bool:
        with self.lock:
            if fault in self.faults:
                self.faults.remove(fault)
                return True
            return False

    @property
    def now(self) -> str:
        return str(int(self.clock.now().timestamp() * 1000))

    def price(self, bid: float, ask: float) -> None:
        """Say a price, and fill what it touches."""
        with self.lock:
            self.bid, self.ask = bid, ask
            self.ticks.append((self.clock.now(), bid, ask))
            for order in [o for o in self.orders.values() if o["state"] == "live"]:
                self.match(order, 1.0)

    def match(self, order: Row, part: float) -> None:
        """Fill an order at the touch, when its limit allows that."""
        is_buy, limit = order["side"] == "buy", float(order["px"])
        price = self.ask if is_buy else self.bid
        if (price > limit) if is_buy else (price < limit):
            return
        lots = round(float(order["sz"]) * part, 8)
        if order["reduceOnly"] == "true":
            lots = min(lots, abs(self.lots))
        self._book(lots if is_buy else -lots, price)
        order |= {"accFillSz": str(lots), "avgPx": str(price), "state": "filled" if part == 1 else "canceled",
                  "uTime": self.now}  # fmt: skip
        number = str(900_001 + len(self.fills))
        self.fills.append({"instId": INSTRUMENT["instId"], "instType": "SWAP", "tradeId": number, "billId": number,
                           "ordId": order["ordId"], "clOrdId": order["clOrdId"], "side": order["side"],
                           "fillSz": str(lots), "fillPx": str(price), "fee": "0", "feeCcy": "USD", "ts": self.now,
                           "posSide": "net", "execType": "T"})  # fmt: skip

    def _book(self, change: float, price: float) -> None:
        if self.lots * change < 0:
            closed = min(abs(self.lots), abs(change))
            self.balance += (price - self.entry) * closed * 100_000 * (1 if self.lots > 0 else -1)
            if abs(change) > abs(self.lots):
                self.entry = price
        else:
            self.entry = (self.entry * abs(self.lots) + price * abs(change)) / abs(self.lots + change)
        self.lots = round(self.lots + change, 8)

    def order(self, wanted: Row) -> Row:
        """Take an order: what of an immediate one can't be filled is dropped."""
        number = str(5_000_000_001 + len(self.orders))
        order = {"ordId": number, "clOrdId": wanted.get("clOrdId", ""), "instId": wanted["instId"],
                 "instType": "SWAP", "side": wanted["side"], "ordType": wanted["ordType"], "sz": wanted["sz"],
                 "px": wanted.get("px", ""), "accFillSz": "0", "avgPx": "", "state": "live", "cTime": self.now,
                 "uTime": self.now, "reduceOnly": str(wanted.get("reduceOnly", False)).lower(), "posSide": "net",
                 "fillTime": "", "fee": "0", "feeCcy": "USD", "tdMode": "cross", "category": "normal"}  # fmt: skip
        self.orders[number] = order
        self.match(order, 0.5 if self.take("half") else 1.0)
        if order["ordType"] == "ioc" and order["state"] == "live":
            order |= {"state": "canceled", "uTime": self.now}
        return order

    def get(self, path: str, query: dict[str, str]) -> list[Row] | Row:
        """Answer a read."""
        match path:
            case "public/instruments":
                return [INSTRUMENT] if query["instType"] == "SWAP" else []
            case "account/config":
                return [{"uid": "1", "posMode": "long_short_mode" if self.is_hedged else "net_mode", "acctLv": "2"}]
            case "account/balance":
                equity = self.balance + self.floating
                free = equity - abs(self.lots) * 100_000 * self.bid / 50
                row = {"ccy": "USD", "eq": str(equity), "availEq": str(free)}
                return [{"uTime": self.now, "details": [row]}]
            case "account/positions":
                return [self.position()] if self.lots else []
            case "market/books":
                sides = {"bids": [[str(self.bid), "1000", "0", "1"]], "asks": [[str(self.ask), "1000", "0", "1"]]}
                return [{**sides, "ts": str(int(self.ticks[-1][0].timestamp() * 1000))}]
            case "market/candles":
                return self.candles(int(query["limit"]))  # type: ignore[return-value]
            case "trade/order":
                found = self.orders.get(query.get("ordId", ""))
                return [found] if found else {"code": "51603", "msg": "Order does not exist", "data": []}
            case "trade/orders-pending":
                return [o for o in self.orders.values() if o["state"] == "live"]
            case "trade/orders-history":
                ended = [o for o in self.orders.values() if o["state"] == query["state"]]
                return self._page(ended, query, "cTime")
            case "trade/fills-history":
                return self._page(self.fills[: len(self.fills) - self.hidden], query, "ts")
        return {"code": "50014", "msg": path, "data": []}

    @staticmethod
    def _page(rows: list[Row], query: dict[str, str], key: str) -> list[Row]:
        low, high = int(query.get("begin", 0)), int(query.get("end", 2**62))
        return [row for row in reversed(rows) if low <= int(row[key]) <= high][:100]

    @property
    def floating(self) -> float:
        price = self.bid if self.lots > 0 else self.ask
        return (price - self.entry) * self.lots * 100_000

    def position(self) -> Row:
        price = self.bid if self.lots > 0 else self.ask
        return {"instId": INSTRUMENT["instId"], "instType": "SWAP", "pos": str(self.lots), "posSide": "net",
                "avgPx": str(self.entry), "markPx": str(price), "upl": str(self.floating), "mgnMode": "cross",
                "lever": "50", "cTime": self.now, "uTime": self.now, "notionalUsd": "1", "posId": "1"}  # fmt: skip

    def candles(self, count: int) -> list[list[str]]:
        minutes: dict[datetime, list[float]] = {}
        for at, bid, _ in self.ticks:
            minutes.setdefault(at.replace(second=0, microsecond=0), []).append(bid)
        rows = [
            [str(int(at.timestamp() * 1000)), *map(str, (p[0], max(p), min(p), p[-1], len(p), 0, 0)),
             str(int(at + timedelta(minutes=1) <= self.clock.now()))]
            for at, p in sorted(minutes.items())
        ]  # fmt: skip
        return rows[-count:][::-1]

    def post(self, path: str, body: Any) -> list[Row] | Row:
        """Answer a write."""
        wanted = body[0] if isinstance(body, list) else body
        if path == "trade/cancel-order":
            order = self.orders.get(wanted["ordId"])
            if order is None or order["state"] != "live":
                return {"code": "1", "msg": "", "data": [{"ordId": wanted["ordId"], "sCode": "51400", "sMsg": "gone"}]}
            order |= {"state": "canceled", "uTime": self.now}
            return [{"ordId": order["ordId"], "clOrdId": order["clOrdId"], "sCode": "0", "sMsg": ""}]
        if self.take("refuse"):
            said = {"ordId": "", "clOrdId": wanted["clOrdId"], "sCode": "51008", "sMsg": "Insufficient balance"}
            return {"code": "1", "msg": "All operations failed", "data": [said]}
        if any(o["clOrdId"] == wanted["clOrdId"] for o in self.orders.values()):
            said = {"ordId": "", "clOrdId": wanted["clOrdId"], "sCode": "51016", "sMsg": "Duplicated client order ID"}
            return {"code": "1", "msg": "All operations failed", "data": [said]}
        order = self.order(wanted)
        return [{"ordId": order["ordId"], "clOrdId": order["clOrdId"], "tag": "", "sCode": "0", "sMsg": ""}]


def make_handler(fake: FakeExchange) -> type[BaseHTTPRequestHandler]:
    """Make the handler of one fake: transport, key, and the faults that concern them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _serve(self, body: Any) -> None:
            url = urlsplit(self.path)
            path = url.path.removeprefix("/api/v5/")
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            fake.requests.append(path)
            if fake.is_cut:
                return self._hang_up()
            is_private = path.startswith(("account/", "trade/", "asset/"))
            if is_private and self.headers.get("OK-ACCESS-KEY") != KEY:
                return self._raw(401, {"code": "50111", "msg": "Invalid OK-ACCESS-KEY", "data": []})
            is_order = self.command == "POST"
            if is_order and fake.take("lose request"):
                return self._hang_up()
            if path == "account/positions" and fake.take("read"):
                return self._raw(200, {})
            with fake.lock:
                found = fake.post(path, body) if is_order else fake.get(path, query)
            if is_order and fake.take("lose reply"):
                return self._hang_up()
            return self._raw(200, found if isinstance(found, dict) else {"code": "0", "msg": "", "data": found})

        def _raw(self, status: int, body: Row) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    return Handler
