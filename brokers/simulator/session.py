"""The connection between a program and the simulated terminal: log-in, last error, faults, the passing of time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brokers.simulator.arguments import epoch, matches_group
from brokers.simulator.constants import CONSTANTS
from brokers.simulator.dealing import BY_HAND, EXPERT
from brokers.simulator.exchange import Exchange
from brokers.simulator.faults import Change, Faults
from brokers.simulator.feed import Prices
from brokers.simulator.server_time import to_utc
from brokers.simulator.state import Moved, State, StateError
from core.clock import Clock

SUCCESS = (1, "Success")
NO_IPC = (-10004, "No IPC connection")
IPC_TIMEOUT = (-10005, "IPC timeout")
RECEIVE_FAILED = (-10002, "IPC recv failed")
AUTH_FAILED = (-6, "Terminal: Authorization failed")
CALL_FAILED = (-1, "Terminal: Call failed")
NOT_FOUND = (-4, "Terminal: Not found")
INVALID_ARGUMENTS = (-2, "Invalid arguments")


class Connection:
    """What all parts of the module share. With `by_hand`, orders say that a person sent them, and not a program.

    `prices` take the place of those that the state file names.
    """

    __version__ = "5.0.6231"
    __author__ = "Simulated terminal"

    def __init__(
        self, state_file: Path, *, clock: Clock, by_hand: bool = False, prices: Mapping[str, Prices] | None = None
    ) -> None:
        self.faults = Faults()
        self._reason = BY_HAND if by_hand else EXPERT
        self._state_file = state_file
        self._prices = prices
        self._clock = clock
        self._exchange: Exchange | None = None
        self._connected = False
        self._is_investor = False
        self._error = SUCCESS
        self._selected: set[str] = set()
        self._shown_books: set[str] = set()
        self._requests = 0

    def __getattr__(self, name: str) -> int:
        try:
            return CONSTANTS[name]
        except KeyError:
            raise AttributeError(f"module 'MetaTrader5' has no attribute '{name}'") from None

    # Ends of the connection

    def initialize(self, path: object = None, /, **options: Any) -> bool:
        """Connect, and log in when a login is given."""
        self._error = SUCCESS
        if options.keys() - {"login", "password", "server", "timeout", "portable"} or not (
            path is None or isinstance(path, str)
        ):
            return self._fail(INVALID_ARGUMENTS)
        if not self.faults.connected:
            return self._fail((-10003, "IPC initialize failed, Pipe server didn't answer in 60 sec"))
        if self._exchange is None:
            try:
                self._exchange = Exchange(State(self._state_file), self._clock, feeds=self._prices)
            except StateError as problem:
                return self._fail((-10003, f"IPC initialize failed, {problem}"))
            self._exchange.reason = self._reason
            self._selected = set(self._exchange.symbols)
        if "login" in options:
            return self.login(options.pop("login"), **{k: v for k, v in options.items() if k != "portable"})
        self._connected = True
        return True

    def login(self, login: int, password: str = "", server: str = "", timeout: int = 60_000) -> bool:
        """Log in. A password that is left out is the one the terminal remembers."""
        self._error = SUCCESS
        for name, value, kind in (
            ("login", login, int), ("password", password, str), ("server", server, str), ("timeout", timeout, int)
        ):  # fmt: skip
            if not isinstance(value, kind):
                return self._fail((-2, f'Invalid "{name}" argument'))
        if self._exchange is None:
            return self._fail(NO_IPC)
        account = self._exchange.account
        is_investor = password != "" and password == account.investor
        self._connected = (
            login == account.login
            and (is_investor or password in ("", account.password))
            and server in ("", account.server)
        )
        if password:
            self._is_investor = self._connected and is_investor
        return self._connected or self._fail(AUTH_FAILED)

    def shutdown(self, /) -> None:
        """Let go of the terminal."""
        if self._exchange is not None:
            self._exchange.state.close()
        self._exchange = None
        self._connected = False

    def last_error(self, /) -> tuple[int, str]:
        """Return the code and text of the last call's failure, or (1, 'Success')."""
        return self._error

    # A test's hand on the market

    def push_tick(self, symbol: str, bid: float, ask: float) -> None:
        """Say a tick of a scripted feed now, as the market would."""
        exchange = self._exchange or Exchange(State(self._state_file), self._clock)
        exchange.push_tick(symbol, bid, ask)
        if self._exchange is None:
            exchange.state.close()

    # Helpers of the parts

    def _fail(self, error: tuple[int, str]) -> bool:
        self._error = error
        return False

    def _enter(self, function: str) -> Exchange | None:
        """Begin a call: check the connection and let the exchange catch up with the clock."""
        self._error = SUCCESS
        if self._exchange is None or not self._connected:
            self._fail(NO_IPC)
            return None
        self.faults.begin_call(function, self._clock.now().timestamp(), next(iter(self._exchange.symbols), ""))
        if not self.faults.connected or self.faults.take(f"none:{function}"):
            self._fail(RECEIVE_FAILED)
            return None
        if self.faults.take("ipc_timeout"):
            self._fail(IPC_TIMEOUT)
            return None
        if self.faults.take("terminal_restart"):
            self._connected = False
            self._fail(NO_IPC)
            return None
        if self.faults.is_online or not self._exchange.has_prices:
            self._exchange.advance()
            for change in self.faults.take_changes():
                self._change(self._exchange, change)
            self._execute_delayed(self._exchange)
        return self._exchange

    def _change(self, exchange: Exchange, change: Change) -> None:
        """Change something at the broker; when another process was faster, look again first."""
        while True:
            try:
                return change(exchange)
            except Moved:
                exchange.advance()

    def _execute_delayed(self, exchange: Exchange) -> None:
        """Carry out the requests whose delay is over; a part of the module that sends replaces this."""

    def _utc(self, exchange: Exchange, date: object) -> float | None:
        """Return a date argument, which is in server time, as UTC epoch seconds; None where it is refused."""
        seconds = epoch(date)
        if seconds is None:
            self._fail(INVALID_ARGUMENTS)
            return None
        return to_utc(exchange.account.server_clock, seconds)

    def _chosen(self, exchange: Exchange, row: Any, filters: dict[str, Any]) -> bool:
        """Apply the filters of positions_get and orders_get; `symbol` wins over `ticket`, both over `group`."""
        if "symbol" in filters:
            return bool(row.symbol == filters["symbol"])
        if "ticket" in filters:
            return bool(row.ticket == filters["ticket"])
        return "group" not in filters or matches_group(row.symbol, str(filters["group"]))

    def _filters_fit(self, args: tuple[Any, ...], filters: dict[str, Any]) -> bool:
        kinds = {"symbol": str, "ticket": int, "group": str}
        if args:
            return self._fail((-2, "Unnamed arguments not allowed"))
        for name, value in filters.items():
            if name not in kinds:
                return self._fail(INVALID_ARGUMENTS)
            if not isinstance(value, kinds[name]):
                return self._fail((-2, f'Invalid "{name}" argument'))
        return True
