"""The MetaTrader 5 gateway: one account through anything that has the module's surface."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from brokers.candles import Candles
from brokers.domain import (
    AccountState,
    Book,
    Candle,
    ChangeStops,
    ClosePosition,
    Deal,
    HistoricOrder,
    MarginMode,
    OpenPosition,
    PlaceOrder,
    Quote,
    Request,
    SymbolSpec,
)
from brokers.facts import number
from brokers.gateway import Capabilities, ClockOffset, ConnectError, Permit, ReadError, SymbolError
from brokers.mt5 import candles as candle_reads
from brokers.mt5 import parse
from brokers.mt5.depth import Depth
from brokers.mt5.programswitch import ProgramSwitch
from brokers.mt5.requests import build, filling_candidates, netting_objection, objection
from brokers.mt5.retcodes import AUTH_FAILED, NO_IPC, NOT_SENT_ERRORS, Verdict, meaning_of
from brokers.mt5.server_clock import ServerClock
from brokers.mt5.symbols import SymbolMap
from core.clock import Clock
from core.outcome import Accepted, Outcome, Refused, Unknown

SANDWICH_TRIES = 3
CLOCK_SYMBOLS = 10
# At weekends only a price that is seen to arrive tells the clock: some markets are open, so wait a little for one
CLOCK_LOOKS, CLOCK_PAUSE_SECONDS = 10, 0.2
RECONNECT_SECONDS, CONNECT_TIMEOUT_MS = 5.0, 60_000
HISTORY_AHEAD = timedelta(days=1)
BUY, SELL = 0, 1
ECHOED = ("action", "symbol", "volume", "type", "position", "order", "magic")


class Mt5Account:
    """What a terminal does with its account: connect, read, send. `terminal` has the module's surface."""

    capabilities = Capabilities(
        title="MetaTrader 5",
        identity=frozenset({"magic", "comment"}),
        margin_modes=frozenset({MarginMode.HEDGING, MarginMode.NETTING, MarginMode.EXCHANGE}),
        server_side_stops=True,
        streaming=False,
        history=True,
        process_per_terminal=True,
        magic="the magic number of every order, position and deal",
        trade_id="position identifier, which never changes; the ticket is named in requests",
        filtered_by="magic, at our side; history by time or position",
        manual_trades="magic 0, and the deal's reason says client, mobile or web",
    )

    def __init__(
        self,
        terminal: Any,
        *,
        login: int,
        password: str,
        server: str,
        path: str | None,
        clock: Clock,
        symbol_map: Mapping[str, str] | None = None,
        clock_history: Sequence[ClockOffset] = (),
        is_for_reading: bool = False,
    ) -> None:
        """`is_for_reading`: the password may be the investor's, and nothing is ever sent."""
        self._terminal = terminal
        self._login = login
        self._password = password
        self._server = server
        self._path = path
        self._is_for_reading = is_for_reading
        self._clock = clock
        self._symbols = SymbolMap(symbol_map or {})
        self._names: tuple[str, ...] | None = None
        self._specs: dict[str, SymbolSpec] = {}
        self._filling: dict[tuple[str, bool], int] = {}
        self._connected_at = 0.0
        self._depth = Depth(terminal)
        self._switch = ProgramSwitch(clock)
        self.server_clock = ServerClock(clock_history)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(login={self._login}, server={self._server!r})"

    # Connection

    def connect(self, fence: int = 0) -> None:
        """Start or find the terminal and log in. Raises ConnectError with the fix in words."""
        self._log_in()
        for _ in range(CLOCK_LOOKS):
            self._measure_clock()
            if self.server_clock.known:
                return
            self._clock.sleep(CLOCK_PAUSE_SECONDS)

    def _log_in(self) -> None:
        if not self._initialize():
            code, text = self._terminal.last_error()
            if code == AUTH_FAILED:
                raise ConnectError(
                    f"Login {self._login} at {self._server} was refused by the broker.",
                    "Check login, server and password of the account.",
                )
            raise ConnectError(f"The terminal can't be reached ({code} {text}).", "Start it, and check its path.")
        self._names = None
        try:
            state = self.account()
        except ReadError as problem:
            raise ConnectError(problem.problem, problem.fix) from None
        if not state.trade_allowed and not self._is_for_reading:
            raise ConnectError(
                f"Login {self._login} may not trade.",
                "Use the master password, and allow algorithmic trading in the terminal and at the broker.",
            )

    def _initialize(self) -> bool:
        self._connected_at = self._clock.ticks()
        self._depth.forget()
        args = (self._path,) if self._path else ()
        return bool(
            self._terminal.initialize(
                *args, login=self._login, password=self._password, server=self._server, timeout=CONNECT_TIMEOUT_MS
            )
        )

    def _measure_clock(self) -> None:
        """Learn the server's clock before anything with a time is read: from the account's symbols, or visible ones."""
        for name in (*self._symbols.named, *self._visible()):
            tick = self._terminal.symbol_info_tick(name)
            if tick is not None:
                self.server_clock.measure(name, tick.time_msc / 1000, self._clock.now())
            if self.server_clock.known:
                return

    def _visible(self) -> Iterator[str]:
        rows = self._terminal.symbols_get() or ()
        return islice((str(row.name) for row in rows if row.visible), CLOCK_SYMBOLS)

    def close(self) -> None:
        """Let go of the terminal."""
        self._terminal.shutdown()

    # Reads

    def account(self) -> AccountState:
        """Read the account, and make sure that it is the expected one. Raises ReadError."""
        return self._account()

    def _account(self) -> AccountState:
        info = self._read("account_info")
        state = parse.guarded("account", parse.account, info, self._switch.is_on(self._read))
        if state.login != self._login or state.server != self._server:
            raise ReadError(
                f"The terminal is logged in to {state.login} at {state.server}, not {self._login} at {self._server}.",
                "Log the terminal in to the account again; give each account its own terminal.",
            )
        return state

    def symbols(self) -> Sequence[str]:
        """Name every symbol of the broker. Raises ReadError."""
        if self._names is None:
            self._names = tuple(str(row.name) for row in self._read("symbols_get"))
        return self._names

    def broker_name(self, symbol: str) -> str:
        """Return the broker's name of one of our symbols. Raises SymbolError, ReadError."""
        return self._symbols.theirs(symbol, self.symbols())

    def clock_offset(self) -> ClockOffset | None:
        """Return how far the broker's clock is ahead of UTC; None while no fresh price has told it."""
        return self.server_clock.current

    def spec(self, symbol: str) -> SymbolSpec:
        """Read a symbol's specification and put it into the Market Watch. Raises SymbolError, ReadError."""
        name = self._symbols.theirs(symbol, self.symbols())
        if not self._terminal.symbol_select(name, True):
            raise SymbolError(f"{name} can't be put into the Market Watch.", "Add it by hand in the terminal.")
        info = self._read("symbol_info", name)
        tick = self._terminal.symbol_info_tick(name)
        price = float(tick.ask) if tick is not None else 0.0
        margin = self._terminal.order_calc_margin(BUY, name, 1.0, price) if price > 0 else None
        spec = parse.guarded(f"symbol {name}", parse.symbol, info, symbol, float(margin or 0.0))
        self._specs[symbol] = spec
        return spec

    def quote(self, symbol: str) -> Quote:
        """Read the latest prices. Raises ReadError, SymbolError."""
        if symbol not in self._specs:
            self.spec(symbol)
        tick = self._read("symbol_info_tick", self._symbols.theirs(symbol, self.symbols()))
        self.server_clock.measure(symbol, tick.time_msc / 1000, self._clock.now())
        return parse.guarded(f"tick of {symbol}", parse.quote, tick, symbol, self.server_clock)

    def book(self) -> Book:
        """Read account, positions and resting orders as of one moment.

        A fill between two reads would show half of itself (an order that is gone and no position yet), so balance and
        counts are read before and after, until nothing happened in between. Raises ReadError when it never does.
        """
        for _ in range(SANDWICH_TRIES):
            before = (self._account().balance, *self._totals())
            positions: Sequence[Any] = self._read("positions_get")
            orders: Sequence[Any] = self._read("orders_get")
            state = self._account()
            if before == (state.balance, *self._totals()) == (state.balance, len(positions), len(orders)):
                clock = self.server_clock
                return Book(
                    at=self._clock.now(),
                    account=state,
                    positions=tuple(
                        parse.guarded("position", parse.position, p, self._symbols.ours(p.symbol), clock)
                        for p in positions
                    ),
                    orders=tuple(
                        parse.guarded("order", parse.pending, o, self._symbols.ours(o.symbol), clock) for o in orders
                    ),
                )
        raise ReadError("The terminal's positions changed during every read.", "It is tried again at once.")

    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        """Read the ledger of a period. Raises ReadError, also while the broker's clock is not known."""
        return self._deals(self._read("history_deals_get", *self._period(since, until)))

    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        """Read all deals of one position. Raises ReadError."""
        return self._deals(self._read("history_deals_get", position=int(position_id)))

    def order_history(self, since: datetime, until: datetime) -> tuple[HistoricOrder, ...]:
        """Read the orders that ended in a period. Raises ReadError."""
        rows = self._read("history_orders_get", *self._period(since, until))
        clock = self._known_clock()
        return tuple(
            parse.guarded("historic order", parse.historic_order, o, self._symbols.ours(o.symbol), clock) for o in rows
        )

    # Send

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Send once. Checks first, then one order_send; silence and unlisted codes are Unknown."""
        if self._is_for_reading:
            return Refused("for_reading", 0, text="this connection was opened to read")
        try:
            state, spec, quote = self.account(), self.spec(request.symbol), self.quote(request.symbol)
            name = self._symbols.theirs(request.symbol, self.symbols())
            request = self._by_present_ticket(request, name)
            if (netted := self._netted(request, name, state)) is not None:
                return netted
        except (ReadError, SymbolError) as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        if (problem_found := objection(request, spec, quote)) is not None:
            return Refused(problem_found.code, 0, text=problem_found.text)
        closing = isinstance(request, ClosePosition)
        filling = self._filling.setdefault((name, closing), filling_candidates(spec, closing=closing)[0])
        message = build(request, name, spec, quote, filling)
        try:
            result = self._order_send(dict(message), permit)
            return self._outcome(request, message, result, spec)
        except Exception as problem:  # noqa: BLE001 - after the call nothing is certain, whatever was raised
            return Unknown(f"{type(problem).__name__}: {problem}")

    def _by_present_ticket(self, request: Request, name: str) -> Request:
        """Name a position by the ticket that it has now. Raises ReadError.

        A reversal on a netting account, and a swap by re-opening, give a position another ticket and leave its
        identifier; asked for the old ticket the broker says that it is closed, which it is not.
        """
        if not isinstance(request, ClosePosition | ChangeStops) or self._read("positions_get", ticket=request.ticket):
            return request
        rows = self._read("positions_get", symbol=name)
        found = next((int(row.ticket) for row in rows if int(row.identifier) == request.ticket), None)
        return request if found is None else replace(request, ticket=found)

    def _netted(self, request: Request, name: str, state: AccountState) -> Refused | None:
        """Refuse, on an account that nets, an entry whose lots would not be its bot's own. Raises ReadError."""
        if not isinstance(request, OpenPosition) or request.may_reduce or state.margin_mode is MarginMode.HEDGING:
            return None
        found = netting_objection(request, self._read("positions_get", symbol=name))
        return None if found is None else Refused(found.code, 0, text=found.text)

    def _order_send(self, message: dict[str, Any], permit: Permit | None) -> Any:
        return self._terminal.order_send(message)

    def _outcome(self, request: Request, message: Mapping[str, Any], result: Any, spec: SymbolSpec) -> Outcome:
        if result is None:
            code, text = self._terminal.last_error()
            if code in NOT_SENT_ERRORS:
                return Refused("not_sent", code, text=str(text))
            return Unknown(f"no reply ({code} {text})", code)
        code = int(result.retcode)
        for key in ECHOED:
            if key in message and getattr(result.request, key) != message[key]:
                return Unknown(f"the reply is to another request ({key})", code)
        meaning = meaning_of(code)
        text = str(result.comment)
        match meaning.verdict:
            case Verdict.DONE | Verdict.PARTIAL | Verdict.PLACED:
                filled = float(result.volume) if meaning.verdict is not Verdict.PLACED and result.deal else 0.0
                price = number(result.price, "price")
                return Accepted(
                    int(result.order), int(result.deal), filled, price, code, meaning.verdict is Verdict.PARTIAL, text
                )
            case Verdict.NO_CHANGES if isinstance(request, ChangeStops):
                return Accepted(0, 0, 0.0, 0.0, code, text=text)
            case Verdict.POSITION_CLOSED if isinstance(request, ClosePosition):
                return Accepted(0, 0, 0.0, 0.0, code, text=text)
            case Verdict.UNKNOWN:
                return Unknown(f"{meaning.name} {text}".strip(), code)
        if meaning.name == "invalid_fill" and isinstance(request, OpenPosition | ClosePosition | PlaceOrder):
            self._other_filling(str(message["symbol"]), spec, closing=isinstance(request, ClosePosition))
            return Refused(meaning.name, code, fresh_price=True, text=text)
        return Refused(meaning.name, code, meaning.verdict is Verdict.FRESH_PRICE, text)

    def _other_filling(self, name: str, spec: SymbolSpec, *, closing: bool) -> None:
        """Remember the next filling mode for the next decision; this one is not sent again."""
        modes = filling_candidates(spec, closing=closing)
        modes += [mode for mode in (0, 1, 2) if mode not in modes]
        self._filling[name, closing] = modes[(modes.index(self._filling[name, closing]) + 1) % len(modes)]

    # Helpers

    def _read(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call the module. `None` is a failure, never an empty answer."""
        call = getattr(self._terminal, function)
        result = call(*args, **kwargs)
        if result is None and self._terminal.last_error()[0] == NO_IPC and self._connects_again():
            result = call(*args, **kwargs)
        if result is None:
            code, text = self._terminal.last_error()
            raise ReadError(f"{function} failed ({code} {text}).", "Check the terminal and its connection.")
        return result

    def _connects_again(self) -> bool:
        """Connect to a terminal that was restarted; one that is away is asked only now and then."""
        return self._clock.ticks() - self._connected_at >= RECONNECT_SECONDS and self._initialize()

    def _totals(self) -> tuple[int, int]:
        return int(self._read("positions_total")), int(self._read("orders_total"))

    def _deals(self, rows: Sequence[Any]) -> tuple[Deal, ...]:
        clock = self._known_clock()
        return tuple(parse.guarded("deal", parse.deal, d, self._symbols.ours(d.symbol), clock) for d in rows)

    def _known_clock(self) -> ServerClock:
        """Return the broker's clock; what is booked with a time nobody knows could never be set right."""
        if not self.server_clock.known:
            self._measure_clock()
        if not self.server_clock.known:
            raise ReadError(
                "The broker's clock is not known yet: no price has arrived since the connection.",
                "Wait for the market to open; times of deals and candles can't be told before.",
            )
        return self.server_clock

    def _period(self, since: datetime, until: datetime) -> tuple[int, int]:
        clock = self._known_clock()
        return max(0, clock.to_server(since)), clock.to_server(until + HISTORY_AHEAD)


class Mt5Gateway(Mt5Account):
    """Implements brokers.gateway.Gateway. `terminal` is the real module, or a simulated terminal."""

    def best_lots(self, symbol: str) -> float | None:
        """Return the lots at the best price of the thinner side; None: no depth is shown. Raises SymbolError."""
        return self._depth.best_lots(self._symbols.theirs(symbol, self.symbols()))

    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the last closed candles, oldest first. Raises ReadError, also while the broker's clock is not known."""
        clock = self._known_clock()
        name = self._symbols.theirs(symbol, self.symbols())
        rates = self._read("copy_rates_from_pos", name, candle_reads.timeframe(seconds), 0, count + 1)
        return parse.guarded("candles", candle_reads.closed, rates, clock, seconds, self._clock.now())

    def candle_range(self, symbol: str, seconds: int, since: datetime, until: datetime) -> Candles:
        """Read the closed candles of a period as arrays; those shorter than a minute are built from ticks."""
        name = self._symbols.theirs(symbol, self.symbols())
        clock, now = self._known_clock(), self._clock.now()
        first, last = clock.to_server(since), clock.to_server(min(until, now))
        if last <= first:
            return Candles.empty()
        if seconds < candle_reads.MINUTE:
            rows = self._read("copy_ticks_range", name, first, last, candle_reads.TICKS_INFO)
            return candle_reads.from_tick_rows(rows, clock, seconds, since, min(until, now))
        rows = self._read("copy_rates_range", name, candle_reads.timeframe(seconds), first, last)
        point = (self._specs.get(symbol) or self.spec(symbol)).point
        return candle_reads.from_rate_rows(rows, clock, seconds, point, since, min(until, now))
