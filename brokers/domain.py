"""Frozen facts as a broker states them.

Prices and money are floats, normalised at the gateway's edge; times are aware UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.numbers import floor_to_step, round_to_digits


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for buy, -1 for sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class MarginMode(StrEnum):
    HEDGING = "hedging"
    NETTING = "netting"
    EXCHANGE = "exchange"


class OrderKind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class DealEntry(StrEnum):
    IN = "in"
    OUT = "out"
    INOUT = "inout"
    OUT_BY = "out_by"


class DealKind(StrEnum):
    """A trade, or a movement of money that is not a trade."""

    BUY = "buy"
    SELL = "sell"
    BALANCE = "balance"
    CREDIT = "credit"
    OTHER = "other"


class Reason(StrEnum):
    """Why the broker says an order or a deal came to be."""

    MANUAL = "manual"
    EXPERT = "expert"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    STOP_OUT = "stop_out"
    OTHER = "other"


class OrderState(StrEnum):
    WORKING = "working"
    FILLED = "filled"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Quote:
    """A price. `at` is the broker's time less `server_offset`."""

    symbol: str
    bid: float
    ask: float
    at: datetime
    server_offset: timedelta = timedelta(0)

    @property
    def spread(self) -> float:
        """Ask minus bid, in price units."""
        return self.ask - self.bid


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """A symbol as the broker trades it. `value_per_price` is account currency per 1.0 of price and 1 lot.

    `swap_mode` says what swaps are counted in (ENUM_SYMBOL_SWAP_MODE; 1 is points), Sunday is `triple_swap_day` 0.
    """

    name: str
    digits: int
    point: float
    contract_size: float
    volume_min: float
    volume_max: float
    volume_step: float
    stops_level_points: int
    freeze_level_points: int
    value_per_price: float
    currency_base: str
    currency_profit: str
    filling_mask: int
    execution_mode: int
    tradable: bool = True
    margin_per_lot: float = 0.0
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_mode: int = 1
    triple_swap_day: int = 3

    @property
    def pip(self) -> float:
        """A pip in price units: 10 points on symbols quoted with 3 or 5 digits, else 1 point (strategies.md)."""
        return self.point * (10 if self.digits in (3, 5) else 1)

    def price(self, value: float) -> float:
        """Normalise a price to the symbol's digits."""
        return round_to_digits(value, self.digits)

    def volume(self, lots: float) -> float:
        """Floor a volume to the symbol's step; it may come out below `volume_min`, which the caller must refuse."""
        return floor_to_step(lots, self.volume_step)


@dataclass(frozen=True, slots=True)
class Position:
    """An open position. `identifier` never changes; `ticket` is what a request must name. `profit` excludes swap.

    `opened_at` is the broker's time less `server_offset`.
    """

    identifier: int
    ticket: int
    symbol: str
    side: Side
    volume: float
    price_open: float
    price_current: float
    sl: float
    tp: float
    profit: float
    swap: float
    magic: int
    comment: str
    opened_at: datetime
    server_offset: timedelta = timedelta(0)

    @property
    def unrealized_pnl(self) -> float:
        """Floating profit and swap, in account currency."""
        return self.profit + self.swap

    def __str__(self) -> str:
        return f"#{self.ticket} {self.side} {self.volume:g} {self.symbol} at {self.price_open:g}"


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order that rests at the broker."""

    ticket: int
    symbol: str
    side: Side
    kind: OrderKind
    volume: float
    price: float
    sl: float
    tp: float
    magic: int
    comment: str
    placed_at: datetime


@dataclass(frozen=True, slots=True)
class HistoricOrder:
    """An order that reached its final state. `done_at` is the broker's time less `server_offset`."""

    ticket: int
    position_id: int
    symbol: str
    side: Side
    kind: OrderKind
    state: OrderState
    reason: Reason
    volume: float
    volume_left: float
    price: float
    magic: int
    comment: str
    placed_at: datetime
    done_at: datetime
    server_offset: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Deal:
    """A fact of the account's ledger. For money movements `order` and `position_id` are 0 and `symbol` is empty.

    `at` is the broker's time less `server_offset`.
    """

    ticket: int
    order: int
    position_id: int
    symbol: str
    kind: DealKind
    entry: DealEntry
    reason: Reason
    volume: float
    price: float
    profit: float
    swap: float
    commission: float
    fee: float
    magic: int
    comment: str
    at: datetime
    server_offset: timedelta = timedelta(0)

    @property
    def net(self) -> float:
        """Profit + swap + commission + fee, in account currency."""
        return self.profit + self.swap + self.commission + self.fee


@dataclass(frozen=True, slots=True)
class AccountState:
    """The account as the terminal shows it, in account currency; `margin_level` in percent, 0.0 with no margin used.

    `trade_allowed` is the account's right, `programs_allowed` the terminal's own switch for programs.
    """

    login: int
    server: str
    currency: str
    balance: float
    credit: float
    profit: float
    equity: float
    margin: float
    margin_free: float
    margin_level: float
    leverage: int
    margin_mode: MarginMode
    demo: bool
    trade_allowed: bool
    programs_allowed: bool = True


@dataclass(frozen=True, slots=True)
class Book:
    """Everything open at one moment: positions and resting orders, read together."""

    at: datetime
    account: AccountState
    positions: tuple[Position, ...]
    orders: tuple[PendingOrder, ...]

    @property
    def unrealized_pnl(self) -> float:
        """Floating profit and swap of all positions."""
        return sum(p.unrealized_pnl for p in self.positions)

    @property
    def total_open_volume(self) -> float:
        """Sum of the lots of all positions."""
        return round(sum(p.volume for p in self.positions), 8)


@dataclass(frozen=True, slots=True)
class Candle:
    """A closed bar of bid prices; `at` is its opening time."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    ticks: int
    spread_points: int


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """Ask for a market order that opens a position. `sl`/`tp` 0.0 mean none.

    On a netting account it would reduce or turn round an opposite position, and is refused unless `may_reduce`.
    """

    symbol: str
    side: Side
    volume: float
    magic: int
    comment: str
    sl: float = 0.0
    tp: float = 0.0
    deviation_points: int = 20
    may_reduce: bool = False


@dataclass(frozen=True, slots=True)
class ClosePosition:
    """Ask for a market order that closes `volume` of one position. `side` is the position's own side."""

    symbol: str
    side: Side
    volume: float
    ticket: int
    magic: int
    comment: str
    deviation_points: int = 20


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Ask for a resting limit or stop order."""

    symbol: str
    side: Side
    kind: OrderKind
    volume: float
    price: float
    magic: int
    comment: str
    sl: float = 0.0
    tp: float = 0.0


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Ask to remove a resting order."""

    symbol: str
    ticket: int
    magic: int


@dataclass(frozen=True, slots=True)
class ChangeStops:
    """Ask to set both stops of a position; 0.0 removes one."""

    symbol: str
    ticket: int
    sl: float
    tp: float
    magic: int


Request = OpenPosition | ClosePosition | PlaceOrder | CancelOrder | ChangeStops
