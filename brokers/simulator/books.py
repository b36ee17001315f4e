"""Arithmetic of the simulated account: profit, margin, equity, in the deposit currency (brokers reference §5.4)."""

from collections.abc import Callable, Iterable

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.state import OpenPosition

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
        return float(round(gross * self.profit_rate(symbol), 2)) + 0.0

    def floating(self, position: OpenPosition) -> float:
        """Return a position's profit if closed now: buys close at bid, sells at ask."""
        quote = self.price(position.symbol)
        if quote is None:
            return 0.0
        closed = quote[0] if position.type == BUY else quote[1]
        symbol = self.symbols[position.symbol]
        return self.profit(symbol, position.type, position.volume, position.price_open, closed)

    def margin_for(self, symbol: SymbolSetup, volume: float, price: float) -> float:
        """Return the margin of a volume: lots × contract size / leverage, from base into account currency."""
        base = symbol.contract_size * volume / self.account.leverage
        if symbol.currency_base == self.account.currency:
            return base
        if symbol.currency_profit == self.account.currency:
            return base * price
        return base * rate(symbol.currency_base, self.account, self.symbols.values(), self.price)

    def margin(self, positions: Iterable[OpenPosition]) -> float:
        """Return the margin in use: of hedged volume only the larger side is charged."""
        sides: dict[str, list[float]] = {}
        for p in positions:
            sides.setdefault(p.symbol, [0.0, 0.0])[p.type] += self.margin_for(
                self.symbols[p.symbol], p.volume, p.price_open
            )
        return float(round(sum(max(both) for both in sides.values()), 2))
