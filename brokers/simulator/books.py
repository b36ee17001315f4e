"""Arithmetic of the simulated account: profit and margin in the deposit currency (brokers reference §5.4)."""

from collections.abc import Callable, Iterable
from typing import Any

from brokers import conversion
from brokers.conversion import Pair
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.formulas import hedged_share, is_forex, margin_currency, margin_of_lot, value_per_price

Price = Callable[[str], tuple[float, float] | None]
BUY, SELL = 0, 1


def sign(kind: int) -> int:
    """+1 for a buy, -1 for a sell."""
    return 1 if kind == BUY else -1


def rate(currency: str, account: AccountSpec, symbols: Iterable[SymbolSetup], price: Price) -> float:
    """Return account currency per unit of `currency`, over as few symbols as it takes. Raises ValueError without any.

    A unit is sold at the bid, or bought back at the ask: the worse side.
    """
    if currency == account.currency:
        return 1.0
    quoted = [(s, price(s.name)) for s in symbols if is_forex(s)]
    pairs = [Pair(s.currency_base, s.currency_profit, *quote) for s, quote in quoted if quote is not None]
    found = conversion.rate(currency, account.currency, pairs)
    if found is None:
        raise ValueError(f"no symbol converts {currency} into {account.currency}")
    return found


class Books:
    """The account's figures at given prices."""

    def __init__(self, account: AccountSpec, symbols: dict[str, SymbolSetup], price: Price) -> None:
        self.account = account
        self.symbols = symbols
        self.price = price

    def rate(self, currency: str) -> float:
        """Return account currency per unit of a currency. Raises ValueError without a symbol to convert with."""
        return rate(currency, self.account, self.symbols.values(), self.price)

    def profit_rate(self, symbol: SymbolSetup) -> float:
        """Account currency per unit of the symbol's profit currency."""
        return self.rate(symbol.currency_profit)

    def can_convert(self, symbol: SymbolSetup) -> bool:
        """Whether there are prices to convert the symbol's profit and margin with."""
        try:
            self.profit_rate(symbol)
            self.margin_for(symbol, BUY, 1.0, 1.0)
        except ValueError:
            return False
        return True

    def converts_itself(self, symbol: SymbolSetup) -> bool:
        """Whether the symbol's own closing price converts its profit, as USDJPY's does on an account in USD."""
        return (
            is_forex(symbol)
            and symbol.currency_base == self.account.currency
            and symbol.currency_profit != self.account.currency
        )

    def profit(self, symbol: SymbolSetup, kind: int, volume: float, opened: float, closed: float) -> float:
        """Return the profit of a move, to the cent: the move × what a lot gains by it × lots, converted."""
        gross = (closed - opened) * sign(kind) * value_per_price(symbol) * volume
        share = 1.0 / closed if self.converts_itself(symbol) else self.profit_rate(symbol)
        return round(gross * share * 100) / 100 + 0.0

    def margin_lots(self, symbol: SymbolSetup, price: Any, kind: Any, *, is_new: bool) -> Any:
        """Return the margin of one lot in account currency, of positions of these prices and kinds (arrays or not)."""
        rate_by_side = symbol.margin_rate_long + (symbol.margin_rate_short - symbol.margin_rate_long) * kind
        each = margin_of_lot(symbol, price, self.account.leverage, is_new=is_new) * rate_by_side
        currency = margin_currency(symbol)
        if currency == self.account.currency:
            return each
        if is_forex(symbol) and symbol.currency_profit == self.account.currency:
            return each * price
        return each * self.rate(currency)

    def margin_for(self, symbol: SymbolSetup, kind: int, volume: float, price: float) -> float:
        """Return the margin of a new trade, as if nothing else were open."""
        return float(self.margin_lots(symbol, price, kind, is_new=True) * volume)

    def margin_together(self, symbol: SymbolSetup, buys: tuple[float, float], sells: tuple[float, float]) -> float:
        """Return the margin of one symbol's positions, each side given as (lots, margin of these lots alone)."""
        (buy_lots, buy_margin), (sell_lots, sell_margin) = buys, sells
        if symbol.margin_hedged_use_leg:
            return max(buy_margin, sell_margin)
        covered = min(buy_lots, sell_lots)
        larger = buys if buy_lots >= sell_lots else sells
        uncovered = larger[1] * (larger[0] - covered) / larger[0] if larger[0] else 0.0
        both = buy_lots + sell_lots
        hedged = covered * (buy_margin + sell_margin) / both * hedged_share(symbol) if both else 0.0
        return uncovered + hedged
