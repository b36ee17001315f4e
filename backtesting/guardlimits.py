"""Between which values of the equity, and of what positions and cycles are worth, no guard changes its mind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backtesting.domain import BOT
from brokers.simulator.books import BUY
from brokers.simulator.exchange import Exchange
from brokers.simulator.formulas import value_per_price
from brokers.simulator.scan import NEVER
from risk.domain.readings import Tier
from risk.domain.settings import GuardSettings

# Guard, level and subject of a finding
Key = tuple[str, str, str]
ACCOUNT: Mapping[str, Key] = {
    "drawdown": ("drawdown", "account", ""),
    "portfolio": ("portfolio", "portfolio", ""),
    "daily": ("daily_loss", "account", ""),
    "margin": ("margin", "account", ""),
}
# Conversion rates move by no more than this between two looks (`Exchange` sees to it), and so does what they weigh
RATE_SHARE = 0.002
CENTS = 0.02


@dataclass(frozen=True, slots=True)
class Judged:
    """What the guards found when they looked last: a tier of each finding, clear of all others."""

    settings: GuardSettings
    tiers: Mapping[Key, Tier] = field(default_factory=dict)

    def equity(
        self, *, peak: float, day_base: float, margin: float, balance: float, bot_start: float
    ) -> tuple[float, float, float]:
        """Return the fall from the peak as a share, the least and the most equity within which no tier changes.

        `bot_start` is the equity at which the bot's day would come to nothing.
        """
        fall, least, most = NEVER, -NEVER, NEVER
        for guard in ("drawdown", "portfolio"):
            worse, better = self._limits(guard, ACCOUNT[guard])
            fall = min(fall, worse / 100) if worse is not None else fall
            most = min(most, peak * (1 - better / 100)) if better is not None else most
        worse, better = self._limits("daily", ACCOUNT["daily"])
        least = max(least, day_base * (1 - worse / 100)) if worse is not None else least
        most = min(most, day_base * (1 - better / 100)) if better is not None else most
        if margin > 0:
            worse, better = self._limits("margin", ACCOUNT["margin"])
            slack = margin * RATE_SHARE
            least = max(least, margin * worse / 100 + slack) if worse is not None else least
            most = min(most, margin * better / 100 - slack) if better is not None else most
        worse, better = self._limits("bot", ("loss", "bot", str(BOT)))
        least = max(least, bot_start - worse / 100 * balance) if worse is not None else least
        most = min(most, bot_start - better / 100 * balance) if better is not None else most
        return fall, least, most

    def part(self, level: str, subject: str, plane: list[float], balance: float) -> list[float]:
        """Return the track of a position or cycle, as `scan.Lookout` wants it: it fires where its tier changes."""
        worse, better = self._limits(level, ("loss", level, subject))
        low = -NEVER if worse is None else -worse / 100 * balance * (1 - RATE_SHARE) + CENTS
        high = NEVER if better is None else -better / 100 * balance * (1 + RATE_SHARE) - CENTS
        return [*plane, high, low, NEVER, 0.0, -NEVER, NEVER]

    def _limits(self, guard: str, key: Key) -> tuple[float | None, float | None]:
        """Return the limit of the next worse tier and that of the one judged last; None where there is none."""
        tier, worse, better = self.tiers.get(key, Tier.CLEAR), None, None
        for found, (_, limit) in zip((Tier.WARN, Tier.REDUCE, Tier.CLOSE), self.settings.tiers(guard), strict=True):
            if limit is not None and found > tier and worse is None:
                worse = limit
            if limit is not None and found == tier:
                better = limit
        return worse, better


def plane_of(exchange: Exchange, identifier: int) -> list[float]:
    """Return what a position is worth as bids, asks and a constant; at this moment's conversion rate."""
    books, p = exchange.books, exchange.state.positions[identifier]
    setup = exchange.symbols[p.symbol]
    quote = books.price(p.symbol) or (p.price_open, p.price_open)
    rate = 1.0 / quote[0 if p.type == BUY else 1] if books.converts_itself(setup) else books.profit_rate(setup)
    units = value_per_price(setup) * p.volume * rate * (1 if p.type == BUY else -1)
    return [units if p.type == BUY else 0.0, 0.0 if p.type == BUY else units, p.swap - units * p.price_open]
