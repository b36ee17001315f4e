"""What an exchange says through ccxt: swaps in one currency. Whose a position is, client ids of its fills say."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, TypeVar

from brokers import facts
from brokers.crypto.exchange import SANDBOX, make, read, windowed
from brokers.crypto.ledger import NOISE, Booked, Fill, Folded, Mark, fold, mark, number_of
from brokers.domain import (
    AccountState,
    Book,
    Candle,
    Deal,
    DealKind,
    HistoricOrder,
    MarginMode,
    OrderKind,
    OrderState,
    PendingOrder,
    Position,
    Quote,
    Reason,
    Side,
    SymbolSpec,
)
from brokers.facts import reads
from brokers.gateway import UTC_CLOCK, Capabilities, ClockOffset, ConnectError, ReadError, SymbolError
from core.clock import Clock

HISTORY, OVERLAP, AHEAD = timedelta(days=30), timedelta(minutes=5), timedelta(minutes=1)
AGREEING_READS, PAUSE_SECONDS = 4, 0.25
KINDS = {"limit": OrderKind.LIMIT, "market": OrderKind.MARKET}
ENDED = {"closed", "canceled", "expired", "rejected"}
T = TypeVar("T")
CLIENT_KEYS = ("clOrdId", "clientOrderId", "orderLinkId", "cliOrdId", "clientOid")


class CryptoReader:
    """The reads of brokers.gateway.Gateway. A lot is one contract; `login` is a number of our own choice.

    `server` is ccxt's name of the exchange, with -demo for its sandbox; `secret` is key:secret or
    key:secret:passphrase, `currency` what its swaps settle in.
    """

    capabilities = Capabilities(
        title="ccxt",
        identity=frozenset({"client id", "magic", "comment"}),
        margin_modes=frozenset({MarginMode.NETTING}),
        server_side_stops=False,
        streaming=False,
        history=True,
        process_per_terminal=False,
        magic="in the client order id, of the order that opened the position",
        trade_id="the order that opened the symbol's one position",
        filtered_by="client order id, at our side; history by time",
        manual_trades="no client order id of ours",
    )

    def __init__(
        self,
        *,
        login: int,
        secret: str,
        server: str,
        currency: str,
        clock: Clock,
        symbol_map: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> None:
        self._login, self._server, self._currency, self._clock = login, server, currency, clock
        self._given = dict(symbol_map or {})
        self._exchange = make(server, secret, clock=clock, address=address)
        self._fills: dict[str, dict[str, Fill]] = {}
        self._carried: dict[str, float] = {}
        self._marks: dict[str, Mark] = {}

    def __repr__(self) -> str:
        return f"CryptoGateway(server={self._server!r}, login={self._login})"

    # Connection

    def connect(self, fence: int = 0) -> None:
        """Load the markets and make sure that the key may read a netting account. Raises ConnectError."""
        try:
            read("markets", self._exchange.load_markets)
            self.account()
            if self._exchange.has.get("fetchPositionMode") is True:
                mode = read("position mode", self._exchange.fetch_position_mode)
                if mode.get("hedged"):
                    raise ConnectError("The account is in hedge mode.", "Switch it to one-way (net) mode.")
        except ReadError as problem:
            fix = "Check server, key, secret and passphrase of the account."
            raise ConnectError(problem.problem, fix) from None

    def close(self) -> None:
        """Let go of the connections."""
        self._exchange.session.close()

    # Reads

    @reads("The exchange")
    def account(self) -> AccountState:
        """Read the account. Raises ReadError."""
        return self._account(self._positions())

    def _account(self, rows: Mapping[str, Mapping[str, Any]]) -> AccountState:
        body = read("balance", self._exchange.fetch_balance)

        def parsed() -> AccountState:
            row = body[self._currency]
            equity, free = number(row["total"]), number(row["free"])
            profit, margin = sum(number(each["unrealizedPnl"]) for each in rows.values()), equity - free
            return AccountState(
                self._login, self._server, self._currency, equity - profit, 0.0, profit, equity, margin, free,
                equity / margin * 100 if margin > NOISE else 0.0, 0, MarginMode.NETTING,
                demo=self._server.endswith(SANDBOX), trade_allowed=True,
            )  # fmt: skip

        return guarded("balance", parsed)

    def _markets(self) -> Mapping[str, Mapping[str, Any]]:
        found = read("markets", self._exchange.load_markets)
        return {
            name: row
            for name, row in found.items()
            if row.get("swap") and row.get("linear") and row.get("settle") == self._currency
        }

    @reads("The exchange")
    def symbols(self) -> Sequence[str]:
        """Name every linear swap that settles in the account's currency. Raises ReadError."""
        return tuple(self._markets())

    @reads("The exchange")
    def broker_name(self, symbol: str) -> str:
        """Return ccxt's name, BTC/USDT:USDT for BTCUSDT. Raises SymbolError, ReadError."""
        given, markets = self._given.get(symbol), self._markets()
        found = [
            n for n, row in markets.items() if n == given or (not given and f"{row['base']}{row['quote']}" == symbol)
        ]
        if not found:
            raise SymbolError(
                f"{self._exchange.id} has no swap like {given or symbol} in {self._currency}.",
                "Correct the symbol's broker name.",
            )
        self._given[symbol] = found[0]
        return found[0]

    def _ours(self, name: str) -> str:
        market = self._exchange.markets[name]
        return next((ours for ours, theirs in self._given.items() if theirs == name), market["base"] + market["quote"])

    def clock_offset(self) -> ClockOffset | None:
        """Exchanges speak UTC."""
        return UTC_CLOCK

    @reads("The exchange")
    def spec(self, symbol: str) -> SymbolSpec:
        """Read a market. Raises SymbolError, ReadError."""
        name = self.broker_name(symbol)
        return guarded(f"market {name}", self._spec, self._exchange.markets[name], symbol)

    @staticmethod
    def _spec(row: Mapping[str, Any], symbol: str) -> SymbolSpec:
        tick, step, size = (
            number(each) for each in (row["precision"]["price"], row["precision"]["amount"], row["contractSize"])
        )
        limits, digits = row["limits"]["amount"], _decimals(tick)
        return SymbolSpec(
            name=symbol, digits=digits, point=tick, contract_size=size,
            volume_min=number(limits["min"] or step), volume_max=number(limits["max"] or 1e9), volume_step=step,
            stops_level_points=0, freeze_level_points=0, value_per_price=size,
            currency_base=facts.text(row["base"]), currency_profit=facts.text(row["quote"]), filling_mask=2,
            execution_mode=2, tradable=row.get("active") is not False,
        )  # fmt: skip

    @reads("The exchange")
    def quote(self, symbol: str) -> Quote:
        """Read the best prices of the order book. Raises ReadError, SymbolError."""
        name = self.broker_name(symbol)
        body = read("order book", self._exchange.fetch_order_book, name, 5)

        def parsed() -> Quote:
            at = self._clock.now() if body.get("timestamp") is None else _moment(body["timestamp"])
            return Quote(symbol, number(body["bids"][0][0]), number(body["asks"][0][0]), at)

        return guarded(f"price of {symbol}", parsed)

    @reads("The exchange")
    def book(self) -> Book:
        """Read account, positions and resting orders. Raises ReadError, also when fills and positions don't agree."""
        rows, states = self._agreed()
        positions = tuple(guarded("position", self._position, name, rows[name], states[name]) for name in rows)
        found = read("open orders", self._exchange.fetch_open_orders)
        orders = tuple(guarded("order", self._pending, row) for row in found if row["symbol"] in self._markets())
        return Book(self._clock.now(), self._account(rows), positions, orders)

    def _positions(self) -> dict[str, Mapping[str, Any]]:
        """Read the position of each symbol that has one."""
        markets, found = self._markets(), read("positions", self._exchange.fetch_positions)

        def parsed() -> dict[str, Mapping[str, Any]]:
            rows = [row for row in found if row["symbol"] in markets and number(row["contracts"] or 0)]
            if any(row.get("hedged") for row in rows) or len({row["symbol"] for row in rows}) != len(rows):
                raise ReadError("The account is in hedge mode.", "Switch it to one-way (net) mode.")
            return {row["symbol"]: row for row in rows}

        return guarded("positions", parsed)

    def _agreed(self) -> tuple[dict[str, Mapping[str, Any]], dict[str, Folded]]:
        """Read positions and fills until they agree: a fill can be seen a moment before or after its position."""
        for attempt in range(AGREEING_READS):
            if attempt:
                self._clock.sleep(PAUSE_SECONDS)
            rows = self._positions()
            names = sorted({*rows, *self._fills, *self._given.values()})
            for name in names:
                self._refresh(name)
            lots = {name: _signed(rows[name]) if name in rows else 0.0 for name in names}
            self._take_over(lots, is_last=attempt == AGREEING_READS - 1)
            if self._carried.keys() < set(names):
                continue
            states = {name: fold(self._sorted(name), self._carried[name])[0] for name in names}
            if all(abs(states[name].lots - lots[name]) < 1e-6 for name in names):
                return rows, states
        raise ReadError("The exchange's fills and positions don't agree.", "It is tried again at once.")

    def _take_over(self, lots: Mapping[str, float], *, is_last: bool) -> None:
        """Find what was open before the first fill: nothing, or what stays unexplained after several reads."""
        for name in lots.keys() - self._carried.keys():
            carried = lots[name] - sum(fill.lots * fill.side.sign for fill in self._fills[name].values())
            if abs(carried) < 1e-6 or is_last:
                self._carried[name] = carried if abs(carried) >= 1e-6 else 0.0

    def _refresh(self, name: str) -> None:
        now = self._clock.now()
        known = self._fills.get(name)
        since = max((f.at for f in known.values()), default=now - HISTORY) - OVERLAP if known else now - HISTORY
        rows = windowed(self._exchange, "fetch_my_trades", "fetchMyTrades", name, since, now + AHEAD)
        self._fills.setdefault(name, {}).update(
            (fill.id, fill) for fill in (guarded("fill", self._fill, row, name) for row in rows)
        )

    def _fill(self, row: Mapping[str, Any], name: str) -> Fill:
        fee = row.get("fee") or {}
        if fee.get("cost") and fee.get("currency") != self._currency:
            raise ReadError(f"A fee was paid in {fee.get('currency')}.", f"Let fees be paid in {self._currency}.")
        order = str(row["order"])
        told = [str((row.get("info") or {}).get(key) or "") for key in CLIENT_KEYS]
        ours = [found for found in map(mark, told) if found != Mark()]
        if ours:
            self._marks[order] = ours[0]
        return Fill(
            str(row["id"]), order, Side(row["side"]), number(row["amount"]), number(row["price"]),
            number(fee.get("cost") or 0), _moment(row["timestamp"]),
        )  # fmt: skip

    def _sorted(self, name: str) -> list[Fill]:
        def place(fill: Fill) -> tuple[datetime, int, str]:
            return fill.at, int(fill.id) if fill.id.isdigit() else 0, fill.id

        return sorted(self._fills[name].values(), key=place)

    def _mark(self, order: str, name: str) -> Mark:
        """Return whose an order is. Raises ReadError."""
        if order and order not in self._marks:
            ccxt = import_module("ccxt")
            try:
                row = self._exchange.fetch_order(order, name)
            except ccxt.OrderNotFound:
                row = {}
            except Exception as problem:  # noqa: BLE001 - whatever it is, whose the order is stays unknown
                raise ReadError(f"Order {order} can't be read: {type(problem).__name__}.") from None
            self._marks[order] = mark(str(row.get("clientOrderId") or ""))
        return self._marks.get(order, Mark())

    def _position(self, name: str, row: Mapping[str, Any], state: Folded) -> Position:
        made = self._mark(state.opened_by, name)
        return Position(
            state.position_id, state.position_id, self._ours(name), Side.BUY if state.lots > 0 else Side.SELL,
            round(abs(state.lots), 8), number(row["entryPrice"]), number(row["markPrice"]), 0.0, 0.0,
            number(row["unrealizedPnl"]), 0.0, made.magic, made.comment,
            state.opened_at or self._clock.now() - HISTORY,
        )  # fmt: skip

    def _pending(self, row: Mapping[str, Any]) -> PendingOrder:
        made = self._marks[str(row["id"])] = mark(str(row.get("clientOrderId") or ""))
        return PendingOrder(
            number_of(str(row["id"])), self._ours(row["symbol"]), Side(row["side"]), KINDS[row["type"]],
            number(row["remaining"]), number(row["price"]), 0.0, 0.0, made.magic, made.comment,
            _moment(row["timestamp"]),
        )  # fmt: skip

    @reads("The exchange")
    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        """Read the fills of a period in the symbols that are known here. Raises ReadError."""
        return tuple(deal for deal in self._deals() if since <= deal.at <= until)

    @reads("The exchange")
    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        """Read all deals of one position. Raises ReadError."""
        return tuple(deal for deal in self._deals() if deal.position_id == position_id)

    def _deals(self) -> list[Deal]:
        self._agreed()
        found = [
            self._deal(booked, name)
            for name in sorted(self._fills)
            for booked in fold(self._sorted(name), self._carried[name])[1]
        ]
        return sorted(found, key=lambda deal: (deal.at, deal.ticket))

    def _deal(self, booked: Booked, name: str) -> Deal:
        fill, made = booked.fill, self._mark(booked.fill.order, name)
        size = number(self._exchange.markets[name]["contractSize"])
        return Deal(
            number_of(fill.id), number_of(fill.order), booked.position_id, self._ours(name),
            DealKind.BUY if fill.side is Side.BUY else DealKind.SELL, booked.entry,
            Reason.EXPERT if made.magic else Reason.MANUAL, fill.lots, fill.price, round(booked.profit * size, 8), 0.0,
            -fill.fee, 0.0, made.magic, made.comment, fill.at,
        )  # fmt: skip

    @reads("The exchange")
    def order_history(self, since: datetime, until: datetime) -> tuple[HistoricOrder, ...]:
        """Read the orders that ended in a period in the symbols that are known here. Raises ReadError."""
        has = self._exchange.has
        methods = [("fetch_orders", "fetchOrders")] if has.get("fetchOrders") is True else [
            ("fetch_closed_orders", "fetchClosedOrders"), ("fetch_canceled_orders", "fetchClosedOrders"),
        ]  # fmt: skip
        found: dict[str, HistoricOrder] = {}
        for name in sorted({*self._fills, *self._given.values()}):
            for method, feature in methods:
                rows = windowed(self._exchange, method, feature, name, since - timedelta(days=1), until + AHEAD)
                ended = (row for row in rows if row["status"] in ENDED)
                found |= {str(row["id"]): guarded("order", self._historic, row, name) for row in ended}
        return tuple(order for order in found.values() if since <= order.done_at <= until)

    def _historic(self, row: Mapping[str, Any], name: str) -> HistoricOrder:
        made, filled, amount = mark(str(row.get("clientOrderId") or "")), number(row["filled"]), number(row["amount"])
        booked = fold(self._sorted(name), self._carried.get(name, 0.0))[1] if name in self._fills else []
        position = next((each.position_id for each in booked if each.fill.order == str(row["id"])), 0)
        done = row.get("lastUpdateTimestamp") or row.get("lastTradeTimestamp") or row["timestamp"]
        return HistoricOrder(
            number_of(str(row["id"])), position, self._ours(name), Side(row["side"]),
            KINDS.get(row["type"], OrderKind.MARKET), OrderState.FILLED if filled else OrderState.CANCELLED,
            Reason.EXPERT if made.magic else Reason.MANUAL, amount, max(0.0, amount - filled),
            number(row["price"] or 0), made.magic, made.comment, _moment(row["timestamp"]), _moment(done),
        )  # fmt: skip

    @reads("The exchange")
    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the last closed candles of traded prices, oldest first. Raises ReadError."""
        name, exchange = self.broker_name(symbol), self._exchange
        frames = [frame for frame in exchange.timeframes if exchange.parse_timeframe(frame) == seconds]
        if not frames:
            raise ReadError(f"{exchange.id} has no candles of {seconds} s.")
        rows = read("candles", exchange.fetch_ohlcv, name, frames[0], None, count + 1)

        def parsed(row: Sequence[Any]) -> Candle:
            opened, high, low, close = (number(value) for value in row[1:5])
            return Candle(_moment(row[0]), opened, high, low, close, int(number(row[5] or 0)), 0)

        found = [guarded("candle", parsed, row) for row in rows]
        return tuple(c for c in found if c.at + timedelta(seconds=seconds) <= self._clock.now())[-count:]


def guarded(what: str, parse: Callable[..., T], *args: Any) -> T:
    """Run a parser; whatever goes wrong in it is a ReadError that says what could not be read."""
    return facts.guarded(f"The exchange's {what}", "", lambda: facts.keepable(parse(*args)))


def number(value: Any) -> float:
    """Return a finite float of an amount that an account can have. Raises ReadError."""
    return facts.number(value, "a figure of the exchange")


def _signed(row: Mapping[str, Any]) -> float:
    lots = abs(number(row["contracts"]))
    if row["side"] not in ("long", "short"):
        raise ReadError(f"a position's side is {row['side']!r}.")
    return lots if row["side"] == "long" else -lots


def _moment(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds))


def _decimals(tick: float) -> int:
    return max(0, len(f"{tick:.10f}".rstrip("0").partition(".")[2]))
