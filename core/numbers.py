"""Arithmetic on prices, volumes and money that are floats inside the trading core (design.md §8)."""

import math
from decimal import ROUND_HALF_EVEN, Decimal

CENT = 0.01


def floor_to_step(value: float, step: float) -> float:
    """Return the largest multiple of `step` that is not above `value`, free of binary noise.

    A value within a millionth of a step below a multiple counts as that multiple: 0.3 / 0.1 must be 3 steps.
    """
    if step <= 0:
        raise ValueError("step: must be above 0")
    steps = math.floor(value / step + 1e-6)
    return float(Decimal(str(step)) * steps)


def round_to_digits(value: float, digits: int) -> float:
    """Return `value` rounded to `digits` decimals, with -0.0 turned into 0.0."""
    return round(value, digits) + 0.0


def same_price(a: float, b: float, point: float) -> bool:
    """Tell whether two prices are the same quote: less than half a point apart."""
    return abs(a - b) < point / 2


def money(value: float, digits: int = 2) -> Decimal:
    """Return a float amount as an exact decimal for the database."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def moved(before: float, after: float, threshold: float = CENT) -> bool:
    """Tell whether an amount changed by more than `threshold` (source: S0's `profit_threshold`, one cent)."""
    return abs(after - before) > threshold + 1e-9


def adds_up(equity: float, balance: float, credit: float, floating: float) -> bool:
    """Tell whether an account's figures agree with its positions' floating sum: a list that lacks some does not.

    A broker's equity may differ from the sum by the rounding of each position: a unit or a thousandth is allowed.
    """
    return abs(balance + credit + floating - equity) <= max(1.0, 0.001 * abs(equity))
