"""Time indications and pseudo positions: history of many symbols at once, and one live step of all of them.

    python benchmarks/indications.py [--symbols 100] [--days 5] [--steps 300] [--json]

The prices are ten seeded walks, each used for a tenth of the symbols. Before anything is timed, the signals of the
compiled step are compared with a plain numpy reading of the same formulas, and the sets with a plain Python one; both
are the baselines of the ratios.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brokers.candles import Candles
from brokers.domain import Quote, SymbolSpec
from engine.domain import percentile
from marketdata.indications import STEPS, Floats, IndicationSettings, Indicator, Kind, Signs
from strategies import registry
from strategies.domain import View
from strategies.pseudo.results import OPEN, READY, TRADES
from strategies.pseudo.sets import SetGrid, SymbolSets, warm

WALKS = 10
DAY = 86_400
BEGIN = 1_770_000_000.0
BASELINE_CANDLES = 2_000
GRID = SetGrid(take_profits=(1.0, 1.5, 2.0, 3.0, 4.0), stop_losses=(1.0, 1.5, 2.0, 3.0), commission=1e-6)
SPEC = SymbolSpec(
    name="EURUSD", digits=5, point=1e-5, contract_size=100_000.0, volume_min=0.01, volume_max=50.0, volume_step=0.01,
    stops_level_points=0, freeze_level_points=0, value_per_price=100_000.0, currency_base="EUR", currency_profit="USD",
    filling_mask=3, execution_mode=2, margin_per_lot=1100.0,
)  # fmt: skip


def walk(seed: int, count: int) -> Candles:
    """Make a walk of 1-second candles with bursts, as news and openings make them."""
    rng = np.random.default_rng(seed)  # clock-ok: seeded
    burst = np.convolve(rng.random(count) < 0.001, np.ones(60), mode="full")[:count] > 0
    close = 1.1 + np.cumsum(rng.normal(0.0, 1e-5, count) * np.where(burst, 3.0, 1.0))
    opened = np.concatenate(([1.1], close[:-1]))
    reach = np.abs(rng.normal(0.0, 5e-6, (2, count)))
    ticks = rng.integers(1, 5, count).astype(np.float64) * np.where(burst, 3.0, 1.0)
    return Candles(
        BEGIN + np.arange(count, dtype=np.float64), opened, np.maximum(opened, close) + reach[0],
        np.minimum(opened, close) - reach[1], close, ticks,
        np.full(count, 1e-5),
    )  # fmt: skip


def plain_numpy(close: Floats, atr: Floats, settings: IndicationSettings) -> tuple[Signs, Signs]:
    """Return Direction and Move of every candle, by whole arrays; the ATR is given to it."""
    count = len(close)
    least = settings.min_move * atr
    direction, move = np.zeros(count, np.int8), np.zeros(count, np.int8)
    strongest_turn, strongest_run = np.zeros(count), np.zeros(count)
    highest, lowest = close.copy(), close.copy()
    fall, rise = np.zeros(count), np.zeros(count)
    for n in range(1, STEPS[-1] + 1):
        older = np.full(count, np.nan)
        older[n:] = close[:-n]
        fall, rise = np.fmax(fall, older - lowest), np.fmax(rise, highest - older)
        lowest, highest = np.fmin(lowest, older), np.fmax(highest, older)
        if n not in STEPS:
            continue
        last = close - older
        before = np.full(count, np.nan)
        before[2 * n :] = close[n:-n] - close[: -2 * n]
        size = np.abs(last)
        turns = (atr > 0) & (size >= least) & (np.abs(before) >= least) & (last * before < 0) & (size > strongest_turn)
        direction[turns], strongest_turn[turns] = np.sign(last[turns]).astype(np.int8), size[turns]
        against = np.where(last > 0, fall, rise)
        runs = (atr > 0) & (size >= least) & (against <= settings.pullback * size) & (size > strongest_run)
        move[runs], strongest_run[runs] = np.sign(last[runs]).astype(np.int8), size[runs]
    return direction, move


def plain_python(candles: Candles, valid: Signs, atr: Floats) -> list[int]:
    """Return how many pseudo positions each Direction, Move and Active set closed, by a plain loop over sets."""
    keys = [key for key in GRID.sets if key.kind is not Kind.OPTIMAL]
    states: list[dict[str, float]] = [{"open": 0.0, "ready": 0.0, "trades": 0.0} for _ in keys]
    rows = zip(candles.at, candles.high, candles.low, candles.close, candles.spread, strict=True)
    for i, (t, high, low, close, spread) in enumerate(rows):
        for key, s in zip(keys, states, strict=True):
            side = key.side.sign
            if not s["open"]:
                if valid[i, key.kind] == side and atr[i] > 0 and t >= s["ready"]:
                    s["entry"] = close + spread if side > 0 else close
                    s["stop"] = s["entry"] - side * key.stop_loss * atr[i]
                    s["target"] = s["entry"] + side * key.take_profit * atr[i]
                    s["follow"] = side * 0.5 * key.take_profit * atr[i] if key.trailing else 0.0
                    s["open"] = 1.0
                continue
            more = 0.0 if side > 0 else spread
            worst, best = (low + more, high + more) if side > 0 else (high + more, low + more)
            if (worst - s["stop"]) * side <= 0 or (best - s["target"]) * side >= 0:
                s.update(open=0.0, ready=t + GRID.cooldown_seconds, trades=s["trades"] + 1)
            elif s["follow"] and (best - s["entry"] - s["follow"]) * side >= 0:
                s["stop"] = max(s["stop"] * side, (best - s["follow"]) * side) * side
    return [int(s["trades"]) for s in states]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def compare(candles: Candles) -> dict[str, float]:
    """Assert that the baselines find the same, and return how many times longer they take per candle."""
    fast, found = timed(lambda: Indicator(GRID.indications).take(candles))
    slow, (direction, move) = timed(lambda: plain_numpy(candles.close, found.atr, GRID.indications))
    assert (direction == found.sign[:, Kind.DIRECTION]).mean() > 0.9999, "Direction differs"
    assert (move == found.sign[:, Kind.MOVE]).mean() > 0.9999, "Move differs"
    some = candles.part(DAY // 2, DAY // 2 + BASELINE_CANDLES)
    kept = slice(DAY // 2, DAY // 2 + BASELINE_CANDLES)
    sets = SymbolSets(GRID)
    from strategies.pseudo import kernels

    def compiled() -> None:
        kernels.history(
            sets.sets, sets.results, *GRID.arrays(), GRID.limits(), some.at, some.open, some.high, some.low, some.close,
            some.spread, found.atr[kept], found.valid[kept],
        )  # fmt: skip

    quick, _ = timed(compiled)
    long, trades = timed(lambda: plain_python(some, found.valid[kept], found.atr[kept]))
    assert sets.sets[: len(trades), TRADES].astype(int).tolist() == trades, "sets differ"
    assert sum(trades) > 0
    assert OPEN < READY
    return {"indications_vs_numpy": slow / fast, "sets_vs_python": long / quick, "set_trades_compared": sum(trades)}


def history(walks: list[Candles], symbols: int) -> tuple[list[float], list[float], list[SymbolSets]]:
    """Return the seconds of clock and processor for indications alone and with sets, and the sets of every symbol."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        began = time.process_time()
        alone, _ = timed(lambda: list(pool.map(lambda n: _indicate(walks[n % WALKS]), range(symbols))))
        between = time.process_time()
        both, made = timed(lambda: list(pool.map(lambda n: _follow(walks[n % WALKS]), range(symbols))))
    return [alone, between - began], [both, time.process_time() - between], made


