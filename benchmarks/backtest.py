"""Time the backtester: `python benchmarks/backtest.py [--ticks N] [--json]`.

One strategy trades one stream of ticks three times, with the same trades asserted first: the product's replay, a
hand-written loop of the same grid compiled by numba, and the product asked at every tick (on a part, scaled up).
The grid: one buy cycle at a time, a leg each `--distance` pips against it, closed as a whole at `--target`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backtesting.domain import Plan, Result
from backtesting.history import History
from backtesting.replay import Replay
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.scan import Floats, Ticks, compiled

START = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
SECONDS_A_TICK = 0.4
SETUP = SymbolSetup("EURUSD", swap_long=0.0, swap_short=0.0)
LOTS, PIP = 0.1, 0.0001
MAX_LEVELS = 8
RUNS = 3
BASELINE_SHARE = 100


def fused() -> Callable[..., int]:
    """Return the grid as one compiled loop over bid and ask: what is possible when nothing is general."""
    from numba import njit

    def grid(bid: Floats, ask: Floats, distance: float, target: float, trades: Floats) -> int:
        units, fee = LOTS * 100_000.0, -3.5 * LOTS
        legs = np.zeros(MAX_LEVELS)
        count = made = 0
        last = 0.0
        for i in range(len(bid)):
            if count > 0:
                net = 0.0
                for k in range(count):
                    net += (bid[i] - legs[k]) * units + fee
                if net >= target:
                    for k in range(count):
                        trades[made, 0], trades[made, 1] = legs[k], bid[i]
                        made += 1
                    count = 0
                elif count < MAX_LEVELS and ask[i] <= round(last - distance, 5):
                    legs[count] = last = ask[i]
                    count += 1
            if count == 0:
                legs[0] = last = ask[i]
                count = 1
        return made

    made: Callable[..., int] = njit(cache=True)(grid)
    return made


def trades_of(result: Result) -> list[tuple[float, float]]:
    """Return the closed legs' prices, in the order of cycles and levels."""
    return [(leg.price_open, leg.price_close) for c in result.cycles for leg in c.legs if leg.state == "closed"]


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the shortest of some times in seconds, and what came of the last."""
    best, came = float("inf"), None
    for _ in range(RUNS):
        started = time.perf_counter()
        came = run()
        best = min(best, time.perf_counter() - started)
    return best, came


def measure(count: int, seed: int, distance: float, target: float) -> dict[str, Any]:
    """Return the figures (seconds) and ratios."""
    feed = Feed(FeedSpec.model(anchor=START, seed=seed, volatility_points=2.0), SETUP.name, SETUP.point)
    ticks = feed.between(START.timestamp(), START.timestamp() + count * 2 * SECONDS_A_TICK)
    ticks = Ticks(ticks.at[:count], ticks.bid[:count], ticks.ask[:count])
    values = {
        "lot_size": LOTS, "distance": distance, "target_profit": target, "max_levels": MAX_LEVELS, "max_cycles": 1,
        "direction": "buy", "entry_cooldown": 0.0,
    }  # fmt: skip
    plan = Plan("cycle-trader", values, AccountSpec(1, "", "Bench", balance=1e6), (SETUP,))
    history = History.of({SETUP.name: ticks})
    compiled()
    loop, room = fused(), np.zeros((len(ticks), 2))
    loop(ticks.bid[:1000], ticks.ask[:1000], distance * PIP, target, room)
    product, result = timed(lambda: Replay(plan, history).run())
    hand, made = timed(lambda: loop(ticks.bid, ticks.ask, distance * PIP, target, room))
    assert trades_of(result) == [(float(a), float(b)) for a, b in room[:made]], "the trades differ"
    part = len(ticks) // BASELINE_SHARE
    few = History.of({SETUP.name: Ticks(ticks.at[:part], ticks.bid[:part], ticks.ask[:part])})
    started = time.perf_counter()
    slow = Replay(plan, few, every_tick=True).run()
    every = (time.perf_counter() - started) * len(ticks) / part
    assert [leg.price_open for leg in slow.legs] == [leg.price_open for leg in result.legs][: len(slow.legs)]
    return {
        "benchmark": "backtest",
        "ticks": len(ticks),
        "trades": made,
        "looked": result.looked,
        "bytes_a_tick": round((history.stream.at.nbytes + history.stream.bid.nbytes + history.stream.ask.nbytes
                               + history.stream.symbol.nbytes) / len(ticks), 1),
        "figures": {"product_s": round(product, 4), "hand_fused_s": round(hand, 4), "every_tick_s": round(every, 2)},
        "million_ticks_a_second": round(len(ticks) / product / 1e6, 2),
        "ratios": {"every_tick": round(every / product, 1), "hand_fused": round(hand / product, 4)},
    }  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="ticks to replay (default 1,000,000)")
    parser.add_argument("--distance", type=float, default=20.0, help="pips between levels (default 20)")
    parser.add_argument("--target", type=float, default=30.0, help="net profit that closes a cycle (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the prices (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.ticks < 10_000 or options.distance <= 0 or options.target <= 0:
        parser.error("--ticks: at least 10,000; --distance and --target: above 0")
    found = measure(options.ticks, options.seed, options.distance, options.target)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['ticks']:,} ticks, {found['trades']} trades, looked at {found['looked']} ticks; same trades in all")
    for name in ("product", "hand_fused", "every_tick"):
        seconds = found["figures"][f"{name}_s"]
        print(f"{name:>11}: {seconds:9.4f} s  {found['ticks'] / max(seconds, 1e-9) / 1e6:10.2f} million ticks/s")


if __name__ == "__main__":
    main()
