"""The JForex gateway: one Dukascopy account behind a bridge. An order is a position; label and comment say whose."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
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
    PlaceOrder,
    Quote,
    Request,
    SymbolSpec,
)
from brokers.facts import reads, text
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
from brokers.jforex import parse
from brokers.jforex.client import Client, NoAnswer, NotSent, parse_address
from brokers.jforex.orders import call_of, outcome_of
from brokers.jforex.parse import guarded, number
from brokers.jforex.stream import PriceStream
from brokers.mt5.requests import objection
from core.clock import Clock
from core.outcome import Outcome, Refused, Unknown

PROTOCOL = 1
SERVERS = ("demo", "live")
PAGES_MAX = 200


class JForexGateway:
    """Implements brokers.gateway.Gateway. `address` is the bridge's, `login` the number of Dukascopy's account."""

    capabilities = Capabilities(
        title="JForex",
        identity=frozenset({"client id", "comment", "magic"}),
        margin_modes=frozenset({MarginMode.HEDGING}),
        server_side_stops=True,
        streaming=True,
        history=True,
        process_per_terminal=False,
        magic="the beginning of the comment, beside a label of ours",
        trade_id="JForex's order id; the label td_ and the intent's token finds it too",
        filtered_by="comment, at our side; history by time or order",
        manual_trades="no label of ours",
    )

    def __init__(
        self,
        *,
        address: str,
        login: int,
        token: str,
        server: str,
        clock: Clock,
        symbol_map: Mapping[str, str] | None = None,
        is_streaming: bool = True,
    ) -> None:
        if server not in SERVERS:
            raise ConnectError(f"Dukascopy has no server {server!r}.", f"Choose {' or '.join(SERVERS)}.")
        try:
            self._address = parse_address(address)
        except ValueError as problem:
            raise ConnectError(f"{problem}.", "Correct the account's page.") from None
        self._login = login
        self._server = server
        self._clock = clock
        self._given = dict(symbol_map or {})
        self._client = Client(self._address, token, clock=clock)
        self._stream = PriceStream(self._address, token, clock=clock) if is_streaming else None
        self._instruments: dict[str, Mapping[str, Any]] = {}
        self._home, self._leverage = "", 0

    def __repr__(self) -> str:
        return f"JForexGateway(address={self._address!r}, login={self._login})"

    # Connection

    def connect(self, fence: int = 0) -> None:
        """Make sure that the bridge serves this account. Raises ConnectError with the fix in words."""
        try:
            answer = self._client.ask("GET", "account")
        except (NotSent, NoAnswer) as problem:
            raise ConnectError(
                f"The bridge at {self._address} can't be reached ({problem}).", "Start it, and check its address."
            ) from None
        if answer.status == 401:
            raise ConnectError("The bridge refused the token.", "Set the account's password to the bridge's token.")
        if answer.status != 200 or "account" not in answer.body:
            raise ConnectError(f"The bridge answers {answer.status}: {answer.text}.", "See docs/jforex.md.")
        try:
            guarded("account", self._examine, answer.body)
            self._load_instruments()
        except ReadError as problem:
            raise ConnectError(problem.problem, problem.fix) from None
        if fence:
            self._take_over(fence)

    def _examine(self, body: Mapping[str, Any]) -> None:
        row = body["account"]
        if body["protocol"] != PROTOCOL:
            fix = "Run a bridge and an engine of the same version."
            raise ConnectError(f"The bridge speaks protocol {body['protocol']}, not {PROTOCOL}.", fix)
        if row["connected"] is not True:
            raise ConnectError("The bridge has no connection to Dukascopy.", "Look at the bridge's own log.")
        found = (int(row["login"]), parse.server(row))
        if found != (self._login, self._server):
            fix = "Correct login, server or the bridge's address."
            raise ConnectError(f"The bridge serves account {found[0]} at {found[1]}.", fix)
        if row["hedging"] is not True:
            fix = "Use an account that keeps each order as a position of its own."
            raise ConnectError("The account nets its positions.", fix)

    def _take_over(self, fence: int) -> None:
        """Let the bridge refuse orders of whoever held the account before. Raises ConnectError."""
        try:
            answer = self._client.ask("POST", "fence", body={"fence": fence})
        except (NotSent, NoAnswer) as problem:
            raise ConnectError(f"The bridge does not answer ({problem}).", "It is tried again.") from None
        if answer.status != 200 or answer.error:
            raise ConnectError(f"The bridge refused fencing token {fence}: {answer.text}.", "It is tried again.")

    def close(self) -> None:
        """Let go of the connections."""
        if self._stream is not None:
            self._stream.stop()
        self._client.close()

    # Reads

    @reads("The bridge")
    def account(self) -> AccountState:
        """Read the account. Raises ReadError."""
        return guarded("account", self._account, self._client.read("account"))

    def _account(self, body: Mapping[str, Any]) -> AccountState:
        found = parse.account(body["account"])
        if (found.login, found.server) != (self._login, self._server):
            raise ReadError(f"The bridge serves account {found.login} at {found.server} now.", "Correct the bridge.")
        self._home, self._leverage = found.currency, found.leverage
        return found

    @reads("The bridge")
    def symbols(self) -> Sequence[str]:
        """Name every instrument of the bridge. Raises ReadError."""
        if not self._instruments:
            self._load_instruments()
        return tuple(self._instruments)

    def _load_instruments(self) -> None:
        rows = self._client.read("instruments")
        self._instruments = guarded("instruments", lambda: {text(row["name"]): row for row in rows["instruments"]})

    @reads("The bridge")
    def broker_name(self, symbol: str) -> str:
        """Return JForex's name, EUR/USD for EURUSD. Raises SymbolError, ReadError."""
        given = self._given.get(symbol)
        found = [n for n in self.symbols() if n == given or (given is None and n.replace("/", "") == symbol.upper())]
        if not found:
            raise SymbolError(f"JForex has no instrument like {given or symbol}.", "Correct the symbol's broker name.")
        self._given[symbol] = found[0]
        return found[0]

    def _ours(self, instrument: str) -> str:
        return next((ours for ours, theirs in self._given.items() if theirs == instrument), instrument.replace("/", ""))

    def _lot(self, instrument: str) -> float:
        if instrument not in self._instruments:
            self._load_instruments()
        return number(self._instruments[instrument]["lot_units"])

    def clock_offset(self) -> ClockOffset | None:
        """Dukascopy speaks UTC."""
        return UTC_CLOCK

    @reads("The bridge")
    def spec(self, symbol: str) -> SymbolSpec:
        """Read an instrument, with what a move is worth in account currency now. Raises SymbolError, ReadError."""
        name = self.broker_name(symbol)
        self._load_instruments()
        if name not in self._instruments:
            raise SymbolError(f"JForex has no instrument {name} any more.", "Correct the symbol's broker name.")
        row = self._instruments[name]
        price, worth = self._price(name), self._worth(str(row.get("quoted")))
        return guarded(f"instrument {name}", lambda: parse.symbol(row, symbol, price, worth, self._leverage))

    def _worth(self, currency: str) -> float:
        """Return account currency per unit of a currency, through at most three crosses. Raises ReadError."""
        home = self._home or self.account().currency
        if currency == home:
            return 1.0
        names = {(str(row.get("base")), str(row.get("quoted"))): name for name, row in self._instruments.items()}
        needed = [names[pair] for pair in chain(currency, home, names)]

        def pair(row: Mapping[str, Any]) -> Pair:
            info, price = self._instruments[str(row["instrument"])], parse.quote(row, str(row["instrument"]))
            return Pair(str(info["base"]), str(info["quoted"]), price.bid, price.ask)

        found = rate(currency, home, [guarded("price", pair, row) for row in self._prices(needed)])
        if found is None:
            raise ReadError(f"Nothing converts {currency} into {home} now.", "It is tried again.")
        return found

    def _prices(self, names: Collection[str]) -> Sequence[Mapping[str, Any]]:
        if not names:
            return ()
        body = self._client.read("prices", instruments=",".join(sorted(names)))
        return guarded("prices", lambda: list(body["prices"]))

    def _price(self, name: str) -> Mapping[str, Any]:
        rows = [row for row in self._prices([name]) if row.get("instrument") == name]
        if not rows:
            raise ReadError(f"JForex has no price of {name}.", "It is tried again at once.")
        return rows[0]

    @reads("The bridge")
    def quote(self, symbol: str) -> Quote:
        """Ask for the latest price. Raises ReadError, SymbolError."""
        return guarded(f"price of {symbol}", parse.quote, self._price(self.broker_name(symbol)), symbol)

    def follow(self, symbols: Collection[str]) -> None:
        """Let the stream bring these symbols too. Raises SymbolError, ReadError."""
        if self._stream is not None:
            self._stream.follow(frozenset(self.broker_name(symbol) for symbol in symbols))

    def streamed(self, symbol: str) -> Quote | None:
        """Return the stream's latest price of a symbol that is followed; None while it is silent."""
        row = None if self._stream is None else self._stream.latest(self._given.get(symbol, ""))
        return None if row is None else guarded(f"price of {symbol}", parse.quote, row, symbol)

    def stream_state(self) -> StreamState:
        """Return how the stream is."""
        return StreamState(False, last_error="switched off") if self._stream is None else self._stream.state()

    @reads("The bridge")
    def book(self) -> Book:
        """Read account, positions and resting orders, which the bridge reads in one step. Raises ReadError."""
        return guarded("book", self._book, self._client.read("book"))

    def _book(self, body: Mapping[str, Any]) -> Book:
        rows = [(row, self._ours(row["instrument"]), self._lot(row["instrument"])) for row in body["orders"]]
        positions = tuple(parse.position(*each) for each in rows if each[0]["state"] == parse.OPEN)
        resting = tuple(parse.pending(*each) for each in rows if each[0]["state"] == parse.RESTING)
        return Book(self._clock.now(), self._account(body), positions, resting)

    @reads("The bridge")
    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        """Read the ledger of a period: what orders brought, and money that moved. Raises ReadError."""
        found = [deal for row in self._ended(since, until) for deal in guarded("order", self._deals_in, row)]
        rows = self._client.read("money", **_period(since, until))
        found += guarded("money", lambda: [parse.money(row) for row in rows["money"]])
        return tuple(sorted((d for d in found if since <= d.at <= until), key=lambda d: (d.at, d.ticket)))

    @reads("The bridge")
    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        """Read all deals of one position. Raises ReadError."""
        body = self._client.read(f"orders/{position_id}")
        found = guarded("order", lambda: self._deals_in(body["order"]))
        if any(deal.position_id != position_id for deal in found):
            raise ReadError(f"The bridge gave another order than {position_id}.")
        return found

    def _deals_in(self, row: Mapping[str, Any]) -> tuple[Deal, ...]:
        return tuple(parse.deals(row, self._ours(row["instrument"]), self._lot(row["instrument"])))

    @reads("The bridge")
    def order_history(self, since: datetime, until: datetime) -> tuple[HistoricOrder, ...]:
        """Read the orders that were filled or cancelled in a period. Raises ReadError."""

        def parsed(row: Mapping[str, Any]) -> HistoricOrder | None:
            return parse.historic_order(row, self._ours(row["instrument"]), self._lot(row["instrument"]))

        found = [guarded("order", parsed, row) for row in self._ended(since, until)]
        return tuple(order for order in found if order is not None and since <= order.done_at <= until)

    def _ended(self, since: datetime, until: datetime) -> Iterator[Mapping[str, Any]]:
        """Read the orders of which a part was filled, closed or cancelled in a period, page by page."""
        after: int | None = 0
        for _ in range(PAGES_MAX):
            body = self._client.read("orders", after=after, **_period(since, until))
            rows, following = guarded("orders", lambda body=body: (list(body["orders"]), body["next"]))
            yield from rows
            if following is None:
                return
            if not isinstance(following, int) or following <= (after or 0):
                raise ReadError("The bridge's pages of orders do not end.")
            after = following
        raise ReadError(f"More than {PAGES_MAX} pages of orders.", "Ask for a shorter period.")

    @reads("The bridge")
    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the last closed candles, oldest first. Raises ReadError."""
        name = self.broker_name(symbol)
        rows = self._client.read("candles", instrument=name, seconds=seconds, count=count)
        point = 10.0 ** -number(self._instruments[name]["digits"])
        return guarded("candles", lambda: tuple(parse.candle(row, point) for row in rows["candles"]))

    # Send

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Send once. What did not leave is refused; what nobody answered is Unknown, and is found by its label."""
        try:
            spec, quote = self.spec(request.symbol), self.streamed(request.symbol) or self.quote(request.symbol)
            instrument = self.broker_name(request.symbol)
        except (ReadError, SymbolError) as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        problem_found = objection(request, spec, quote)
        if problem_found is not None:
            return Refused(problem_found.code, 0, text=problem_found.text)
        if permit is None:
            return Refused("no_permit", 0, text="an order at JForex is found again by its intent")
        if isinstance(request, OpenPosition | PlaceOrder) and not parse.LABEL.match(parse.label(permit.intent)):
            return Refused("label", 0, text="JForex takes letters, digits and underscores in a label")
        if self._clock.now() >= permit.deadline:
            return Refused("expired", 0, text="its deadline has passed")
        try:
            call = call_of(request, spec, quote, instrument, permit)
            return outcome_of(request, self._client.ask("POST", call.path, body=call.body), spec, permit)
        except NotSent as problem:
            return Refused("not_sent", 0, fresh_price=True, text=str(problem))
        except Exception as problem:  # noqa: BLE001 - after the call nothing is certain, whatever was raised
            return Unknown(f"{type(problem).__name__}: {problem}")


def _period(since: datetime, until: datetime) -> dict[str, int]:
    return {"from": int(since.timestamp() * 1000), "to": int(until.timestamp() * 1000) + 1}
