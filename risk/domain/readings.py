"""What the guards look at, and what they find: frozen values, the same live, on paper and in a replay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from brokers.domain import Candle, Quote, Side, SymbolSpec
from risk.domain.calendar import NewsItem


class Tier(IntEnum):
    """What a guard asks for: nothing, tell it, no more exposure, or close what it is about."""

    CLEAR = 0
    WARN = 1
    REDUCE = 2
    CLOSE = 3


class Level(StrEnum):
    """What a finding is about, from the smallest to the largest."""

    POSITION = "position"
    CYCLE = "cycle"
    BOT = "bot"
    SYMBOL = "symbol"
    ACCOUNT = "account"
    PORTFOLIO = "portfolio"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard says of one thing. `subject` is its key or symbol; `countdown`: a person may veto the closing."""

    guard: str
    level: Level
    subject: str
    tier: Tier
    figure: float
    limit: float
    text: str
    bot_id: int | None = None
    countdown: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """An open position with what the books know of it; `profit` includes swap, in account currency."""

    identifier: int
    symbol: str
    side: Side
    volume: float
    price_open: float
    profit: float
    bot_id: int | None = None
    cycle_id: int | None = None
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class Worth:
    """The account at one moment, in account currency. `base` is equity without credit."""

    equity: float
    balance: float
    credit: float
    margin: float
    margin_level: float
    complete: bool = True

    @property
    def base(self) -> float:
        return self.equity - self.credit


@dataclass(frozen=True, slots=True)
class MarketSeen:
    """A symbol's market: the last quote and when it came, the median spread of the last 300, the last two candles."""

    quote: Quote
    spec: SymbolSpec
    spread_median: float | None = None
    candles: tuple[Candle, ...] = ()
    best_lots: float | None = None
    in_session: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything the guards judge in one pass. `day_base` is what the account had at the broker's midnight, payments
    since then included; `realized` the net of closed legs by cycle and by bot since the day began; `portfolio_silent`
    the accounts of the portfolio that hold positions while no engine looks at them."""

    now: datetime
    worth: Worth
    peak: float | None
    day_base: float | None
    broker_minute: int
    positions: tuple[Held, ...] = ()
    markets: Mapping[str, MarketSeen] = field(default_factory=dict)
    cycle_realized: Mapping[int, float] = field(default_factory=dict)
    bot_realized: Mapping[int, float] = field(default_factory=dict)
    cycle_bots: Mapping[int, int] = field(default_factory=dict)
    portfolio_drawdown: float | None = None
    portfolio_silent: tuple[str, ...] = ()
    requests: tuple[tuple[datetime, bool], ...] = ()
    entries: tuple[datetime, ...] = ()
    news: tuple[NewsItem, ...] = ()
    ledger_gap_seconds: float = 0.0
