"""The OANDA gateway: one v20 account. A trade is a position; its client extensions carry magic, comment and intent."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from brokers.conversion import Pair, chain, rate
from brokers.domain import (
    AccountState,
    Book,
    Candle,
    Deal,
    HistoricOrder,
    MarginMode,
    OpenPosition,
    Quote,
    Request,
    Side,
    SymbolSpec,
)
from brokers.facts import reads
from brokers.gateway import (
    UTC_CLOCK,
    Capabilities,
    ClockOffset,
    ConnectError,
    Permit,
    ReadError,
    StreamState,
    SymbolError,
)
from brokers.mt5.requests import objection
from brokers.oanda import parse
from brokers.oanda.client import HOSTS, Client, NoAnswer, NotSent
from brokers.oanda.orders import call_of, outcome_of
from brokers.oanda.stream import PriceStream
from core.clock import Clock
from core.outcome import Accepted, Outcome, Refused, Unknown

PAGE = 500
ORDERS_PAGES_MAX = 20
GRANULARITIES = {
    5: "S5", 10: "S10", 15: "S15", 30: "S30", 60: "M1", 120: "M2", 240: "M4", 300: "M5", 600: "M10", 900: "M15",
    1800: "M30", 3600: "H1", 7200: "H2", 10_800: "H3", 14_400: "H4", 21_600: "H6", 28_800: "H8", 43_200: "H12",
    86_400: "D",
}  # fmt: skip
LEDGER = "ORDER_FILL,TRANSFER_FUNDS,DAILY_FINANCING"


class OandaGateway:
    """Implements brokers.gateway.Gateway. `account_id` reads like 101-004-1234567-001; `login` is its third part."""

    capabilities = Capabilities(
        title="OANDA v20",
        identity=frozenset({"client id", "tag", "comment", "magic"}),
        margin_modes=frozenset({MarginMode.HEDGING, MarginMode.NETTING}),
        server_side_stops=True,
        streaming=True,
        history=True,
        process_per_terminal=False,
        magic="the tag of client extensions, on orders and on the trades that they open",
        trade_id="OANDA's trade id; @ and the intent's token finds it too",
        filtered_by="tag, at our side; history by time or trade",
        manual_trades="no client extensions",
    )

    def __init__(
        self,
        *,
        account_id: str,
        login: int,
        token: str,
        server: str,
        clock: Clock,
        symbol_map: Mapping[str, str] | None = None,
        hosts: Mapping[str, tuple[str, str]] = HOSTS,
        is_streaming: bool = True,
    ) -> None:
        if server not in hosts:
            raise ConnectError(f"OANDA has no server {server!r}.", f"Choose {' or '.join(hosts)}.")
        rest, stream = hosts[server]
        self._login = login
        self._server = server
        self._account_id = account_id
        self._clock = clock
        self._given = dict(symbol_map or {})
        self._client = Client(rest, account_id, token, clock=clock)
        self._stream = PriceStream(stream, account_id, token, clock=clock) if is_streaming else None
        self._instruments: dict[str, Mapping[str, Any]] = {}
        self._specs: dict[str, SymbolSpec] = {}
        self._marks: dict[int, parse.Mark] = {}
        self._home = ""

    def __repr__(self) -> str:
        return f"OandaGateway(account_id={self._account_id!r}, server={self._server!r})"

    # Connection

    def connect(self, fence: int = 0) -> None:
        """Make sure that token and account belong together. Raises ConnectError with the fix in words."""
        try:
            answer = self._client.ask("GET", "/v3/accounts")
        except (NotSent, NoAnswer) as problem:
            raise ConnectError(f"OANDA can't be reached ({problem}).", "Check the network.") from None
        if answer.status in (401, 403):
            raise ConnectError("OANDA refused the token.", "Make a token for this server, and set it as the password.")
        if answer.status != 200 or not answer.is_readable:
            raise ConnectError(f"OANDA answers {answer.status}: {answer.error}.", "It is tried again.")
        rows = [row for row in answer.body.get("accounts", ()) if row.get("id") == self._account_id]
        if not rows:
            raise ConnectError(
                f"The token has no account {self._account_id}.", "Write the v20 account id, like 101-004-1234567-001."
            )
        if rows[0].get("mt4AccountID"):
            raise ConnectError(
                f"{self._account_id} belongs to MetaTrader 4, where OANDA keeps no marks of ours.",
                "Use a v20 sub-account.",
            )
        try:
            self._load_instruments()
            self.account()
        except ReadError as problem:
            raise ConnectError(problem.problem, problem.fix) from None

    def close(self) -> None:
        """Let go of the connections."""
        if self._stream is not None:
            self._stream.stop()
        self._client.close()

    # Reads

    @reads("OANDA")
    def account(self) -> AccountState:
        """Read the account. Raises ReadError."""
        row = self._client.read("summary")
        found = parse.guarded("account", lambda: parse.account(row["account"], self._login, self._server))
        self._home = found.currency
        return found

    @reads("OANDA")
    def symbols(self) -> Sequence[str]:
        """Name every instrument of the account. Raises ReadError."""
        if not self._instruments:
            self._load_instruments()
        return tuple(self._instruments)

    def _load_instruments(self) -> None:
        rows = self._client.read("instruments")
        self._instruments = parse.guarded("instruments", lambda: {row["name"]: row for row in rows["instruments"]})

    @reads("OANDA")
    def broker_name(self, symbol: str) -> str:
        """Return OANDA's name, EUR_USD for EURUSD. Raises SymbolError, ReadError."""
        given = self._given.get(symbol)
        found = [n for n in self.symbols() if n == given or (given is None and n.replace("_", "") == symbol.upper())]
        if not found:
            raise SymbolError(f"OANDA has no instrument like {given or symbol}.", "Correct the symbol's broker name.")
        self._given[symbol] = found[0]
        return found[0]

    def _ours(self, instrument: str) -> str:
        return next((ours for ours, theirs in self._given.items() if theirs == instrument), instrument.replace("_", ""))

    def clock_offset(self) -> ClockOffset | None:
        """OANDA speaks UTC."""
        return UTC_CLOCK

    @reads("OANDA")
    def spec(self, symbol: str) -> SymbolSpec:
        """Read an instrument, with what a move is worth in account currency now. Raises SymbolError, ReadError."""
        name = self.broker_name(symbol)
        found = self._client.read("pricing", instruments=name, includeHomeConversions="true")
        quoted = name.partition("_")[2]
        told = {row["currency"]: row.get("positionValue") for row in found.get("homeConversions", ())}
        worth = parse.number(told[quoted]) if told.get(quoted) else self._home_rate(quoted)

        def parsed() -> SymbolSpec:
            return parse.symbol(self._instruments[name], symbol, found["prices"][0], worth)

        spec = self._specs[symbol] = parse.guarded(f"instrument {name}", parsed)
        return spec

    def _home_rate(self, currency: str) -> float:
        """Return account currency per unit of a currency, through crosses: OANDA told none. Raises ReadError."""
        home = self._home or self.account().currency
        if currency == home:
            return 1.0
        names = [(base, quoted) for base, _, quoted in (name.partition("_") for name in self.symbols())]
        needed = ",".join(sorted("_".join(pair) for pair in chain(currency, home, names)))
        rows = self._client.read("pricing", instruments=needed).get("prices", ()) if needed else ()

        def pair(row: Mapping[str, Any]) -> Pair:
            base, _, quoted = str(row["instrument"]).partition("_")
            return Pair(base, quoted, parse.number(row["bids"][0]["price"]), parse.number(row["asks"][0]["price"]))

        found = rate(currency, home, [parse.guarded("price", pair, row) for row in rows if row["bids"] and row["asks"]])
        if found is None:
            raise ReadError(f"Nothing converts {currency} into {home} now.", "It is tried again.")
        return found

    @reads("OANDA")
    def quote(self, symbol: str) -> Quote:
        """Ask for the latest price. Raises ReadError, SymbolError."""
        name = self.broker_name(symbol)
        prices = self._client.read("pricing", instruments=name).get("prices")
        if not prices:
            raise ReadError(f"OANDA has no price of {name}.", "It is tried again at once.")
        return parse.guarded(f"price of {symbol}", parse.quote, prices[0], symbol)

    def follow(self, symbols: Collection[str]) -> None:
        """Let the stream bring these symbols too. Raises SymbolError, ReadError."""
        if self._stream is not None:
            self._stream.follow(frozenset(self.broker_name(symbol) for symbol in symbols))

    def streamed(self, symbol: str) -> Quote | None:
        """Return the stream's latest price of a symbol that is followed; None while it is silent."""
        row = None if self._stream is None else self._stream.latest(self._given.get(symbol, ""))
        return None if row is None else parse.guarded(f"price of {symbol}", parse.quote, row, symbol)

    def stream_state(self) -> StreamState:
        """Return how the stream is."""
        return StreamState(False, last_error="switched off") if self._stream is None else self._stream.state()

    @reads("OANDA")
    def book(self) -> Book:
        """Read account, trades and resting orders, which one answer of OANDA holds together. Raises ReadError."""
        body = self._client.read("")
        return parse.guarded("account", self._book, body)

    def _book(self, body: Mapping[str, Any]) -> Book:
        row = body["account"]
        orders = {str(order["id"]): order for order in row["orders"]}
        current = self._closing_prices({str(trade["instrument"]) for trade in row["trades"]})
        positions = tuple(
            parse.position(
                trade, self._ours(trade["instrument"]), self._lot(trade["instrument"]), orders,
                current.get((trade["instrument"], parse.side_of(parse.number(trade["currentUnits"]))), 0.0),
            )
            for trade in row["trades"]
        )  # fmt: skip
        self._marks |= {p.identifier: parse.Mark(p.magic, p.comment) for p in positions}
        resting = tuple(
            parse.pending(order, self._ours(order["instrument"]), self._lot(order["instrument"]))
            for order in orders.values()
            if order["type"] in ("LIMIT", "STOP")
        )
        return Book(self._clock.now(), parse.account(row, self._login, self._server), positions, resting)

    def _closing_prices(self, instruments: set[str]) -> dict[tuple[str, Side], float]:
        if not instruments:
            return {}
        rows = self._client.read("pricing", instruments=",".join(sorted(instruments)))["prices"]
        found: dict[tuple[str, Side], float] = {}
        for row in rows:
            for side, ladder in ((Side.BUY, row["bids"]), (Side.SELL, row["asks"])):
                if ladder:
                    found[row["instrument"], side] = parse.number(ladder[0]["price"])
        return found

    def _lot(self, instrument: str) -> float:
        if instrument not in self._instruments:
            self._load_instruments()
        return parse.lot_units(self._instruments[instrument])

    @reads("OANDA")
    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        """Read the ledger of a period, page by page. Raises ReadError."""
        index = self._client.read(
            "transactions", **{"from": _text(since), "to": _text(until), "type": LEDGER, "pageSize": PAGE}
        )
        rows = [row for page in index.get("pages", ()) for row in self._client.read(_path(page))["transactions"]]
        return self._deals(rows)

    def deals_since(self, transaction_id: int) -> tuple[Deal, ...]:
        """Read what came to the ledger after a transaction. Raises ReadError."""
        rows: list[Mapping[str, Any]] = []
        while True:
            body = self._client.read("transactions/sinceid", id=transaction_id, type=LEDGER)
            page = body.get("transactions", [])
            rows += page
            if not page or int(page[-1]["id"]) >= int(body["lastTransactionID"]):
                return self._deals(rows)
            transaction_id = int(page[-1]["id"])

    @reads("OANDA")
    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        """Read all deals of one trade: its opening fill, and the fills that closed it. Raises ReadError."""
        trade = self._client.read(f"trades/{position_id}")["trade"]
        self._marks[position_id] = parse.mark(trade.get("clientExtensions"))
        ids = dict.fromkeys([str(position_id), *trade.get("closingTransactionIDs", ())])
        rows = [self._client.read(f"transactions/{number}")["transaction"] for number in ids]
        return tuple(deal for deal in self._deals(rows) if deal.position_id == position_id)

    def _deals(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Deal, ...]:
        return tuple(deal for row in rows for deal in parse.guarded("transaction", self._deals_in, row))

    def _deals_in(self, row: Mapping[str, Any]) -> tuple[Deal, ...]:
        if row["type"] != "ORDER_FILL":
            return (parse.money(row),)
        parts = [row.get("tradeOpened"), *(row.get("tradesClosed") or ()), row.get("tradeReduced")]
        for number in {int(part["tradeID"]) for part in parts if part} - self._marks.keys():
            found = self._client.read(f"trades/{number}")["trade"]
            self._marks[number] = parse.mark(found.get("clientExtensions"))
        return parse.deals(row, self._ours(row["instrument"]), self._lot(row["instrument"]), self._marks)

    @reads("OANDA")
    def order_history(self, since: datetime, until: datetime) -> tuple[HistoricOrder, ...]:
        """Read the orders that ended in a period. Raises ReadError."""
        found: list[HistoricOrder] = []
        query: dict[str, Any] = {"state": "ALL", "count": PAGE}
        for _ in range(ORDERS_PAGES_MAX):
            rows = self._client.read("orders", **query)["orders"]
            for row in rows:
                if row["type"] in parse.ORDER_KINDS and row["state"] != "PENDING":
                    name = row["instrument"]
                    found.append(parse.guarded("order", parse.historic_order, row, self._ours(name), self._lot(name)))
            if len(rows) < PAGE:
                break
            query["beforeID"] = min(int(row["id"]) for row in rows)
        return tuple(order for order in found if since <= order.done_at <= until)

    @reads("OANDA")
    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the last closed candles, oldest first. Raises ReadError."""
        if seconds not in GRANULARITIES:
            raise ReadError(f"OANDA has no candles of {seconds} s.")
        name = self.broker_name(symbol)
        rows = self._client.read(
            f"instruments/{name}/candles", granularity=GRANULARITIES[seconds], count=count + 1, price="BA"
        ).get("candles", ())
        point = 10.0 ** -int(self._instruments[name]["displayPrecision"])
        closed = [row for row in rows if row.get("complete")]
        return tuple(parse.guarded("candle", parse.candle, row, point) for row in closed[-count:])

    # Send

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Send once. What did not leave is refused; what nobody answered is Unknown."""
        try:
            spec, quote = self.spec(request.symbol), self.streamed(request.symbol) or self.quote(request.symbol)
            instrument = self.broker_name(request.symbol)
        except (ReadError, SymbolError) as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        problem_found = objection(request, spec, quote)
        if problem_found is not None:
            return Refused(problem_found.code, 0, text=problem_found.text)
        if permit is not None and self._clock.now() >= permit.deadline:
            return Refused("expired", 0, text="its deadline has passed")
        intent = permit.intent if permit is not None else getattr(request, "comment", "")
        call = call_of(request, spec, quote, instrument, intent)
        try:
            answer = self._client.ask(call.method, call.path, body=call.body)
            outcome = outcome_of(request, answer, spec, intent)
        except NotSent as problem:
            return Refused("not_sent", 0, fresh_price=True, text=str(problem))
        except Exception as problem:  # noqa: BLE001 - after the call nothing is certain, whatever was raised
            return Unknown(f"{type(problem).__name__}: {problem}")
        if isinstance(outcome, Accepted) and outcome.filled and isinstance(request, OpenPosition):
            self._marks[outcome.order] = parse.Mark(request.magic, request.comment)
        return outcome


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _path(page: str) -> str:
    """Keep path and query of a page's address: it is asked where we ask everything else."""
    return "/v3/" + page.partition("/v3/")[2]
