"""What a backtest is asked for, and what comes of it. Times are UTC epoch seconds, money is in account currency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.account import AccountSpec, SymbolSetup
from risk.domain.settings import GuardSettings

Floats = NDArray[np.float64]
BUCKETS = 500


class BacktestError(ValueError):
    """A backtest can't be run; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be replayed: a strategy with its values, on an account with its symbols and its guards' limits."""

    strategy: str
    values: Mapping[str, Any]
    account: AccountSpec
    setups: tuple[SymbolSetup, ...]
    interval_seconds: float = 1.0
    limits: GuardSettings = field(default_factory=GuardSettings)


@dataclass(slots=True)
class LegRecord:
    """A leg of a cycle from its order to its end. `net` is profit + swap + commission of all its deals.

    `state` is pending, open, closed, cancelled. `ticket` is its order's, and the position's identifier.
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
class Result:
    """Everything that a replay leaves behind. `exposed_seconds` is how long anything was open.

    `margin_level` is the lowest in percent, None when no margin was ever used. `drawdown` and its share of the peak are
    those of the equity at every tick. `asked` counts how often the strategy was asked, `looked` at how many ticks.
    """

    begin: float
    end: float
    ticks: int
    balance_begin: float
    balance: float
    equity: float
    cycles: tuple[CycleRecord, ...]
    curve: Curve
    drawdown: float
    drawdown_share: float
    margin_level: float | None
    exposed_seconds: float
    asked: int
    looked: int
    stop_outs: int
    refused: Mapping[str, int]

    @property
    def legs(self) -> tuple[LegRecord, ...]:
        """All legs that ever were a position, in the order in which they were opened."""
        return tuple(
            sorted((leg for cycle in self.cycles for leg in cycle.legs if leg.opened_at), key=lambda leg: leg.order_id)
        )
