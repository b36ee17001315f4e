"""What all open positions are worth together: arrays, kept while neither positions nor prices change."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY, Books
from brokers.simulator.formulas import value_per_price
from brokers.simulator.scan import ASKS, BIDS, CONSTANT, Floats
from brokers.simulator.state import State


@dataclass(frozen=True, slots=True)
class Table:
    """The open positions of one symbol as columns; `units` is what each gains per 1.0 of price, minus for sells."""

    identifiers: list[int]
    is_buy: NDArray[np.bool_]
    volume: Floats
    price_open: Floats
    units: Floats
    swap: float


class Worth:
    """Floating profit, swap and margin of one account's open positions."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tables: dict[str, Table] = {}
        self._revision = -1
        self._key: tuple[Any, ...] | None = None
        self._profits: dict[int, float] = {}
        self._floating = 0.0
        self._margin = 0.0

    def profits(self, books: Books) -> dict[int, float]:
        """Return every position's profit if it were closed now, by identifier."""
        self._refresh(books)
        return self._profits

    def floating(self, books: Books) -> float:
        """Return the sum of profits and swaps."""
        self._refresh(books)
        return self._floating

    def margin(self, books: Books) -> float:
        """Return the margin in use."""
        self._refresh(books)
        return self._margin

    def margin_with(self, books: Books, setup: SymbolSetup, kind: int, volume: float, price: float) -> float:
        """Return the margin that would be in use after one more position."""
        self._refresh(books)
        table = self._tables.get(setup.name)
        own = 0.0 if table is None else self._margin_of(books, setup, table)
        each = books.margin_for(setup, kind, volume, price)
        sides = [(0.0, 0.0), (0.0, 0.0)] if table is None else list(self._sides(books, setup, table))
        sides[kind] = (sides[kind][0] + volume, sides[kind][1] + each)
        return self._margin - own + books.margin_together(setup, sides[0], sides[1])

    def exposures(self, books: Books) -> Floats:
        """Return a row for each symbol, as `scan.Lookout` wants them: what its positions are worth, linear in prices.

        Conversion rates are those of this moment.
        """
        self._refresh(books)
        found = np.zeros((len(books.symbols), 4))
        for n, name in enumerate(books.symbols):
            table, quote = self._tables.get(name), books.price(name)
            if table is None or quote is None:
                continue
            units = table.units * self._rates(books, books.symbols[name], np.where(table.is_buy, *quote))
            found[n, BIDS], found[n, ASKS] = units[table.is_buy].sum(), units[~table.is_buy].sum()
            found[n, CONSTANT] = table.swap - (units * table.price_open).sum()
        return found

    def _rates(self, books: Books, setup: SymbolSetup, closing: Floats) -> Any:
        """Return account currency per unit of profit, for positions that close at these prices."""
        return 1.0 / closing if books.converts_itself(setup) else books.profit_rate(setup)

    def _refresh(self, books: Books) -> None:
        key = (self._state.revision, *(books.price(name) for name in books.symbols))
        if key == self._key:
            return
        if self._revision != self._state.revision:
            self._tables = self._columns(books)
            self._revision = self._state.revision
        self._profits = {}
        floating = margin = 0.0
        for name, table in self._tables.items():
            setup = books.symbols[name]
            profits = self._profits_of(books, setup, table)
            self._profits |= zip(table.identifiers, profits, strict=True)
            floating += sum(profits) + table.swap
            margin += self._margin_of(books, setup, table)
        self._floating, self._margin, self._key = floating, float(round(margin, 2)), key

    def _columns(self, books: Books) -> dict[str, Table]:
        tables = {}
        for name, setup in books.symbols.items():
            found = [p for p in self._state.positions.values() if p.symbol == name]
            if not found:
                continue
            is_buy = np.array([p.type == BUY for p in found])
            volume = np.array([p.volume for p in found])
            tables[name] = Table(
                [p.identifier for p in found],
                is_buy,
                volume,
                np.array([p.price_open for p in found]),
                np.where(is_buy, 1, -1) * value_per_price(setup) * volume,
                sum(p.swap for p in found),
            )
        return tables

    def _profits_of(self, books: Books, setup: SymbolSetup, table: Table) -> list[float]:
        quote = books.price(setup.name)
        if quote is None:
            return [0.0] * len(table.identifiers)
        closing = np.where(table.is_buy, *quote)
        # In the order of Books.profit, so that both round alike
        gross = (closing - table.price_open) * np.where(table.is_buy, 1, -1) * value_per_price(setup) * table.volume
        rate = self._rates(books, setup, closing)
        found: list[float] = (np.rint(gross * rate * 100) / 100 + 0.0).tolist()
        return found

    def _sides(self, books: Books, setup: SymbolSetup, table: Table) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return lots and margin of the buys, and of the sells."""
        kind = np.where(table.is_buy, 0, 1)
        each = books.margin_lots(setup, table.price_open, kind, is_new=False) * table.volume
        buys, sells = table.is_buy, ~table.is_buy
        return (
            (float(table.volume[buys].sum()), float(each[buys].sum())),
            (float(table.volume[sells].sum()), float(each[sells].sum())),
        )

    def _margin_of(self, books: Books, setup: SymbolSetup, table: Table) -> float:
        return books.margin_together(setup, *self._sides(books, setup, table))
