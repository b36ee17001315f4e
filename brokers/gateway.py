"""The port that every broker implements. Reads return facts or raise; a send returns an outcome and never raises."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from brokers.candles import Candles
from brokers.domain import AccountState, Book, Candle, Deal, HistoricOrder, MarginMode, Quote, Request, SymbolSpec
from core.outcome import Outcome


class BrokerError(Exception):
    """Something a person can act on: `problem` says what is wrong, `fix` what to do."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem} {fix}".strip())
        self.problem = problem
        self.fix = fix


class ConnectError(BrokerError):
    """The terminal can't be reached, or refuses the login."""


class ReadError(BrokerError):
    """A read failed. It says nothing about what is open: never take it for an empty book."""


class SymbolError(BrokerError):
    """The broker does not know the symbol."""


@dataclass(frozen=True, slots=True)
class Permit:
    """In whose name a request leaves: the intent's token, the holder's fencing token, and the latest moment to send.

    A gateway whose terminal stands behind a guard of its own shows it there; others have no use for it.
    """

    intent: str
    fence: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the broker's clock is ahead of UTC, since when; `is_confirmed` by a price that was seen to arrive."""

    offset: timedelta
    since: datetime
    is_confirmed: bool


# Of brokers that speak UTC
UTC_CLOCK = ClockOffset(timedelta(0), datetime.fromtimestamp(0, UTC), is_confirmed=True)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do; nothing is assumed. The texts are S2's comparison, and what the Brokers page shows.

    `identity`: what of ours a position keeps, of "magic", "comment", "client id" and "tag".
    """

    title: str
    identity: frozenset[str]
    margin_modes: frozenset[MarginMode]
    server_side_stops: bool
    streaming: bool
    history: bool
    process_per_terminal: bool
    magic: str
    trade_id: str
    filtered_by: str
    manual_trades: str


@runtime_checkable
class CandleSource(Protocol):
    """A gateway that gives candles of any length, seconds too, as arrays."""

    def candle_range(self, symbol: str, seconds: int, since: datetime, until: datetime) -> Candles:
        """Read the closed candles that open from `since` on and before `until`. Raises ReadError."""
        ...


@runtime_checkable
class DepthSource(Protocol):
    """A gateway that can show market depth, at least of some symbols."""

    def best_lots(self, symbol: str) -> float | None:
        """Return the lots at the best price of the thinner side; None: the broker shows no depth of the symbol.

        Raises SymbolError, ReadError.
        """
        ...


@dataclass(frozen=True, slots=True)
class StreamState:
    """How a price stream is: connections made, how many of them ended, why the last one did, silence in seconds."""

    is_live: bool
    connects: int = 0
    failures: int = 0
    last_error: str = ""
    silent_seconds: float | None = None


@runtime_checkable
class StreamSource(Protocol):
    """A gateway whose prices come by themselves, as long as the connection lives; else they are asked for."""

    def follow(self, symbols: Collection[str]) -> None:
        """Let the stream bring these symbols too. Never waits for it. Raises SymbolError, ReadError."""
        ...

    def streamed(self, symbol: str) -> Quote | None:
        """Return the latest price that came; None while there is none or the stream is silent. Never asks."""
        ...

    def stream_state(self) -> StreamState:
        """Return how the stream is."""
        ...


class Gateway(Protocol):
    """One account at one broker. Not safe for several threads: a session owns its gateway."""

    capabilities: Capabilities

    def connect(self, fence: int = 0) -> None:
        """Connect and log in. With a fencing token, older holders can't send any more. Raises ConnectError."""
        ...

    def close(self) -> None:
        """Let go of the terminal; positions stay."""
        ...

    def account(self) -> AccountState:
        """Read the account. Raises ReadError."""
        ...

    def symbols(self) -> Sequence[str]:
        """Name every symbol of the broker. Raises ReadError."""
        ...

    def broker_name(self, symbol: str) -> str:
        """Return the broker's name of one of our symbols. Raises SymbolError, ReadError."""
        ...

    def clock_offset(self) -> ClockOffset | None:
        """Return how far the broker's clock is ahead of UTC; None while no fresh price has told it."""
        ...

    def spec(self, symbol: str) -> SymbolSpec:
        """Read a symbol's specification and select it. Raises SymbolError, ReadError."""
        ...

    def quote(self, symbol: str) -> Quote:
        """Read the latest prices. Raises ReadError."""
        ...

    def book(self) -> Book:
        """Read account, positions and resting orders as of one moment. Raises ReadError, also when they won't agree."""
        ...

    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        """Read the ledger of a period. Raises ReadError."""
        ...

    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        """Read all deals of one position. Raises ReadError."""
        ...

    def order_history(self, since: datetime, until: datetime) -> tuple[HistoricOrder, ...]:
        """Read the orders that ended in a period. Raises ReadError."""
        ...

    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the last closed candles of a length in seconds, oldest first. Raises ReadError."""
        ...

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Send once, and say what came of it. Never raises, never retries."""
        ...
