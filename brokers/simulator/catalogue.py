"""Symbols that a simulated broker can offer: typical contracts, hours and costs of a retail broker, and of an exchange.

Figures are of the usual size, and no broker's. Hours are on the server's clock of New York + 7 h.
"""

from dataclasses import dataclass

from brokers.simulator.account import SymbolSetup
from brokers.simulator.formulas import CFD, CFD_INDEX, CFD_LEVERAGE, EXCH_FUTURES, EXCH_STOCKS

FX_HOURS = "Mon-Fri 00:05-23:55"
METAL_HOURS = "Mon-Fri 01:00-23:55"
INDEX_HOURS = "Mon-Fri 01:00-23:15, Mon-Fri 23:30-23:59"
STOCK_HOURS = "Mon-Fri 16:30-23:00"
BY_DAY = 7


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol, and what its prices are like: where they begin, and in points the spread and the move between ticks."""

    setup: SymbolSetup
    price: float
    spread_points: int
    volatility_points: float


def _forex(name: str, price: float, spread: int, move: float, long: float, short: float) -> Listing:
    digits = 3 if name.endswith("JPY") else 5
    setup = SymbolSetup(
        name, digits=digits, currency_base=name[:3], currency_profit=name[3:], swap_long=long, swap_short=short,
        sessions=FX_HOURS, path="Forex",
    )  # fmt: skip
    return Listing(setup, price, spread, move)


def _metal(name: str, digits: int, ounces: float, price: float, spread: int, move: float) -> Listing:
    setup = SymbolSetup(
        name, digits=digits, contract_size=ounces, currency_base=name[:3], currency_profit=name[3:],
        calc_mode=CFD_LEVERAGE, swap_long=-40.0, swap_short=15.0, sessions=METAL_HOURS, path="Metals", volume_max=50.0,
    )  # fmt: skip
    return Listing(setup, price, spread, move)


def _index(name: str, currency: str, price: float, spread: int, move: float) -> Listing:
    setup = SymbolSetup(
        name, digits=1, contract_size=1.0, currency_base=currency, currency_profit=currency, calc_mode=CFD_INDEX,
        tick_size=0.1, margin_rate_long=0.05, margin_rate_short=0.05, volume_min=0.1, volume_step=0.1, swap_mode=6,
        swap_long=-7.0, swap_short=2.0, triple_swap_day=5, commission_per_lot=0.0, sessions=INDEX_HOURS, path="Indices",
        stops_level=20,
    )  # fmt: skip
    return Listing(setup, price, spread, move)


def _crypto(name: str, digits: int, price: float, spread: int, move: float) -> Listing:
    setup = SymbolSetup(
        name, digits=digits, contract_size=1.0, currency_base=name[:3], currency_profit=name[3:], calc_mode=CFD,
        margin_rate_long=0.5, margin_rate_short=0.5, swap_mode=5, swap_long=-20.0, swap_short=-20.0, swap_weekends=True,
        commission_per_lot=0.0, volume_max=20.0, path="Crypto",
    )  # fmt: skip
    return Listing(setup, price, spread, move)


def _stock() -> Listing:
    setup = SymbolSetup(
        "ACME", digits=2, contract_size=1.0, currency_base="USD", currency_profit="USD", calc_mode=EXCH_STOCKS,
        execution=3, filling_mask=BY_DAY, volume_min=1.0, volume_step=1.0, volume_max=10_000.0, swap_mode=0,
        commission_per_lot=0.02, sessions=STOCK_HOURS, depth_lots=300.0, depth_steps=10, path="Stocks",
    )  # fmt: skip
    return Listing(setup, 180.0, 2, 1.5)


def _future() -> Listing:
    setup = SymbolSetup(
        "IDXF", digits=1, contract_size=50.0, currency_base="USD", currency_profit="USD", calc_mode=EXCH_FUTURES,
        tick_size=0.1, tick_value=5.0, execution=3, filling_mask=BY_DAY, volume_min=1.0, volume_step=1.0,
        volume_max=500.0, margin_initial=12_000.0, margin_maintenance=11_000.0, swap_mode=0, commission_per_lot=2.1,
        sessions=INDEX_HOURS, depth_lots=20.0, depth_steps=10, path="Futures",
    )  # fmt: skip
    return Listing(setup, 5000.0, 3, 3.0)


CATALOGUE: dict[str, Listing] = {
    listing.setup.name: listing
    for listing in (
        _forex("EURUSD", 1.10, 10, 3.0, -6.0, 2.0),
        _forex("GBPUSD", 1.30, 14, 4.0, -3.0, -1.5),
        _forex("USDJPY", 150.0, 12, 4.0, 9.0, -18.0),
        _forex("USDCHF", 0.88, 14, 3.0, 5.0, -10.0),
        _forex("AUDUSD", 0.66, 12, 3.0, -3.0, 0.5),
        _forex("USDCAD", 1.36, 15, 3.0, 1.0, -5.0),
        _forex("EURGBP", 0.85, 13, 2.5, -5.0, 1.0),
        _forex("EURJPY", 165.0, 18, 5.0, 7.0, -16.0),
        _metal("XAUUSD", 2, 100.0, 2300.0, 25, 12.0),
        _metal("XAGUSD", 3, 5000.0, 28.0, 25, 10.0),
        _index("US500", "USD", 5000.0, 5, 3.0),
        _index("DE40", "EUR", 18_000.0, 12, 8.0),
        _crypto("BTCUSD", 2, 60_000.0, 2500, 900.0),
        _crypto("ETHUSD", 2, 3000.0, 200, 60.0),
        _stock(),
        _future(),
    )
}


def listing(name: str) -> Listing:
    """Return what a name stands for. Raises ValueError, which lists all names, for an unknown one."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise ValueError(f"there is no symbol {name} in the catalogue; it has {', '.join(CATALOGUE)}") from None
