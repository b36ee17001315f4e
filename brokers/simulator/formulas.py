"""Margin and profit by calculation mode, for numbers and arrays alike.

Sources: mql5.com, "Symbol properties", ENUM_SYMBOL_CALC_MODE; MetaTrader 5 help, "Margin calculation" (brokers
reference §5.4). Where the specification has an initial margin, it takes the place of the formula.
"""

from typing import Any

from brokers.simulator.account import BOND_MODES, FOREX_MODES, FUTURES_MODES, SymbolSetup

FOREX, FUTURES, CFD, CFD_INDEX, CFD_LEVERAGE, FOREX_NO_LEVERAGE = range(6)
EXCH_STOCKS, EXCH_FUTURES, COLLATERAL = 32, 33, 64


def is_forex(setup: SymbolSetup) -> bool:
    """Whether the contract is counted in units of the base currency."""
    return setup.calc_mode in FOREX_MODES


def value_per_price(setup: SymbolSetup) -> float:
    """Return what one lot gains in the profit currency when its price rises by 1.0."""
    if setup.calc_mode == COLLATERAL:
        return 0.0
    if setup.calc_mode in FUTURES_MODES and setup.tick_value:
        return setup.tick_value / setup.tick
    if setup.calc_mode in BOND_MODES:
        return setup.contract_size * setup.face_value / 100
    return setup.contract_size


def margin_currency(setup: SymbolSetup) -> str:
    """Return the currency of `margin_of_lot`: the base currency for Forex, else the profit currency."""
    return setup.currency_base if is_forex(setup) else setup.currency_profit


def margin_of_lot(setup: SymbolSetup, price: Any, leverage: int, *, is_new: bool) -> Any:
    """Return the margin of one lot in the margin currency, before its rate; a position that is kept has its own."""
    fixed = setup.margin_initial if is_new else setup.margin_maintenance or setup.margin_initial
    if setup.calc_mode == COLLATERAL:
        return 0.0 * price
    if fixed > 0:
        return fixed + 0.0 * price
    if setup.calc_mode == FOREX:
        return setup.contract_size / leverage + 0.0 * price
    if setup.calc_mode == FOREX_NO_LEVERAGE:
        return setup.contract_size + 0.0 * price
    if setup.calc_mode == CFD_LEVERAGE:
        return setup.contract_size * price / leverage
    if setup.calc_mode == CFD_INDEX:
        per_price = setup.tick_value / setup.tick if setup.tick_value else 1.0
        return setup.contract_size * price * per_price
    if setup.calc_mode in BOND_MODES:
        return setup.contract_size * setup.face_value * price / 100
    return setup.contract_size * price


def hedged_share(setup: SymbolSetup) -> float:
    """Return what a hedged lot is charged as a share of an unhedged one."""
    if setup.margin_hedged is None:
        return 1.0
    return setup.margin_hedged / (setup.margin_initial or setup.contract_size)
