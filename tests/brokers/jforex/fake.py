"""A bridge on loopback, as docs/jforex.md wants it: one account, prices by hand, faults by name."""

import base64
import hashlib
import json
import socket
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.clock import VirtualClock

LOGIN, TOKEN = 2_345_678, "bridge-token"
PAGE = 2
Row = dict[str, Any]
Said = tuple[int, Row]

INSTRUMENT: Row = {
    "name": "EUR/USD", "base": "EUR", "quoted": "USD", "digits": 5, "lot_units": 100_000, "units_min": 1000,
    "units_max": 10_000_000, "units_step": 10, "tradable": True,
}  # fmt: skip


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def refused(code: str, status: int = 409) -> Said:
    return status, {"error": code, "text": code.replace("_", " ")}


class FakeBridge:
    """The account's state. `faults` are taken by the next request that they fit."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.faults: list[str] = []
        self.is_cut = False
        self.requests: list[tuple[str, str]] = []
        self.told: Row = {"protocol": 1}
        self.said_of_account: Row = {}
        self.fence = 0
        self.balance = 10_000.0
        self.orders: dict[int, Row] = {}
        self.money: list[Row] = [
            {"id": 1, "at": ms(clock.now()), "amount": self.balance, "text": "found at the first start"}
        ]
        self.others: dict[str, tuple[float, float]] = {}
        self.ticks: list[tuple[datetime, float, float]] = []
        self.streams: list[Any] = []
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

    # The market

    def price(self, bid: float, ask: float) -> None:
        """Say a price, and let what waits for it happen."""
        with self.lock:
            self.bid, self.ask = bid, ask
            self.ticks.append((self.clock.now(), bid, ask))
            for order in list(self.orders.values()):
                if order["state"] == "OPENED":
                    is_buy, is_limit = self.is_buy(order), order["command"].endswith("LIMIT")
                    price = ask if is_buy else bid
                    if price == order["price"] or (price < order["price"]) == (is_buy == is_limit):
                        self._fill(order, order["requested_units"])
                elif order["state"] == "FILLED":
                    self._stop(order)

    def _stop(self, order: Row) -> None:
        sign = 1 if self.is_buy(order) else -1
        now = self.bid if sign > 0 else self.ask
        for key, reason, way in (("sl", "stop_loss", -1), ("tp", "take_profit", 1)):
            if order[key] and (now - order[key]) * sign * way >= 0 and order["state"] == "FILLED":
                self._close(order, order["units"], reason)

    @staticmethod
    def is_buy(order: Row) -> bool:
        return bool(order["command"].startswith("BUY"))

    def price_row(self, name: str = "EUR/USD") -> Row:
        bid, ask = self.others.get(name, (self.bid, self.ask))
        return {"instrument": name, "bid": bid, "ask": ask, "at": ms(self.ticks[-1][0])}

    # Orders

    def submit(self, wanted: Row) -> Row:
        """Take an order as IEngine.submitOrder does."""
        order: Row = {
            "id": 70_000_001 + len(self.orders), "label": wanted["label"], "comment": wanted["comment"],
            "instrument": wanted["instrument"], "command": wanted["command"], "state": "CREATED", "units": 0.0,
            "requested_units": wanted["units"], "price": wanted["price"], "sl": wanted["sl"], "tp": wanted["tp"],
            "created_at": ms(self.clock.now()), "ended_at": None, "swap": 0.0, "fills": [], "closes": [],
        }  # fmt: skip
        self.orders[order["id"]] = order
        if wanted["command"] in ("BUY", "SELL"):
            self._fill(order, wanted["units"] / 2 if self.take("half") else wanted["units"])
        else:
            order["state"] = "OPENED"
        return order

    def _fill(self, order: Row, units: float) -> None:
        order["price"] = self.ask if self.is_buy(order) else self.bid
        order["units"], order["state"] = units, "FILLED"
        part = {"units": units, "price": order["price"], "at": ms(self.clock.now()), "commission": 0.0}
        order["fills"].append(part)

    def _close(self, order: Row, units: float, reason: str) -> int:
        profit = self._worth(order, units)
        price = self.bid if self.is_buy(order) else self.ask
        order["closes"].append({"units": units, "price": price, "at": ms(self.clock.now()), "commission": 0.0,
                                "profit": profit, "swap": 0.0, "reason": reason})  # fmt: skip
        self.balance += profit
        order["units"] = round(order["units"] - units, 6)
        if order["units"] <= 0:
            order["state"], order["ended_at"] = "CLOSED", ms(self.clock.now())
        return len(order["closes"]) - 1

    def _worth(self, order: Row, units: float) -> float:
        now = self.bid if self.is_buy(order) else self.ask
        return float(round((now - order["price"]) * units * (1 if self.is_buy(order) else -1), 2))

    def open_orders(self) -> list[Row]:
        return [o for o in self.orders.values() if o["state"] == "FILLED"]

    def shown(self, order: Row) -> Row:
        now = self.bid if self.is_buy(order) else self.ask
        return {**order, "price_now": now, "profit": self._worth(order, order["units"])}

    # What clients ask for

    def account(self) -> Row:
        floating = sum(self._worth(o, o["units"]) for o in self.open_orders())
        margin = sum(o["units"] for o in self.open_orders()) * self.bid / 100
        return {"login": LOGIN, "currency": "USD", "balance": self.balance, "equity": self.balance + floating,
                "profit": floating, "margin": margin, "margin_free": self.balance + floating - margin,
                "leverage": 100, "demo": True, "hedging": True, "trade_allowed": True, "connected": True,
                **self.said_of_account}  # fmt: skip

    def instruments(self) -> list[Row]:
        named = [(name, *name.split("/")) for name in self.others]
        return [INSTRUMENT, *({**INSTRUMENT, "name": name, "base": a, "quoted": b} for name, a, b in named)]

    def candles(self, count: int) -> list[Row]:
        minutes: dict[datetime, list[tuple[float, float]]] = {}
        for at, bid, ask in self.ticks:
            minutes.setdefault(at.replace(second=0, microsecond=0), []).append((bid, ask))
        over = [(at, rows) for at, rows in sorted(minutes.items()) if at + timedelta(minutes=1) <= self.clock.now()]
        return [
            {"at": ms(at), "open": rows[0][0], "high": max(r[0] for r in rows), "low": min(r[0] for r in rows),
             "close": rows[-1][0], "ask_close": rows[-1][1], "ticks": len(rows)}
            for at, rows in over[-count:]
        ]  # fmt: skip

    def get(self, path: str, query: dict[str, str]) -> Said:
        """Answer a read."""
        parts = path.split("/")
        with self.lock:
            match parts:
                case ["account"]:
                    return 200, {**self.told, "account": self.account()}
                case ["instruments"]:
                    return 200, {"instruments": self.instruments()}
                case ["prices"]:
                    return 200, {"prices": [self.price_row(name) for name in query["instruments"].split(",")]}
                case ["book"]:
                    rows = [self.shown(o) for o in self.orders.values() if o["state"] in ("OPENED", "FILLED")]
                    return 200, {"account": self.account(), "orders": rows}
                case ["orders", number] if int(number) in self.orders:
                    return 200, {"order": self.shown(self.orders[int(number)])}
                case ["orders"]:
                    return self._ended(int(query["from"]), int(query["to"]), int(query["after"]))
                case ["money"]:
                    low, high = int(query["from"]), int(query["to"])
                    return 200, {"money": [row for row in self.money if low <= row["at"] <= high]}
                case ["candles"]:
                    return 200, {"candles": self.candles(int(query["count"]))}
        return refused("no_such_order", 404)

    def _ended(self, low: int, high: int, after: int) -> Said:
        def moments(order: Row) -> list[int]:
            ended = [order["ended_at"]] if order["ended_at"] else []
            return [part["at"] for part in order["fills"] + order["closes"]] + ended

        found = [o for o in self.orders.values() if o["id"] > after and any(low <= at <= high for at in moments(o))]
        following = found[PAGE - 1]["id"] if len(found) > PAGE else None
        return 200, {"orders": [self.shown(o) for o in found[:PAGE]], "next": following}

    def post(self, path: str, body: Row) -> Said:
        """Answer a write: an older holder's, and one whose deadline has passed, change nothing."""
        with self.lock:
            if body["fence"] < self.fence:
                return refused("stale_fence")
            self.fence = body["fence"]
            if path == "fence":
                return 200, {"fence": self.fence}
            if ms(self.clock.now()) > body["deadline"]:
                return refused("expired")
            if self.take("refuse"):
                return refused("no_margin")
            if path == "orders":
                return self._order(body)
            _, number, what = path.split("/")
            order = self.orders.get(int(number))
            if order is None:
                return refused("no_such_order", 404)
            return self._change(order, what, body)

    def _order(self, body: Row) -> Said:
        if any(o["label"] == body["label"] for o in self.orders.values()):
            return refused("duplicate_label")
        if body["units"] % INSTRUMENT["units_step"] or body["units"] < INSTRUMENT["units_min"]:
            return refused("bad_units", 400)
        is_buy, now = self.is_buy(body), self.ask if self.is_buy(body) else self.bid
        if "slippage" in body and (now - body["price"]) * (1 if is_buy else -1) > body["slippage"] + 1e-9:
            return refused("price_moved")
        return 200, {"order": self.shown(self.submit(body))}

    def _change(self, order: Row, what: str, body: Row) -> Said:
        match what:
            case "close" if order["state"] == "CLOSED":
                return refused("already_closed")
            case "close" if order["state"] == "FILLED" and body["units"] <= order["units"]:
                which = self._close(order, body["units"], "order")
                return 200, {"order": self.shown(order), "close": which}
            case "cancel" if order["state"] == "OPENED":
                order["state"], order["ended_at"] = "CANCELED", ms(self.clock.now())
                return 200, {"order": self.shown(order)}
            case "stops" if order["state"] in ("FILLED", "OPENED"):
                order |= {"sl": body["sl"], "tp": body["tp"]}
                return 200, {"order": self.shown(order)}
        return refused("rejected")


