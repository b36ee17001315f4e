"""What a backtest is asked for, and what comes of it. Times are UTC epoch seconds, money is in account currency."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.account import AccountSpec, SymbolSetup
from risk.domain.calendar import NewsItem
from risk.domain.settings import GuardSettings

Floats = NDArray[np.float64]
BUCKETS = 500
SEED_MAX = 2**31 - 1
BALANCE_MIN, BALANCE_MAX = 0.01, 1e12
LEVERAGE_MAX = 10_000
SPREAD_PIPS_MAX = 1_000.0
MODEL_SPAN_MAX = timedelta(days=370)
# The one bot of a backtest
BOT = 1


class BacktestError(ValueError):
    """A backtest can't be run; the text says what to change."""


class Cancelled(Exception):
    """Somebody asked a running backtest to end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be replayed: a strategy with its values, on an account with its symbols and its guards' limits.

    `news` is the calendar that guards know. `peak` is the clean peak that the account begins with, where it has one.
    """

    strategy: str
    values: Mapping[str, Any]
    account: AccountSpec
    setups: tuple[SymbolSetup, ...]
    interval_seconds: float = 1.0
    limits: GuardSettings = field(default_factory=GuardSettings)
    news: tuple[NewsItem, ...] = ()
    peak: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants replayed. `seed` asks for prices of the model instead of recorded ones.

    Without `begin` and `end` (aware, UTC) everything that is recorded is replayed. `spread_pips` is added to bid bars.
    """

    begin: datetime | None = None
    end: datetime | None = None
    seed: int | None = None
    balance: float = 10_000.0
    leverage: int = 100
    spread_pips: float = 1.0

    def problems(self) -> dict[str, str]:
        """Say by field what can't be replayed."""
        found: dict[str, str] = {}
        if self.begin and self.end and self.end <= self.begin:
            found["end"] = "The last day is before the first."
        elif self.seed is not None and self.begin and self.end and self.end - self.begin > MODEL_SPAN_MAX:
            found["end"] = f"Prices are made for {MODEL_SPAN_MAX.days} days at most."
        return found

    def as_json(self) -> dict[str, Any]:
        """Return it for the database."""
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in ("begin", "end")}
        return asdict(self) | times

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Asked":
        """Read what `as_json` wrote."""
        times = {n: datetime.fromisoformat(stored[n]) if stored.get(n) else None for n in ("begin", "end")}
        return cls(**{**stored, **times})


@dataclass(slots=True)
class LegRecord:
    """A leg of a cycle from its order to its end. `net` is profit + swap + commission of all its deals.

    `state` is pending, open, closed, cancelled. `ticket` is its order's, and the position's identifier.
    `price_open` of a pending leg is where its order rests.
    """

    order_id: int
    ticket: int
    level: int
    side: str
    symbol: str
    volume: float
    state: str
    placed_at: float
    opened_at: float = 0.0
    price_open: float = 0.0
    closed_at: float = 0.0
    price_close: float = 0.0
    volume_closed: float = 0.0
    profit: float = 0.0
    swap: float = 0.0
    commission: float = 0.0
    reason: str = ""

    @property
    def net(self) -> float:
        return round(self.profit + self.swap + self.commission, 2)


@dataclass(slots=True)
class CycleRecord:
    """A cycle with its legs. `best` and `worst` are the highest and lowest net while it was open (MFE and MAE)."""

    number: int
    symbol: str
    side: str
    opened_at: float
    legs: list[LegRecord] = field(default_factory=list)
    memory: Mapping[str, Any] = field(default_factory=dict)
    status: str = "open"
    closed_at: float = 0.0
    reason: str = ""
    best_net: float | None = None
    best: float = -math.inf
    worst: float = math.inf

    @property
    def net(self) -> float:
        """What its closed legs came to."""
        return round(sum(leg.net for leg in self.legs if leg.state == "closed"), 2)


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity in equal pieces of time: its low, high and last value, and the balance at the end of each."""

    at: Floats
    low: Floats
    high: Floats
    last: Floats
    balance: Floats


@dataclass(frozen=True, slots=True)
class Prices:
    """The bids of one symbol in pieces of time: when each begins, its low, high and last. Pieces without ticks lack."""

    at: Floats
    low: Floats
    high: Floats
    last: Floats


@dataclass(frozen=True, slots=True)
class GuardStep:
    """What a guard did: forbade entries (tier 2, exits only), counted down, closed (tier 3), or ended it."""

    at: float
    guard: str
    level: str
    subject: str
    phase: str
    tier: int
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a replay leaves behind. `exposed_seconds` is how long anything was open.

    `margin_level` is the lowest in percent, None when no margin was ever used. `drawdown` and its share of the peak are
    those of the equity at every tick. `lots_most` is the largest volume that was open at once. `asked` counts how often
    the strategy was asked, `looked` at how many ticks.
    """

    begin: float
    end: float
    ticks: int
    balance_begin: float
    balance: float
    equity: float
    cycles: tuple[CycleRecord, ...]
    curve: Curve
    prices: Mapping[str, Prices]
    digits: Mapping[str, int]
    lots_most: float
    drawdown: float
    drawdown_share: float
    margin_level: float | None
    exposed_seconds: float
    asked: int
    looked: int
    stop_outs: int
    refused: Mapping[str, int]
    guards: tuple[GuardStep, ...] = ()

    @property
    def legs(self) -> tuple[LegRecord, ...]:
        """All legs that ever were a position, in the order in which they were opened."""
        return tuple(
            sorted((leg for cycle in self.cycles for leg in cycle.legs if leg.opened_at), key=lambda leg: leg.order_id)
        )
