"""Time the optimiser: `python benchmarks/optimise.py --history FILES [--sets N] [--processes N] [--json]`.

A CycleTrader's distance, target and levels are varied on one symbol's prices. The baseline replays the same sets one by
one in this process, on a part of them, scaled up; the figures of both are asserted to be equal first. Times of a busy
machine say little, so the processor time of the baseline is told beside.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from backtesting.domain import Plan
from backtesting.optimise.replays import Replays
from backtesting.optimise.samplers import shuffled
from backtesting.optimise.space import space_of
from backtesting.sources import from_files
from brokers.simulator.account import AccountSpec
from strategies import registry

VARY = ("distance=30:120:5", "target_profit=50:200:10", "max_levels=3:10:1")
BASE: dict[str, Any] = {"lot_size": 0.1, "direction": "both", "max_cycles": 2}
BASELINE_SHARE = 20


def measure(files: list[Path], symbol: str, sets: int, processes: int) -> dict[str, Any]:
    """Return the figures (seconds) and ratios."""
    started = time.perf_counter()
    source = from_files(files, [symbol], spread_pips=1.0, begin=None, end=None)
    read = time.perf_counter() - started
    plan = Plan("cycle-trader", BASE, AccountSpec(1, "", "Bench", source.setups[0].currency_profit), source.setups)
    space = space_of(VARY, registry.get("cycle-trader"), BASE)
    whole = (float(source.history.stream.at[0]), float(source.history.stream.at[-1]) + 1.0)
    tasks = [(number, whole, space.values(number)) for number in shuffled(space, sets, 1)]
    with Replays(plan, source.history, 1) as alone:
        warm_up = list(alone.run(tasks[:1]))
        part = tasks[: max(2, len(tasks) // BASELINE_SHARE)]
        started, cpu = time.perf_counter(), time.process_time()
        expected = dict(row for rows in alone.run(part) for row in rows)
        baseline = (time.perf_counter() - started) * len(tasks) / len(part)
        cpu_a_set = (time.process_time() - cpu) / len(part)
    assert warm_up[0][0][1] == expected[tasks[0][0]]
    started = time.perf_counter()
    with Replays(plan, source.history, processes) as together:
        found = dict(row for rows in together.run(tasks) for row in rows)
    product = time.perf_counter() - started
    assert all(found[number] == figures for number, figures in expected.items()), "the figures differ"
    return {
        "benchmark": "optimise",
        "ticks": len(source.history),
        "sets": len(tasks),
        "processes": processes,
        "figures": {
            "read_s": round(read, 2), "product_s": round(product, 2), "one_by_one_s": round(baseline, 2),
            "processor_ms_a_set": round(cpu_a_set * 1000, 1),
        },
        "ratios": {"one_by_one": round(baseline / product, 2)},
    }  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--history", type=Path, nargs="+", required=True, help="files of one symbol, bid or bid and ask"
    )
    parser.add_argument("--symbol", default="GBPUSD", help="their symbol (default GBPUSD)")
    parser.add_argument("--sets", type=int, default=1000, help="sets to replay (default 1,000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.sets < 2 or options.processes < 1:
        parser.error("--sets: at least 2; --processes: at least 1")
    found = measure(options.history, options.symbol, options.sets, options.processes)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['sets']:,} sets on {found['ticks']:,} ticks, {found['processes']} processes; same figures in both")
    for name, value in found["figures"].items():
        print(f"{name:>20}: {value:9.2f}")
    print(f"{found['ratios']['one_by_one']:.2f} times as fast as one by one")


if __name__ == "__main__":
    main()
