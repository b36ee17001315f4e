"""What a simulated account and its symbols are like, and the making of its state file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from brokers.simulator import sessions
from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.state import State
from core.clock import Clock

NETTING, EXCHANGE, HEDGING = 0, 1, 2
PERCENT, MONEY = 0, 1
CALC_MODES = {0, 1, 2, 3, 4, 5, 32, 33, 37, 38, 39, 64}
FOREX_MODES = {0, 5}
FUTURES_MODES = {1, 33}
BOND_MODES = {37, 39}
OPTION_MODES = {34, 36}
SWAP_MODES = range(9)


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account at a simulated broker. Stop-out and margin call are percent of margin level, or money by their mode.

    Who logs in with the `investor` password, where there is one, sees everything and trades nothing.
    `limit_orders` and `limit_positions` of 0 mean no limit. At or below the margin call nothing new may be opened.
    """

    login: int
    password: str
    server: str
    currency: str = "USD"
    balance: float = 10_000.0
    leverage: int = 100
    margin_mode: int = HEDGING
    stop_out_level: float = 50.0
    margin_call_level: float = 100.0
    name: str = "Demo"
    company: str = "Simulated Broker"
    server_clock: str = "ny+7"
    demo: bool = True
    stop_out_mode: int = PERCENT
    limit_orders: int = 200
    limit_positions: int = 0
    fifo_close: bool = False
    hedge_prohibited: bool = False
    investor: str = ""

    def __post_init__(self) -> None:
        if self.margin_mode not in (NETTING, EXCHANGE, HEDGING):
            raise ValueError(f"margin_mode: {self.margin_mode} is none; 0 is netting, 1 exchange, 2 hedging")

    @property
    def is_hedging(self) -> bool:
        """Whether every order opens a position of its own; otherwise a symbol has one position at most."""
        return self.margin_mode == HEDGING


@dataclass(frozen=True, slots=True)
class SymbolSetup:
    """A symbol as the simulated broker trades it; numbers for modes and masks are the module's.

    `commission_per_lot` is taken on every deal. `sessions` are trading hours (brokers/simulator/sessions.py).
    `tick_size` 0 means a point, `tick_value` 0 what follows from the contract size, both in the profit currency.
    `margin_hedged` None means that a hedged lot counts as a lot. `depth_lots` is the typical liquidity of one price
    step: 0 means without end at the best price, and no market book. `slippage_points` is how much worse than the quote
    a market order may be filled at most. `feed_name` is under what name prices come after the broker renamed a symbol.
    """

    name: str
    digits: int = 5
    contract_size: float = 100_000.0
    currency_base: str = "EUR"
    currency_profit: str = "USD"
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    stops_level: int = 0
    freeze_level: int = 0
    filling_mask: int = 3
    execution: int = 2
    swap_long: float = -6.0
    swap_short: float = 2.0
    triple_swap_day: int = 3
    commission_per_lot: float = 3.5
    volume_limit: float = 0.0
    order_mask: int = 127
    expiration_mask: int = 15
    gtc_mode: int = 0
    trade_mode: int = 4
    calc_mode: int = 0
    tick_size: float = 0.0
    tick_value: float = 0.0
    face_value: float = 0.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    margin_rate_long: float = 1.0
    margin_rate_short: float = 1.0
    margin_hedged: float | None = None
    margin_hedged_use_leg: bool = True
    swap_mode: int = 1
    swap_weekends: bool = False
    sessions: str = ""
    depth_lots: float = 0.0
    depth_steps: int = 10
    slippage_points: int = 0
    requote_percent: float = 0.0
    feed_name: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        sessions.edges(self.sessions)
        if self.calc_mode not in CALC_MODES:
            known = f"{sorted(CALC_MODES)} are"
            if self.calc_mode in OPTION_MODES:
                known += "; MetaQuotes publishes no formula for options, and a guessed margin is worse than none"
            raise ValueError(f"calc_mode of {self.name}: {self.calc_mode} is not modelled; {known}")
        if self.swap_mode not in SWAP_MODES:
            raise ValueError(f"swap_mode of {self.name}: {self.swap_mode} is none; 0 to {SWAP_MODES[-1]} are")
        if self.calc_mode in FUTURES_MODES and not self.margin_initial > 0:
            raise ValueError(f"margin_initial of {self.name}: futures need one above 0")
        if self.calc_mode in BOND_MODES and not self.face_value > 0:
            raise ValueError(f"face_value of {self.name}: bonds need one above 0")
        for name in ("contract_size", "volume_min", "volume_step"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of {self.name}: give a number above 0")

    @property
    def point(self) -> float:
        return float(round(10.0**-self.digits, self.digits))

    @property
    def tick(self) -> float:
        """The smallest step of the price."""
        return self.tick_size or self.point

    @property
    def priced_as(self) -> str:
        """The name that the feed knows the symbol by."""
        return self.feed_name or self.name


Feeds = FeedSpec | Mapping[str, FeedSpec]


def demo_symbols() -> list[SymbolSetup]:
    """Return the symbols of the demo account."""
    return [SymbolSetup("EURUSD")]


def create_account(
    state_file: Path, spec: AccountSpec, symbols: Sequence[SymbolSetup], feed: Feeds, *, clock: Clock
) -> bool:
    """Write a new account's state file with its first deposit; returns False, changing nothing, when there is one.

    `feed` is where all prices come from, or one source a symbol.
    """
    if state_file.exists():
        return False
    _check_currencies(spec.currency, symbols)
    for symbol in symbols:
        source = feed if isinstance(feed, FeedSpec) else feed[symbol.priced_as]
        if source.kind != "script":
            Feed(source, symbol.name, symbol.point).latest(clock.now().timestamp())
    state_file.parent.mkdir(parents=True, exist_ok=True)
    state = State(state_file, create=True)
    plain = feed.to_json() if isinstance(feed, FeedSpec) else {n: one.to_json() for n, one in feed.items()}
    state.begin(
        meta={"account": asdict(spec), "symbols": [asdict(s) for s in symbols], "feed": plain},
        at=clock.now().timestamp(),
    )
    state.close()
    return True


def _check_currencies(currency: str, symbols: Sequence[SymbolSetup]) -> None:
    """Make sure that every profit can be booked. Raises ValueError with the symbol that is missing."""
    pairs = [{s.currency_base, s.currency_profit} for s in symbols if s.calc_mode in FOREX_MODES]
    reached, before = {currency}, set[str]()
    while reached != before:
        before = set(reached)
        reached = reached.union(*(pair for pair in pairs if pair & reached))
    for symbol in symbols:
        if symbol.currency_profit not in reached:
            earned = symbol.currency_profit
            raise ValueError(f"symbols: {symbol.name} earns {earned}: add one like {earned}{currency} to convert it")


def spec_from(plain: Mapping[str, Any]) -> AccountSpec:
    """Read an account from its state file's values; what an older file does not say is as by default."""
    return AccountSpec(**{f.name: plain[f.name] for f in fields(AccountSpec) if f.name in plain})


def symbols_from(plain: Sequence[Mapping[str, Any]]) -> dict[str, SymbolSetup]:
    """Read the symbols from a state file's values."""
    return {row["name"]: SymbolSetup(**row) for row in plain}


def feeds_from(plain: Mapping[str, Any], symbols: Mapping[str, SymbolSetup]) -> dict[str, FeedSpec]:
    """Read where the prices of each symbol come from."""
    if "kind" in plain:
        shared = FeedSpec.from_json(plain)
        return dict.fromkeys(symbols, shared)
    return {name: FeedSpec.from_json(plain[setup.priced_as]) for name, setup in symbols.items()}
