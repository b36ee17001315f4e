"""Market depth through the module: `market_book_add` once a symbol and connection, `market_book_get` at each look.

Source: MetaTrader5 reference, BookInfo: type 1 and 3 (market) are offers to sell, 2 and 4 (market) to buy.
"""

from collections.abc import Sequence
from typing import Any

SELL_TYPES, BUY_TYPES = (1, 3), (2, 4)


class Depth:
    """What one terminal shows of the depth of symbols, by the broker's names."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._shown: set[str] = set()
        self._without: set[str] = set()

    def forget(self) -> None:
        """Begin anew: a terminal that was connected again shows nothing yet."""
        self._shown.clear()
        self._without.clear()

    def best_lots(self, name: str) -> float | None:
        """Return the lots at the best price of the thinner side, 0 when a side is empty; None: none is shown."""
        if name in self._without:
            return None
        if name not in self._shown:
            if not self._terminal.market_book_add(name):
                self._without.add(name)
                return None
            self._shown.add(name)
        rows = self._terminal.market_book_get(name)
        if rows is None:
            self._shown.discard(name)
            return None
        # Right after it was begun a book may still be empty: that says nothing
        return thinner_side(rows) if rows else None


def thinner_side(rows: Sequence[Any]) -> float:
    """Return the lots at the best bid or at the best ask, whichever are fewer."""
    sells = [(row.price, float(row.volume_dbl)) for row in rows if row.type in SELL_TYPES]
    buys = [(row.price, float(row.volume_dbl)) for row in rows if row.type in BUY_TYPES]
    if not sells or not buys:
        return 0.0
    ask, bid = min(price for price, _ in sells), max(price for price, _ in buys)
    return min(sum(lots for price, lots in sells if price == ask), sum(lots for price, lots in buys if price == bid))