def make_handler(fake: FakeBridge) -> type[BaseHTTPRequestHandler]:
    """Make the handler of one fake: transport, token, and the faults that concern them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._serve("GET", {})

        def do_POST(self) -> None:
            self._serve("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _serve(self, method: str, body: Row) -> None:
            url = urlsplit(self.path)
            path = url.path.removeprefix("/v1/")
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            fake.requests.append((method, self.path))
            if fake.is_cut:
                return self._hang_up()
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._say(*refused("unauthorised", 401))
            if path == "stream":
                return self._stream(query["instruments"].split(","))
            if method == "GET":
                if path == "book" and fake.faults[:1] and fake.faults[0].startswith("read "):
                    status, text = json.loads(fake.faults.pop(0).removeprefix("read "))
                    return self._raw(status, text.encode())
                return self._say(*fake.get(path, query))
            return self._write(path, body)

        def _write(self, path: str, body: Row) -> None:
            if path != "fence" and fake.take("lose request"):
                return self._hang_up()
            if fake.faults[:1] and fake.faults[0].startswith("answer "):
                status, text = json.loads(fake.faults.pop(0).removeprefix("answer "))
                return self._raw(status, text.encode())
            said = fake.post(path, body)
            if path != "fence" and fake.take("lose reply"):
                return self._hang_up()
            return self._say(*said)

        def _stream(self, names: list[str]) -> None:
            """Shake hands as RFC 6455 wants it, say each price, and stay until told to end."""
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            accepted = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accepted).decode())
            self.end_headers()
            self.seq, over = 0, threading.Event()
            fake.streams.append((self, over))
            for name in names:
                self.tell(fake.price_row(name))
            over.wait(60)
            self._hang_up()

        def tell(self, message: Row, *, skipped: int = 0) -> None:
            """Say one message of the stream, after losing some."""
            self.seq += 1 + skipped
            content = json.dumps({"type": "price", **message, "seq": self.seq}).encode()
            self.wfile.write(b"\x81\x7e" + len(content).to_bytes(2, "big") + content)
            self.wfile.flush()

        def _say(self, status: int, body: Row) -> None:
            self._raw(status, json.dumps(body).encode())

        def _raw(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    return Handler
