"""The indications once more, in plain Python from their words: slow, and nothing shared with the kernel."""

from statistics import median

from brokers.candles import Candles
from marketdata.indications import STEPS, IndicationSettings, average_true_range

MINUTES_KEPT, MINUTES_LEAST = 61, 5


def reference(candles: Candles, i: int, settings: IndicationSettings) -> dict[str, tuple[int, float, int]]:
    """Return (sign, strength, step) of each indication after candle `i`."""
    closed = minutes(candles, i)
    atr = average_true_range([m[0] for m in closed], [m[1] for m in closed], [m[2] for m in closed]) or 0.0
    closes = [float(c) for c in candles.close[: i + 1]]
    active = activity(candles, i, settings, [m[3] for m in closed])
    size = abs(active) / (abs(active) + settings.active_threshold) if active else 0.0
    found = {"active": (sign(active), size, 0)}
    runs = {n: m for n in STEPS if (m := run(closes, n, atr, settings))}
    turns = {n: m for n in STEPS if (m := turn(closes, n, atr, settings))}
    confirmed = {n: m for n, m in turns.items() if active and any(k < n and runs[k] * m > 0 for k in runs)}
    for name, moves in (("move", runs), ("direction", turns), ("optimal", confirmed)):
        n = max(moves, key=lambda n: (abs(moves[n]), -n), default=0)
        found[name] = (sign(moves[n]), abs(moves[n]) / (abs(moves[n]) + atr), n) if n else (0, 0.0, 0)
    return found


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def minutes(candles: Candles, i: int) -> list[tuple[float, float, float, float]]:
    """Return high, low, close and ticks of the closed minutes before the one of candle `i`."""
    number = candles.at[: i + 1] // 60
    found = []
    for minute in sorted(set(number) - {number[-1]}):
        inside = number == minute
        found.append(
            (
                float(candles.high[: i + 1][inside].max()),
                float(candles.low[: i + 1][inside].min()),
                float(candles.close[: i + 1][inside][-1]),
                float(candles.ticks[: i + 1][inside].sum()),
            )
        )
    return found


def activity(candles: Candles, i: int, settings: IndicationSettings, rates: list[float]) -> float:
    window = settings.active_window_seconds // settings.candle_seconds
    if i < window or len(rates) < MINUTES_LEAST:
        return 0.0
    change = float(candles.close[i] / candles.close[i - window] - 1)
    ticks = float(candles.ticks[i - window + 1 : i + 1].sum()) * 60 / (window * settings.candle_seconds)
    return change if abs(change) >= settings.active_threshold and ticks > median(rates[-MINUTES_KEPT:]) else 0.0


def run(closes: list[float], n: int, atr: float, settings: IndicationSettings) -> float:
    if not atr or len(closes) < n + 1:
        return 0.0
    inside = closes[-1 - n :]
    move = inside[-1] - inside[0]
    against = max(-sign(move) * (b - a) for k, a in enumerate(inside) for b in inside[k:])
    return move if abs(move) >= settings.min_move * atr and against <= settings.pullback * abs(move) else 0.0


def turn(closes: list[float], n: int, atr: float, settings: IndicationSettings) -> float:
    if not atr or len(closes) < 2 * n + 1:
        return 0.0
    last, before = closes[-1] - closes[-1 - n], closes[-1 - n] - closes[-1 - 2 * n]
    least = settings.min_move * atr
    return last if last * before < 0 and abs(last) >= least and abs(before) >= least else 0.0
