"""What a simulated account and its symbols are like, and the making of its state file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.state import State
from core.clock import Clock

HEDGING, NETTING = 2, 0


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account at a simulated broker. Stop-out and margin call are percent of margin level."""

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


@dataclass(frozen=True, slots=True)
class SymbolSetup:
    """A symbol as the simulated broker trades it: swaps in points per lot and night, commission per lot and deal."""

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

    @property
    def point(self) -> float:
        return float(round(10.0**-self.digits, self.digits))


def demo_symbols() -> list[SymbolSetup]:
    """Return the symbols of the demo account."""
    return [SymbolSetup("EURUSD")]


def create_account(
    state_file: Path, spec: AccountSpec, symbols: Sequence[SymbolSetup], feed: FeedSpec, *, clock: Clock
) -> bool:
    """Write a new account's state file with its first deposit; returns False, changing nothing, when there is one."""
    if state_file.exists():
        return False
    for symbol in symbols:
        if feed.kind != "script":
            Feed(feed, symbol.name, symbol.point).latest(clock.now().timestamp())
    state_file.parent.mkdir(parents=True, exist_ok=True)
    state = State(state_file, create=True)
    state.begin(
        meta={
            "account": asdict(spec),
            "symbols": [asdict(s) for s in symbols],
            "feed": feed.to_json(),
        },
        at=clock.now().timestamp(),
    )
    state.close()
    return True


def spec_from(plain: dict[str, Any]) -> AccountSpec:
    """Read an account from its state file's values."""
    return AccountSpec(**{f.name: plain[f.name] for f in fields(AccountSpec)})


def symbols_from(plain: Sequence[dict[str, Any]]) -> dict[str, SymbolSetup]:
    """Read the symbols from a state file's values."""
    return {row["name"]: SymbolSetup(**row) for row in plain}
