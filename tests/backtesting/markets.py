"""Random markets and plans for backtests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from backtesting.domain import Plan, Result
from backtesting.history import History
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.scan import Ticks
from risk.domain.settings import GuardSettings

START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
EURUSD = SymbolSetup("EURUSD")
OPEN = GuardSettings()
GRID: dict[str, Any] = {"lot_size": 0.1, "distance": 6.0, "target_profit": 8.0, "max_cycles": 3, "entry_cooldown": 30.0}


def walk(seed: int, count: int, *, pips: float = 1.5, seconds: float = 20.0) -> Ticks:
    """Ticks of a random walk with spreads of half a pip to two, at irregular times; some share their time."""
    noise = np.random.default_rng(seed)
    at = START.timestamp() + np.cumsum(np.round(noise.exponential(seconds, count), 1))
    bid = 1.1 + np.cumsum(noise.normal(0, pips * 1e-4, count))
    return Ticks.of(at, bid, bid + noise.integers(5, 20, count) * 1e-5, 5)


def history(seed: int, count: int = 400, **market: float) -> History:
    return History.of({"EURUSD": walk(seed, count, **market)})


def plan(
    strategy: str = "cycle-trader", *, balance: float = 10_000.0, limits: GuardSettings = OPEN, **values: Any
) -> Plan:
    return Plan(strategy, values, AccountSpec(1, "pw", "Sim", balance=balance), (EURUSD,), limits=limits)


def traded(result: Result) -> list[Mapping[str, Any]]:
    """What a replay did, cycle by cycle."""
    return [
        {
            "number": c.number, "side": c.side, "opened": c.opened_at, "closed": c.closed_at, "reason": c.reason,
            "net": c.net, "best": c.best, "worst": c.worst,
            "legs": [
                (g.level, g.side, g.volume, g.opened_at, g.price_open, g.closed_at, g.price_close, g.net)
                for g in c.legs
            ],
        }
        for c in result.cycles
    ]  # fmt: skip
