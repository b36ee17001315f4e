"""Indications on closed candles (strategies.md). Prices are closes of equal candles, oldest first."""

from collections.abc import Sequence

STEPS = range(3, 31)


def average_true_range(
    highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], period: int = 14
) -> float | None:
    """Return the mean true range of the last `period` candles in price units, or None while there are too few.

    True range: the largest of high - low, |high - previous close|, |low - previous close| (Wilder 1978).
    """
    if period < 1 or len(closes) < period + 1:
        return None
    start = len(closes) - period
    total = 0.0
    for i in range(start, len(closes)):
        total += max(highs[i] - lows[i], abs(highs[i] - closes[i - 1]), abs(lows[i] - closes[i - 1]))
    return total / period


def direction(closes: Sequence[float], atr: float | None, steps: Sequence[int] = STEPS, min_move: float = 0.5) -> float:
    """Return the sign (-1.0, 0.0, +1.0) of the strongest turn over all step sizes.

    A turn of n steps: the move of the previous n steps and that of the last n have opposite signs,
    and both are at least `min_move` ATR.
    """
    if not atr:
        return 0.0
    best, sign = 0.0, 0.0
    for n in steps:
        if len(closes) < 2 * n + 1:
            break
        last = (closes[-1] - closes[-1 - n]) / atr
        before = (closes[-1 - n] - closes[-1 - 2 * n]) / atr
        if last * before < 0 and min(abs(last), abs(before)) >= min_move and abs(last) > best:
            best, sign = abs(last), 1.0 if last > 0 else -1.0
    return sign
