"""What trading has brought: figures of closed trades and of the money that came and went. No Django, no I/O.

Definitions follow the account statement of MetaTrader 5: a trade's result holds its swaps, commissions and fees; profit
factor = gross profit ÷ gross loss; expectancy = mean result of a trade; drawdown is measured on the balance after each
trade. The gain is time-weighted: deposits and withdrawals cut time into parts, the part's return is its result ÷ the
balance it began with, and the returns are multiplied, so that money paid in is never taken for money earned.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TypeVar

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, slots=True)
class Trade:
    """A position that was closed, or what closing a part of it brought; `result` in the account's currency."""

    account_id: int
    position_id: int
    symbol: str
    magic: int
    volume_lots: float
    opened_at: datetime
    closed_at: datetime
    result: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Money that came (+) or went (−) and was not traded for: deposits, withdrawals, credits, corrections."""

    account_id: int
    at: datetime
    amount: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of trades brought. Money is in the account's currency; None where there is nothing to divide by."""

    trades: int
    wins: int
    losses: int
    net: float
    gross_profit: float
    gross_loss: float
    best: float
    worst: float
    volume_lots: float
    longest_win_streak: int
    longest_loss_streak: int
    mean_hours: float | None

    @property
    def win_rate(self) -> float | None:
        """Return the share of trades that won, 0…1."""
        return self.wins / self.trades if self.trades else None

    @property
    def profit_factor(self) -> float | None:
        """Return gross profit ÷ gross loss; None without a loss."""
        return self.gross_profit / self.gross_loss if self.gross_loss else None

    @property
    def expectancy(self) -> float | None:
        """Return the mean result of a trade."""
        return self.net / self.trades if self.trades else None

    @property
    def mean_win(self) -> float | None:
        """Return the mean result of the trades that won."""
        return self.gross_profit / self.wins if self.wins else None

    @property
    def mean_loss(self) -> float | None:
        """Return the mean result of the trades that lost, as a negative number."""
        return -self.gross_loss / self.losses if self.losses else None


@dataclass(frozen=True, slots=True)
class Curve:
    """The balance of an account after each change: moments, balances, the worst fall and the time-weighted gain."""

    points: tuple[tuple[datetime, float], ...]
    drawdown: float
    drawdown_share: float | None
    gain: float | None
    by_month: Mapping[tuple[int, int], float]


def figures(trades: Iterable[Trade]) -> Figures:
    """Return the figures of trades, in the order in which they were closed."""
    ordered = sorted(trades, key=lambda trade: (trade.closed_at, trade.position_id))
    results = [trade.result for trade in ordered]
    won, lost = [r for r in results if r > 0], [r for r in results if r < 0]
    hours = [(trade.closed_at - trade.opened_at).total_seconds() / 3600 for trade in ordered]
    return Figures(
        trades=len(results),
        wins=len(won),
        losses=len(lost),
        net=sum(results),
        gross_profit=sum(won),
        gross_loss=-sum(lost),
        best=max(results, default=0.0),
        worst=min(results, default=0.0),
        volume_lots=sum(trade.volume_lots for trade in ordered),
        longest_win_streak=_longest(results, lambda r: r > 0),
        longest_loss_streak=_longest(results, lambda r: r < 0),
        mean_hours=sum(hours) / len(hours) if hours else None,
    )


def _longest(results: Sequence[float], holds: Callable[[float], bool]) -> int:
    return max((len(list(run)) for is_held, run in groupby(results, key=holds) if is_held), default=0)


def grouped(trades: Iterable[Trade], key: Callable[[Trade], Key]) -> dict[Key, Figures]:
    """Return the figures of each group of trades, in the order of the groups' keys."""
    groups: dict[Key, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return {name: figures(groups[name]) for name in sorted(groups)}


def curve(trades: Iterable[Trade], flows: Iterable[Flow]) -> Curve:
    """Return how the balance of one account moved. While the balance is 0, nothing has a return."""
    changes = sorted(
        [(flow.at, 0, flow.amount, 0.0) for flow in flows]
        + [(trade.closed_at, 1, 0.0, trade.result) for trade in trades]
    )
    points: list[tuple[datetime, float]] = []
    months: dict[tuple[int, int], float] = {}
    balance = peak = worst = 0.0
    worst_share: float | None = None
    growth = 1.0
    has_base = False
    for at, _, paid, earned in changes:
        before = balance
        balance += paid + earned
        if paid:
            # A payment moves the mark that a fall is measured from: it is no gain and no loss
            peak = max(0.0, peak + paid)
        elif before > 0:
            has_base = True
            growth *= 1 + earned / before
            month = (at.year, at.month)
            months[month] = (1 + months.get(month, 0.0)) * (1 + earned / before) - 1
        peak = max(peak, balance)
        if peak - balance > worst:
            worst = peak - balance
        if peak > 0 and (worst_share is None or (peak - balance) / peak > worst_share):
            worst_share = (peak - balance) / peak
        points.append((at, balance))
    return Curve(tuple(points), worst, worst_share, growth - 1 if has_base else None, months)
