"""What a strategy sees, what it may ask for, and what must happen before it wants to be asked again (design.md §6)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from brokers.domain import OrderKind, Quote, Side, SymbolSpec


@dataclass(frozen=True, slots=True)
class Leg:
    """One open position, or resting order, of a cycle. `net` is profit + swap + commission now, in account currency."""

    order_id: int
    ticket: int
    level: int
    side: Side
    volume: float
    price_open: float
    sl: float
    tp: float
    swap: float
    commission: float
    opened_at: datetime
    pending: bool = False

    def net(self, quote: Quote, spec: SymbolSpec) -> float:
        """Net profit if closed at `quote`: buys close at bid, sells at ask."""
        if self.pending:
            return 0.0
        price = quote.bid if self.side is Side.BUY else quote.ask
        return (
            (price - self.price_open) * self.side.sign * self.volume * spec.value_per_price
            + self.swap
            + self.commission
        )


@dataclass(frozen=True, slots=True)
class InFlight:
    """An intent whose end is not known yet; it counts as exposure. `order_id` names the leg that a close is for."""

    kind: str
    cycle_id: int | None
    level: int | None
    side: Side
    volume: float
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class CycleView:
    """An open cycle. `realized` is the net of closed legs, `best_net` the highest net since trailing was armed.

    `last_level` is the highest level that any leg of the cycle ever had, closed ones included; -1 while there is none.
    """

    id: int
    symbol: str
    side: Side
    opened_at: datetime
    legs: tuple[Leg, ...]
    in_flight: tuple[InFlight, ...]
    realized: float
    best_net: float | None
    closing: bool
    memory: Mapping[str, Any]
    last_level: int = -1

    def net(self, quote: Quote, spec: SymbolSpec) -> float:
        """Net profit of the whole cycle at `quote`, closed legs included."""
        return self.realized + sum(leg.net(quote, spec) for leg in self.legs)

    @property
    def positions(self) -> tuple[Leg, ...]:
        """The legs that are open positions, oldest first."""
        return tuple(leg for leg in self.legs if not leg.pending)

    @property
    def under_way(self) -> frozenset[int]:
        """The orders that a close, a cancel or a change of stops is under way for."""
        return frozenset(f.order_id for f in self.in_flight if f.order_id is not None)

    @property
    def opening(self) -> bool:
        """Tell whether a leg of this cycle is under way."""
        return any(f.kind in ("open", "place") for f in self.in_flight)


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration set of pseudo positions that has a valid signal now and whose results pass its limits.

    Distances are price units. `profit_factor` and `trades` are over the last 50 pseudo positions.
    """

    key: str
    indication: str
    side: Side
    take_profit: float
    stop_loss: float
    trailing: bool
    profit_factor: float
    trades: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything a decision may depend on. `cycles` are the bot's open cycles on this symbol, oldest first.

    `in_flight` holds the openings that have no cycle with legs yet. `last_entry_at` is the time of the newest entry of
    either side (for cooldowns). `entries_blocked` carries the reason while entries are forbidden. `signals` are the
    indications, -1.0…1.0: sign and strength; `setups` the pseudo-position sets worth trading now, best first.
    `atr` is the average true range of 14 closed M1 candles in price units, None while there are too few.
    """

    now: datetime
    quote: Quote
    spec: SymbolSpec
    cycles: tuple[CycleView, ...]
    in_flight: tuple[InFlight, ...] = ()
    last_entry_at: datetime | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    atr: float | None = None
    entries_blocked: str | None = None
    equity: float = 0.0
    margin_free: float = 0.0
    setups: tuple[Setup, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenCycle:
    """Open a new cycle with its first leg."""

    side: Side
    volume: float
    reason: str
    tp: float = 0.0
    sl: float = 0.0
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddLeg:
    """Add a leg to a cycle, at market or as a resting order at `price`. `memory` is merged into the cycle's."""

    cycle_id: int
    level: int
    side: Side
    volume: float
    reason: str
    kind: OrderKind = OrderKind.MARKET
    price: float = 0.0
    tp: float = 0.0
    sl: float = 0.0
    memory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CloseLeg:
    """Close `volume` of one leg, or cancel it when it is still pending."""

    cycle_id: int
    order_id: int
    volume: float
    reason: str


@dataclass(frozen=True, slots=True)
class CloseCycle:
    """Close every leg, largest loss first, and cancel what rests; the cycle takes no more legs."""

    cycle_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeLeg:
    """Set both stops of an open leg at the broker; 0.0 means none."""

    cycle_id: int
    order_id: int
    sl: float
    tp: float
    reason: str


Action = OpenCycle | AddLeg | CloseLeg | CloseCycle | ChangeLeg


class PriceField(StrEnum):
    BID = "bid"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class PriceTouch:
    """Fires when bid or ask is at or beyond `level`: at or below when `falling`, else at or above."""

    field: PriceField
    level: float
    falling: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class NetReached:
    """Fires when a cycle's net is at or above `amount` (or at or below, when `falling`)."""

    cycle_id: int
    amount: float
    falling: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class NetFallsFromBest:
    """Fires when, once net was at or above `armed_at`, it falls below `lock` times its best since then."""

    cycle_id: int
    armed_at: float
    lock: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class LegsReach:
    """Fires when the weighted sum of some legs' nets is at or above `amount`: Σ weight × net, in account currency.

    `weights` are (order, weight) pairs.
    """

    cycle_id: int
    weights: tuple[tuple[int, float], ...]
    amount: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class SpreadAtMost:
    """Fires when ask - bid is at or below `spread` (price units)."""

    spread: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class TimeReached:
    """Fires at a time: the end of a cooldown, the start of a session."""

    at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class CandleClosed:
    """Fires when a candle of `seconds` closes: levels that depend on it may move."""

    seconds: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class SignalChanged:
    """Fires when the named signal changes its sign."""

    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class SetupsChanged:
    """Fires when the pseudo-position sets worth trading are others than before."""

    note: str = "setups"


@dataclass(frozen=True, slots=True)
class EveryTick:
    """Fires always: for a strategy that can't name its watches."""

    note: str = "every tick"


Watch = (
    PriceTouch
    | NetReached
    | NetFallsFromBest
    | LegsReach
    | SpreadAtMost
    | TimeReached
    | CandleClosed
    | SignalChanged
    | SetupsChanged
    | EveryTick
)
EVERY_TICK: tuple[Watch, ...] = (EveryTick(),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something that might have been done was not: a stable code, and the facts in words."""

    code: str
    detail: str
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    actions: tuple[Action, ...] = ()
    watches: tuple[Watch, ...] = ()
    refusals: tuple[Refusal, ...] = ()


Decide = Callable[[View, Any], Decision]
