"""The figures of a report, each with its definition. Money is in account currency, shares are 0…1."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from backtesting.domain import Curve, CycleRecord, Result

TRADING_DAYS = 252
DAY = 86_400.0

DEFINITIONS = {
    "net": "Equity at the end minus the balance at the start.",
    "floating": "What is still open at the end came to; it is part of the net, and of no closed cycle.",
    "profit_factor": "Sum of the winning cycles' nets over the sum of the losing ones', without sign.",
    "expectancy": "Mean net of a closed cycle.",
    "sharpe": f"Mean over standard deviation of daily equity returns, times the root of {TRADING_DAYS}; no risk-free "
    "rate. From three days on.",
    "sortino": f"Mean daily return over the root mean square of the negative ones, times the root of {TRADING_DAYS}.",
    "drawdown": "Largest fall of the equity from an earlier high, at every tick.",
    "exposure": "Share of the time in which anything was open.",
    "margin_level": "Lowest equity over margin in use, at every tick.",
    "mae": "Largest loss that a cycle showed while it was open, closed since or not.",
    "mfe": "Largest profit that a cycle showed while it was open, closed since or not.",
    "worst_cycle": "Net of the worst closed cycle.",
    "worst_day": "Smallest change of the equity from one day's end (UTC) to the next, as a share.",
    "lowest_equity": "Lowest equity, at every tick.",
    "lots_most": "Largest volume that was open at once, all positions together.",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """A report's figures; None where there is too little to say."""

    net: float
    net_share: float
    floating: float
    cycles: int
    closed: int
    legs: int
    won: int
    win_share: float | None
    profit_factor: float | None
    expectancy: float | None
    drawdown: float
    drawdown_share: float
    sharpe: float | None
    sortino: float | None
    exposure: float
    margin_level: float | None
    swap: float
    commission: float
    worst_cycle: float | None
    worst_day: float | None
    lowest_equity: float
    lots_most: float
    mae: float | None
    mfe: float | None
    stop_outs: int


def figures_of(result: Result) -> Figures:
    """Work a result out."""
    closed = [c for c in result.cycles if c.status == "closed" and any(leg.opened_at for leg in c.legs)]
    nets = [c.net for c in closed]
    gained, lost = sum(n for n in nets if n > 0), -sum(n for n in nets if n < 0)
    returns = daily_returns(result.curve, result.balance_begin)
    span = result.end - result.begin
    return Figures(
        net=round(result.equity - result.balance_begin, 2),
        net_share=result.equity / result.balance_begin - 1,
        floating=round(result.equity - result.balance, 2),
        cycles=len(result.cycles),
        closed=len(closed),
        legs=len(result.legs),
        won=sum(n > 0 for n in nets),
        win_share=sum(n > 0 for n in nets) / len(nets) if nets else None,
        profit_factor=gained / lost if lost > 0 else None,
        expectancy=sum(nets) / len(nets) if nets else None,
        drawdown=result.drawdown,
        drawdown_share=result.drawdown_share,
        sharpe=sharpe(returns),
        sortino=sortino(returns),
        exposure=result.exposed_seconds / span if span > 0 else 0.0,
        margin_level=result.margin_level,
        swap=round(sum(leg.swap for leg in result.legs), 2),
        commission=round(sum(leg.commission for leg in result.legs), 2),
        worst_cycle=min(nets, default=None),
        worst_day=min(returns, default=None),
        lowest_equity=float(result.curve.low.min()) if len(result.curve.low) else result.balance_begin,
        lots_most=result.lots_most,
        # Also of cycles that are open at the end: what is not closed is what a grid hides
        mae=min((c.worst for c in result.cycles if math.isfinite(c.worst)), default=None),
        mfe=max((c.best for c in result.cycles if math.isfinite(c.best)), default=None),
        stop_outs=result.stop_outs,
    )


def daily_returns(curve: Curve, begin: float) -> list[float]:
    """Return the equity's change from day to day (UTC), as shares of the day before."""
    last: dict[float, float] = {}
    for at, equity in zip(curve.at.tolist(), curve.last.tolist(), strict=True):
        last[at // DAY] = equity
    values = [begin, *last.values()]
    return [after / before - 1 for before, after in pairwise(values) if before > 0]


def sharpe(returns: Sequence[float]) -> float | None:
    """Return the yearly Sharpe ratio (Sharpe 1994) of daily returns without a risk-free rate; None of fewer than 3."""
    if len(returns) < 3:
        return None
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / deviation * math.sqrt(TRADING_DAYS) if deviation > 0 else None


def sortino(returns: Sequence[float]) -> float | None:
    """Return the yearly Sortino ratio (Sortino and Price 1994) with a target of 0; None without a negative return."""
    if len(returns) < 3:
        return None
    downside = math.sqrt(sum(min(0.0, r) ** 2 for r in returns) / len(returns))
    return float(np.mean(returns)) / downside * math.sqrt(TRADING_DAYS) if downside > 0 else None


def monthly(cycles: Sequence[CycleRecord]) -> dict[str, float]:
    """Return the net of closed legs by month (UTC), "2024-01" and so on, oldest first."""
    found: dict[str, float] = defaultdict(float)
    for cycle in cycles:
        for leg in cycle.legs:
            if leg.state == "closed":
                found[f"{datetime.fromtimestamp(leg.closed_at, UTC):%Y-%m}"] += leg.net
    return {month: round(net, 2) for month, net in sorted(found.items())}
