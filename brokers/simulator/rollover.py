"""What a night costs: swaps by swap mode, and which nights count.

Source: mql5.com, "Symbol properties", ENUM_SYMBOL_SWAP_MODE. Interest is for a year of 360 days.
"""

from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY, Books, sign
from brokers.simulator.formulas import margin_currency, value_per_price
from brokers.simulator.state import OpenPosition

DISABLED, POINTS, SYMBOL_MONEY, MARGIN_MONEY, DEPOSIT_MONEY, CURRENT_INTEREST, OPEN_INTEREST = range(7)
REOPEN, REOPEN_BID = 7, 8
BANK_DAYS = 360
SATURDAY, SUNDAY = 6, 0
TRIPLE = 3


def nights(setup: SymbolSetup, weekday: int) -> int:
    """Return how many nights the end of a weekday counts as: none at weekends, three on the triple day."""
    if setup.swap_mode == DISABLED:
        return 0
    if setup.swap_weekends:
        return 1
    if weekday in (SATURDAY, SUNDAY):
        return 0
    return TRIPLE if weekday == setup.triple_swap_day else 1


def charge(books: Books, setup: SymbolSetup, p: OpenPosition, count: int) -> float:
    """Return the swap of so many nights in account currency, minus for a cost; 0.0 where it is paid by re-opening."""
    swap = setup.swap_long if p.type == BUY else setup.swap_short
    each = swap * p.volume * count
    if setup.swap_mode == POINTS:
        return each * setup.point * value_per_price(setup) * books.profit_rate(setup)
    if setup.swap_mode == SYMBOL_MONEY:
        return each * books.rate(setup.currency_base)
    if setup.swap_mode == MARGIN_MONEY:
        return each * books.rate(margin_currency(setup))
    if setup.swap_mode == DEPOSIT_MONEY:
        return each
    if setup.swap_mode in (CURRENT_INTEREST, OPEN_INTEREST):
        bid, ask = books.price(p.symbol) or (p.price_open, p.price_open)
        current = bid if p.type == BUY else ask
        price = current if setup.swap_mode == CURRENT_INTEREST else p.price_open
        return each / 100 / BANK_DAYS * price * value_per_price(setup) * books.profit_rate(setup)
    return 0.0


def reopening(
    setup: SymbolSetup, p: OpenPosition, quote: tuple[float, float], count: int
) -> tuple[float, float] | None:
    """Return at which prices a position is closed and opened again for the night; None in the other modes."""
    if setup.swap_mode not in (REOPEN, REOPEN_BID):
        return None
    swap = setup.swap_long if p.type == BUY else setup.swap_short
    closed = quote[1] if p.type != BUY and setup.swap_mode == REOPEN else quote[0]
    return closed, round(closed - sign(p.type) * swap * count * setup.point, setup.digits)
