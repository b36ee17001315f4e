"""A v20 server on loopback, written from OANDA's published interface: one account, prices by hand, faults by name."""

import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.clock import VirtualClock

ACCOUNT, TOKEN = "101-004-1234567-001", "practice-token"
Row = dict[str, Any]


def rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def text(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")


class FakeOanda:
    """The account's state. `faults` are taken by the next request that they fit."""

    def __init__(self, clock: VirtualClock, *, is_hedging: bool = True, fifo: bool = False) -> None:
        self.clock = clock
        self.is_hedging = is_hedging
        self.fifo = fifo
        self.mt4_account: int | None = None
        self.lock = threading.RLock()
        self.faults: list[str] = []
        self.is_cut = False
        self.requests: list[tuple[str, str]] = []
        self.balance = 10_000.0
        self.trades: dict[str, Row] = {}
        self.orders: dict[str, Row] = {}
        self.transactions: list[Row] = []
        self.ticks: list[tuple[datetime, float, float]] = []
        self.price(1.10000, 1.10010)
        self.write("TRANSFER_FUNDS", amount=text(self.balance), fundingReason="CLIENT_FUNDING")
        self.streams: list[Any] = []
        # Prices of other instruments, and whether OANDA says what their currencies are worth at home
        self.others: dict[str, tuple[float, float]] = {}
        self.tells_conversions = True
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
            for order in [o for o in self.orders.values() if o["state"] == "PENDING"]:
                if self._is_touched(order):
                    self._trigger(order)

    def _is_touched(self, order: Row) -> bool:
        level = float(order["price"])
        if order["type"] in ("STOP_LOSS", "TAKE_PROFIT"):
            is_long = float(self.trades[order["tradeID"]]["currentUnits"]) > 0
            price = self.bid if is_long else self.ask
            return (price <= level) == (is_long == (order["type"] == "STOP_LOSS")) or price == level
        is_buy = float(order["units"]) > 0
        price = self.ask if is_buy else self.bid
        return (price <= level) == (is_buy == (order["type"] == "LIMIT")) or price == level

    def _trigger(self, order: Row) -> None:
        order["state"], order["filledTime"] = "FILLED", rfc3339(self.clock.now())
        if order["type"] in ("STOP_LOSS", "TAKE_PROFIT"):
            trade = self.trades[order["tradeID"]]
            self.close_trade(trade, abs(float(trade["currentUnits"])), order["id"], f"{order['type']}_ORDER")
        else:
            self.fill(order, float(order["units"]), f"{order['type']}_ORDER")

    def price_row(self, name: str = "EUR_USD") -> Row:
        at = rfc3339(self.ticks[-1][0])
        bid, ask = self.others.get(name, (self.bid, self.ask))
        ladder = {"bids": [{"price": text(bid), "liquidity": 10_000_000}],
                  "asks": [{"price": text(ask), "liquidity": 10_000_000}]}  # fmt: skip
        return {"type": "PRICE", "instrument": name, "time": at, "tradeable": True, **ladder}

    # The ledger

    def write(self, kind: str, **fields: Any) -> Row:
        number = str(len(self.transactions) + 1)
        row = {"id": number, "type": kind, "time": rfc3339(self.clock.now()), "accountID": ACCOUNT, **fields}
        self.transactions.append(row)
        return row

    @property
    def last(self) -> str:
        return str(len(self.transactions))

    def fill(self, order: Row, units: float, reason: str) -> Row:
        """Open a trade, or on a netting account reduce the oldest opposite ones first."""
        price = self.ask if units > 0 else self.bid
        row = self.write("ORDER_FILL", orderID=order["id"], instrument="EUR_USD", units=text(units), price=text(price),
                         reason=reason, commission="0")  # fmt: skip
        left = units
        for trade in list(self.open_trades()) if not self.is_hedging else ():
            held = float(trade["currentUnits"])
            if left and held * left < 0:
                part = min(abs(held), abs(left))
                self._realise(trade, part, price, row)
                left += part if left < 0 else -part
        if left:
            self._open(row, order, left, price)
        order["state"], order["filledTime"] = "FILLED", row["time"]
        return row

    def _open(self, row: Row, order: Row, units: float, price: float) -> None:
        extensions = order.get("tradeClientExtensions")
        trade = {"id": row["id"], "instrument": "EUR_USD", "price": text(price), "openTime": row["time"],
                 "state": "OPEN", "initialUnits": text(units), "currentUnits": text(units), "realizedPL": "0",
                 "financing": "0", "closingTransactionIDs": []}  # fmt: skip
        if extensions:
            trade["clientExtensions"] = extensions
        self.trades[row["id"]] = trade
        order["tradeOpenedID"] = row["id"]
        row["tradeOpened"] = {"tradeID": row["id"], "units": text(units), "price": text(price),
                              **({"clientExtensions": extensions} if extensions else {})}  # fmt: skip
        for key in ("stopLossOnFill", "takeProfitOnFill"):
            if order.get(key):
                self._attach(trade, key.removesuffix("OnFill"), order[key]["price"])

    def _realise(self, trade: Row, part: float, price: float, row: Row) -> None:
        held = float(trade["currentUnits"])
        sign = 1 if held > 0 else -1
        profit = (price - float(trade["price"])) * part * sign
        self.balance += profit
        rest = held - sign * part
        trade["currentUnits"] = text(rest)
        trade["realizedPL"] = text(float(trade["realizedPL"]) + profit)
        trade["closingTransactionIDs"].append(row["id"])
        said = {"tradeID": trade["id"], "units": text(-sign * part), "price": text(price), "realizedPL": text(profit),
                "financing": "0"}  # fmt: skip
        if abs(rest) < 1e-9:
            trade["state"] = "CLOSED"
            row.setdefault("tradesClosed", []).append(said)
            for order in self.orders.values():
                if order.get("tradeID") == trade["id"] and order["state"] == "PENDING":
                    order["state"], order["cancelledTime"] = "CANCELLED", row["time"]
        else:
            row["tradeReduced"] = said

    def close_trade(self, trade: Row, units: float, order_id: str, reason: str) -> Row:
        price = self.bid if float(trade["currentUnits"]) > 0 else self.ask
        row = self.write("ORDER_FILL", orderID=order_id, instrument="EUR_USD", units=text(units), price=text(price),
                         reason=reason, commission="0")  # fmt: skip
        self._realise(trade, units, price, row)
        return row

    def _attach(self, trade: Row, key: str, price: str | None) -> None:
        kind = "STOP_LOSS" if key == "stopLoss" else "TAKE_PROFIT"
        old = trade.pop(f"{key}OrderID", None)
        if old is not None and self.orders[old]["state"] == "PENDING":
            self.orders[old] |= {"state": "CANCELLED", "cancelledTime": rfc3339(self.clock.now())}
        if price is not None:
            row = self.write(f"{kind}_ORDER", tradeID=trade["id"], price=price)
            self.orders[row["id"]] = {"id": row["id"], "type": kind, "state": "PENDING", "createTime": row["time"],
                                      "tradeID": trade["id"], "price": price}  # fmt: skip
            trade[f"{key}OrderID"] = row["id"]

    def open_trades(self) -> list[Row]:
        return [t for t in self.trades.values() if t["state"] == "OPEN"]

    def unrealised(self, trade: Row) -> float:
        units = float(trade["currentUnits"])
        return ((self.bid if units > 0 else self.ask) - float(trade["price"])) * units

    # What clients ask for

    def summary(self) -> Row:
        floating = sum(map(self.unrealised, self.open_trades()))
        margin = sum(abs(float(t["currentUnits"])) for t in self.open_trades()) * self.bid / 50
        return {"id": ACCOUNT, "currency": "USD", "balance": text(self.balance), "NAV": text(self.balance + floating),
                "unrealizedPL": text(floating), "marginUsed": text(margin), "marginRate": "0.02",
                "marginAvailable": text(self.balance + floating - margin), "hedgingEnabled": self.is_hedging,
                "lastTransactionID": self.last}  # fmt: skip

    def shown(self, trade: Row) -> Row:
        return {**trade, "unrealizedPL": text(self.unrealised(trade) if trade["state"] == "OPEN" else 0.0)}

    def candles(self, count: int) -> list[Row]:
        minutes: dict[datetime, list[tuple[float, float]]] = {}
        for at, bid, ask in self.ticks:
            minutes.setdefault(at.replace(second=0, microsecond=0), []).append((bid, ask))
        rows = []
        for at, ticks in sorted(minutes.items())[-count:]:
            sides = {name: [t[i] for t in ticks] for i, name in enumerate(("bid", "ask"))}
            shown = {
                n: {"o": text(s[0]), "h": text(max(s)), "l": text(min(s)), "c": text(s[-1])} for n, s in sides.items()
            }
            is_over = at + timedelta(minutes=1) <= self.clock.now()
            rows.append({"time": rfc3339(at), "complete": is_over, "volume": len(ticks), **shown})
        return rows

    def order(self, wanted: Row) -> tuple[int, Row]:
        """Take an order as the server does: refused at once, created and cancelled, filled, or left to rest."""
        units = float(wanted["units"])
        client = (wanted.get("clientExtensions") or {}).get("id")
        taken = {(o.get("clientExtensions") or {}).get("id") for o in self.orders.values() if o["state"] == "PENDING"}
        if client and client in taken:
            return self.reject("CLIENT_ORDER_ID_ALREADY_EXISTS")
        if units != int(units) or units == 0:
            return self.reject("UNITS_PRECISION_EXCEEDED" if units else "UNITS_INVALID")
        if self.mt4_account is not None and client:
            return self.reject("CLIENT_ORDER_ID_INVALID")
        created = self.write(f"{wanted['type']}_ORDER", **wanted)
        order = {**wanted, "id": created["id"], "state": "PENDING", "createTime": created["time"]}
        self.orders[order["id"]] = order
        body: Row = {"orderCreateTransaction": created, "relatedTransactionIDs": [created["id"]]}
        if wanted["type"] == "MARKET":
            reason = self._why_cancelled(wanted, units)
            if reason is not None:
                body["orderCancelTransaction"] = self.cancel(order, reason)
            else:
                is_half = self.take("half")
                body["orderFillTransaction"] = self.fill(order, units / 2 if is_half else units, "MARKET_ORDER")
                if is_half:
                    body["orderCancelTransaction"] = self.write(
                        "ORDER_CANCEL", orderID=order["id"], reason="TIME_IN_FORCE_EXPIRED"
                    )
        return 201, {**body, "lastTransactionID": self.last}

    def _why_cancelled(self, wanted: Row, units: float) -> str | None:
        if self.take("cancel"):
            return "INSUFFICIENT_MARGIN"
        bound = float(wanted.get("priceBound", 0))
        if bound and ((units > 0 and self.ask > bound) or (units < 0 and self.bid < bound)):
            return "BOUNDS_VIOLATION"
        opposite = any(float(t["currentUnits"]) * units < 0 for t in self.open_trades())
        if opposite and wanted.get("positionFill") == "OPEN_ONLY" and not self.is_hedging:
            return "POSITION_SIZE_EXCEEDED" if self.fifo else "OPEN_ONLY_VIOLATION"
        if self.fifo and any(wanted.get(k) for k in ("stopLossOnFill", "takeProfitOnFill")):
            sizes = {abs(float(t["currentUnits"])) for t in self.open_trades()}
            if abs(units) in sizes:
                return "FIFO_VIOLATION_SAFEGUARD_VIOLATION"
        return None

    def cancel(self, order: Row, reason: str) -> Row:
        row = self.write("ORDER_CANCEL", orderID=order["id"], reason=reason)
        order["state"], order["cancelledTime"] = "CANCELLED", row["time"]
        return row

    def reject(self, reason: str, status: int = 400) -> tuple[int, Row]:
        row = self.write("MARKET_ORDER_REJECT", rejectReason=reason)
        body = {"orderRejectTransaction": row, "errorCode": reason, "errorMessage": reason.replace("_", " ").lower()}
        return status, {**body, "lastTransactionID": self.last}

    def close(self, trade_id: str, wanted: str) -> tuple[int, Row]:
        trade = self.trades.get(trade_id)
        if trade is None or trade["state"] != "OPEN":
            return self.reject("TRADE_DOESNT_EXIST", 404)
        held = abs(float(trade["currentUnits"]))
        units = held if wanted == "ALL" else float(wanted)
        if units > held:
            return self.reject("CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE")
        created = self.write("MARKET_ORDER", units=text(units), tradeClose={"tradeID": trade_id})
        older = [
            t for t in self.open_trades() if int(t["id"]) < int(trade_id) and abs(float(t["currentUnits"])) == held
        ]
        if self.fifo and older:
            row = self.write("ORDER_CANCEL", orderID=created["id"], reason="FIFO_VIOLATION")
            return 200, {"orderCreateTransaction": created, "orderCancelTransaction": row}
        fill = self.close_trade(trade, units, created["id"], "MARKET_ORDER_TRADE_CLOSE")
        return 200, {"orderCreateTransaction": created, "orderFillTransaction": fill, "lastTransactionID": self.last}

    def answer(self, method: str, path: str, query: dict[str, str], body: Row) -> tuple[int, Row]:
        """Answer one request under the account's path."""
        parts = path.split("/")
        with self.lock:
            match (method, parts):
                case "GET", [""]:
                    pending = [o for o in self.orders.values() if o["state"] == "PENDING"]
                    trades = [self.shown(t) for t in self.open_trades()]
                    return 200, {"account": {**self.summary(), "trades": trades, "orders": pending}}
                case "GET", ["summary"]:
                    return 200, {"account": self.summary()}
                case "GET", ["instruments"]:
                    return 200, {"instruments": [INSTRUMENT, *({**INSTRUMENT, "name": name} for name in self.others)]}
                case "GET", ["pricing"]:
                    rates = [{"currency": "USD", "positionValue": "1", "accountGain": "1", "accountLoss": "1"}]
                    shown = rates if self.tells_conversions else []
                    names = query.get("instruments", "EUR_USD").split(",")
                    return 200, {"prices": [self.price_row(name) for name in names], "homeConversions": shown}
                case "GET", ["instruments", "EUR_USD", "candles"]:
                    return 200, {"candles": self.candles(int(query.get("count", 500)))}
                case "GET", ["trades", number] if number in self.trades:
                    return 200, {"trade": self.shown(self.trades[number])}
                case "GET", ["orders"]:
                    before = int(query.get("beforeID", 10**9))
                    found = [o for o in self.orders.values() if int(o["id"]) < before]
                    return 200, {"orders": sorted(found, key=lambda o: -int(o["id"]))[: int(query.get("count", 50))]}
                case "GET", ["transactions", *rest]:
                    return self._transactions(rest, query)
                case "POST", ["orders"]:
                    return self.order(body["order"])
                case "PUT", ["orders", number, "cancel"]:
                    order = self.orders.get(number)
                    if order is None or order["state"] != "PENDING":
                        return self.reject("ORDER_DOESNT_EXIST", 404)
                    return 200, {"orderCancelTransaction": self.cancel(order, "CLIENT_REQUEST")}
                case "PUT", ["trades", number, "close"]:
                    return self.close(number, body.get("units", "ALL"))
                case "PUT", ["trades", number, "orders"] if number in self.trades:
                    for key in ("stopLoss", "takeProfit"):
                        if key in body:
                            self._attach(self.trades[number], key, (body[key] or {}).get("price"))
                    return 200, {"lastTransactionID": self.last}
            return 404, {"errorMessage": f"The specified path {path} does not exist"}

    def _transactions(self, rest: list[str], query: dict[str, str]) -> tuple[int, Row]:
        kinds = query["type"].split(",") if "type" in query else None
        rows = [t for t in self.transactions if kinds is None or t["type"] in kinds]
        match rest:
            case []:
                low, high = (datetime.fromisoformat(query[k].rstrip("Z")).replace(tzinfo=UTC) for k in ("from", "to"))
                ids = [int(t["id"]) for t in self.transactions
                       if low <= datetime.fromisoformat(t["time"][:26]).replace(tzinfo=UTC) <= high]  # fmt: skip
                base = f"{self.url}/v3/accounts/{ACCOUNT}/transactions/idrange"
                size = 2
                pages = [f"{base}?from={c[0]}&to={c[-1]}&type={query.get('type', '')}"
                         for c in (ids[i : i + size] for i in range(0, len(ids), size))]  # fmt: skip
                return 200, {"pages": pages, "count": len(ids), "lastTransactionID": self.last}
            case ["idrange"]:
                low_id, high_id = int(query["from"]), int(query["to"])
                return 200, {"transactions": [t for t in rows if low_id <= int(t["id"]) <= high_id]}
            case ["sinceid"]:
                found = [t for t in rows if int(t["id"]) > int(query["id"])]
                return 200, {"transactions": found[:3], "lastTransactionID": (found or self.transactions)[-1]["id"]}
            case [number] if 0 < int(number) <= len(self.transactions):
                return 200, {"transaction": self.transactions[int(number) - 1]}
        return 404, {"errorMessage": "no such transaction"}


INSTRUMENT: Row = {
    "name": "EUR_USD", "type": "CURRENCY", "displayName": "EUR/USD", "pipLocation": -4, "displayPrecision": 5,
    "tradeUnitsPrecision": 0, "minimumTradeSize": "1", "maximumOrderUnits": "100000000", "marginRate": "0.02",
}  # fmt: skip


def make_handler(fake: FakeOanda) -> type[BaseHTTPRequestHandler]:
    """Make the handler of one fake: transport, token, and the faults that concern them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def do_PUT(self) -> None:
            self._serve("PUT")

        def _serve(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            fake.requests.append((method, self.path))
            if fake.is_cut:
                return self._hang_up()
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._say(401, {"errorMessage": "Insufficient authorization to perform request."})
            if url.path == "/v3/accounts":
                row = {"id": ACCOUNT, "tags": []} | ({"mt4AccountID": fake.mt4_account} if fake.mt4_account else {})
                return self._say(200, {"accounts": [row]})
            if not url.path.startswith(f"/v3/accounts/{ACCOUNT}"):
                return self._say(403, {"errorMessage": "Insufficient authorization to perform request."})
            path = url.path.removeprefix(f"/v3/accounts/{ACCOUNT}").strip("/")
            if path == "pricing/stream":
                return self._stream()
            return self._answer(method, path, query, body)

        def _answer(self, method: str, path: str, query: dict[str, str], body: Row) -> None:
            is_order = method != "GET"
            if is_order and fake.take("lose request"):
                return self._hang_up()
            if is_order and fake.take("too many"):
                return self._say(429, {"errorMessage": "too many requests"})
            if is_order and fake.take("unavailable"):
                return self._say(503, {"errorMessage": "maintenance"})
            if not is_order and path == "" and fake.faults[:1] and fake.faults[0].startswith("read "):
                status, text_ = json.loads(fake.faults.pop(0).removeprefix("read "))
                return self._raw(status, text_.encode())
            status, found = fake.answer(method, path, query, body)
            if is_order and fake.take("lose reply"):
                return self._hang_up()
            return self._say(status, found)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            over = threading.Event()
            fake.streams.append((self, over))
            self.chunk(fake.price_row())
            over.wait(20)
            self.wfile.write(b"0\r\n\r\n")

        def chunk(self, message: Row) -> None:
            line = json.dumps(message).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
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
