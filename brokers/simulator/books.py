"""Arithmetic of the simulated account: profit, margin, equity, in the deposit currency (brokers reference §5.4)."""

from collections.abc import Callable, Iterable
from typing import Any

from brokers.simulator.account import AccountSpec, SymbolSetup

Price = Callable[[str], tuple[float, float] | None]
BUY, SELL = 0, 1


def sign(kind: int) -> int:
    """+1 for a buy, -1 for a sell."""
    return 1 if kind == BUY else -1


def rate(currency: str, account: AccountSpec, symbols: Iterable[SymbolSetup], price: Price) -> float:
    """Return account currency per unit of `currency`. Raises ValueError without a symbol to convert with."""
    if currency == account.currency:
        return 1.0
    for symbol in symbols:
        quote = price(symbol.name)
        if quote is None:
            continue
        if (symbol.currency_base, symbol.currency_profit) == (currency, account.currency):
            return quote[0]
        if (symbol.currency_base, symbol.currency_profit) == (account.currency, currency):
            return 1.0 / quote[1]
    raise ValueError(f"no symbol converts {currency} into {account.currency}")


class Books:
    """The account's figures at given prices."""

    def __init__(self, account: AccountSpec, symbols: dict[str, SymbolSetup], price: Price) -> None:
        self.account = account
        self.symbols = symbols
        self.price = price

    def profit_rate(self, symbol: SymbolSetup) -> float:
        """Account currency per unit of the symbol's profit currency."""
        return rate(symbol.currency_profit, self.account, self.symbols.values(), self.price)

    def profit(self, symbol: SymbolSetup, kind: int, volume: float, opened: float, closed: float) -> float:
        """Return the profit of a move, to the cent: (close - open) × contract size × lots, converted."""
        gross = (closed - opened) * sign(kind) * symbol.contract_size * volume
        return round(gross * self.profit_rate(symbol) * 100) / 100 + 0.0

    def margin_for(self, symbol: SymbolSetup, volume: float, price: float) -> float:
        """Return the margin of a volume: lots × contract size / leverage, from base into account currency."""
        return float(symbol.contract_size * volume / self.account.leverage * self.margin_rates(symbol, price))

    def margin_rates(self, symbol: SymbolSetup, price: Any) -> Any:
        """Return account currency per unit of the symbol's base currency, for positions opened at `price`."""
        if symbol.currency_base == self.account.currency:
            return 1.0
        if symbol.currency_profit == self.account.currency:
            return price
        return rate(symbol.currency_base, self.account, self.symbols.values(), self.price)
