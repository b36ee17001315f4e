"""What an account holds of each currency, and the order in which closing takes the most risk away."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from brokers.domain import Quote, SymbolSpec
from risk.domain.readings import Held, MarketSeen

CLOSES_PER_PASS = 20


def notional(lots: float, quote: Quote, spec: SymbolSpec) -> float:
    """Return what lots of a symbol are worth in account currency: price times value of a price unit."""
    return lots * (quote.bid + quote.ask) / 2 * spec.value_per_price


def currency_exposure(positions: Sequence[Held], markets: Mapping[str, MarketSeen]) -> dict[str, float]:
    """Add up, in account currency, what is long (+) and short (−) of each currency: a buy of EURUSD is +EUR and −USD.

    Positions of symbols without a quote are left out: StaleDataGuard tells of those.
    """
    found: dict[str, float] = defaultdict(float)
    for held in positions:
        market = markets.get(held.symbol)
        if market is not None:
            add_exposure(found, held.side.sign * held.volume, market.quote, market.spec)
    return dict(found)


def add_exposure(found: dict[str, float], signed_lots: float, quote: Quote, spec: SymbolSpec) -> None:
    """Add a position's two sides to an exposure by currency."""
    amount = notional(signed_lots, quote, spec)
    found[spec.currency_base] = found.get(spec.currency_base, 0.0) + amount
    found[spec.currency_profit] = found.get(spec.currency_profit, 0.0) - amount


def value_per_lot(symbols: Collection[str], markets: Mapping[str, MarketSeen]) -> dict[str, float]:
    """Return what a lot of each symbol is worth in account currency; one without a quote counts like the largest."""
    known = {name: notional(1.0, markets[name].quote, markets[name].spec) for name in symbols if name in markets}
    largest = max(known.values(), default=1.0)
    return {name: known.get(name, largest) for name in symbols}


def largest_risk_first(
    positions: Sequence[Held], value_per_lot: Mapping[str, float], limit: int | None = None
) -> list[Held]:
    """Order positions for closing: each time the one whose end takes most of the net exposure away.

    The legs of a hedge go in turns, so that closing never leaves the account more exposed than it has to; among equals
    the larger loss goes first. `value_per_lot` weighs symbols against each other, 1.0 where it is missing.
    """
    net: dict[str, float] = defaultdict(float)
    for held in positions:
        net[held.symbol] += held.side.sign * held.volume
    left, chosen = list(positions), list[Held]()
    while left and (limit is None or len(chosen) < limit):
        best = max(left, key=lambda h: (_relief(h, net) * value_per_lot.get(h.symbol, 1.0), -h.profit))
        net[best.symbol] -= best.side.sign * best.volume
        left.remove(best)
        chosen.append(best)
    return chosen


def _relief(held: Held, net: Mapping[str, float]) -> float:
    before = net[held.symbol]
    return round(abs(before) - abs(before - held.side.sign * held.volume), 8)