def _indicate(candles: Candles) -> None:
    Indicator(GRID.indications).take(candles)


def _follow(candles: Candles) -> SymbolSets:
    sets = SymbolSets(GRID)
    sets.take(candles)
    return sets


def live(made: list[SymbolSets], steps: int, count: int) -> list[float]:
    """Return the milliseconds of each live step: a candle of every symbol, its signals, setups, and a decision."""
    strategy = registry.get("signal-trader")
    params = strategy.params()
    tail = [walk(100 + n, steps) for n in range(WALKS)]
    took: list[float] = []
    now = datetime.fromtimestamp(BEGIN, UTC)
    for i in range(steps):
        pieces = [Candles(*(getattr(t, name)[i : i + 1] for name in t.__slots__)) for t in tail]
        for piece in pieces:
            piece.at[:] = BEGIN + count + i
        started = time.perf_counter()
        for n, sets in enumerate(made):
            piece = pieces[n % WALKS]
            sets.take(piece)
            bid = float(piece.close[0])
            quote = Quote("EURUSD", bid, bid + 1e-5, now)
            strategy.decide(
                View(now=now, quote=quote, spec=SPEC, cycles=(), signals=sets.signals(), atr=sets.indicator.atr,
                     equity=10_000.0, setups=sets.setups()),
                params,
            )  # fmt: skip
        took.append((time.perf_counter() - started) * 1000)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--days", type=int, default=5, choices=range(1, 13), metavar="1-12")
    parser.add_argument("--steps", type=int, default=300, help="live steps to time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.symbols < 1 or given.steps < 10:
        parser.error("--symbols must be at least 1 and --steps at least 10")
    warm(GRID)
    count = given.days * DAY
    walks = [walk(n, count) for n in range(WALKS)]
    ratios = compare(walks[0])
    alone, both, made = history(walks, given.symbols)
    took = sorted(live(made, given.steps, count))
    report = {
        "symbols": given.symbols,
        "candles_per_symbol": count,
        "sets_per_symbol": len(GRID.sets),
        "processors": os.cpu_count(),
        "history_indications_s": round(alone[0], 2),
        "history_indications_cpu_s": round(alone[1], 2),
        "history_with_sets_s": round(both[0], 2),
        "history_with_sets_cpu_s": round(both[1], 2),
        "live_step_p50_ms": round(percentile(took, 0.5), 2),
        "live_step_p99_ms": round(percentile(took, 0.99), 2),
        "memory_mb": round(_memory_mb()),
        **{name: round(value, 1) for name, value in ratios.items()},
    }
    if given.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:24} {value:>12,}")
    return 0


def _memory_mb() -> float:
    """Return the most memory that this process held."""
    info = psutil.Process().memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is not None:
        return float(peak) / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
