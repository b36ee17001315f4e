"""Time the evaluation of all guards of many accounts: `python benchmarks/guards.py --accounts 50 --positions 100`.

The baseline, measured in the same run, judges position by position: every guard is asked anew about each of them.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brokers.domain import Candle, Quote, Side, SymbolSpec
from risk.domain.guards import evaluate
from risk.domain.readings import Held, MarketSeen, Seen, Worth
from risk.domain.settings import GuardSettings

NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
PAIRS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCHF")
SETTINGS = GuardSettings(
    bot_warn=1.0, bot_close=50.0, cycle_warn=1.0, cycle_close=50.0, position_warn=0.5, position_close=50.0
)
LEGS_PER_CYCLE, CYCLES_PER_BOT = 5, 4


def seen(positions: int, shift: float) -> Seen:
    """Return what the guards of one account see, its positions spread over five symbols."""
    markets = {}
    for pair in PAIRS:
        spec = SymbolSpec(pair, 5, 1e-5, 1e5, 0.01, 100, 0.01, 0, 0, 1e5, pair[:3], pair[3:], 1, 2, True, 1100.0)
        candle = Candle(NOW, 1.1, 1.101, 1.099, 1.1, 50, 10)
        markets[pair] = MarketSeen(Quote(pair, 1.1 + shift, 1.1001 + shift, NOW), spec, 1e-4, (candle, candle))
    held = tuple(
        Held(
            n, PAIRS[n % len(PAIRS)], Side.BUY if n % 2 else Side.SELL, 0.01, 1.1, shift * 1e3 - n, n // LEGS_PER_CYCLE
            // CYCLES_PER_BOT, n // LEGS_PER_CYCLE, n,
        )
        for n in range(positions)
    )  # fmt: skip
    requests = tuple((NOW - timedelta(seconds=n), n % 7 != 0) for n in range(60, 0, -1))
    return Seen(
        NOW, Worth(9_500.0, 10_000.0, 0.0, 1_000.0, 950.0), 10_000.0, 9_900.0, 660, held, markets,
        requests=requests, entries=tuple(at for at, _ in requests),
    )  # fmt: skip


def one_by_one(accounts: list[Seen]) -> None:
    """Judge every position with guards of its own, as a loop over positions would."""
    for account in accounts:
        for held in account.positions:
            evaluate(SETTINGS, replace(account, positions=(held,)))


def together(accounts: list[Seen]) -> None:
    """Judge every account in one pass."""
    for account in accounts:
        evaluate(SETTINGS, account)


def timed(run: Callable[[list[Seen]], None], accounts: list[Seen], passes: int) -> list[float]:
    """Return the processor's milliseconds, ascending: nothing here waits, and other programs' work does not count."""
    samples = []
    for _ in range(passes):
        started = time.process_time()
        run(accounts)
        samples.append((time.process_time() - started) * 1000)
    return sorted(samples)


def measure(accounts: int, positions: int, passes: int) -> dict[str, Any]:
    """Return the figures (milliseconds for all accounts) and their ratio to the baseline."""
    views = [seen(positions, n * 1e-5) for n in range(accounts)]
    together(views)
    figures = {"guards": timed(together, views, passes), "baseline": timed(one_by_one, views, max(1, passes // 20))}
    middle = {name: round(samples[len(samples) // 2], 3) for name, samples in figures.items()}
    return {
        "benchmark": "guards",
        "accounts": accounts,
        "positions": positions,
        "passes": passes,
        "figures": {"guards_p50_ms": middle["guards"], "guards_max_ms": round(figures["guards"][-1], 3),
                    "baseline_p50_ms": middle["baseline"]},
        "ratios": {"guards": round(middle["guards"] / middle["baseline"], 4)},
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=50, help="accounts (default 50)")
    parser.add_argument("--positions", type=int, default=100, help="open positions of each (default 100)")
    parser.add_argument("--passes", type=int, default=40, help="timed passes (default 40)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if min(options.accounts, options.positions, options.passes) < 1:
        parser.error("--accounts, --positions and --passes: give numbers above 0")
    found = measure(options.accounts, options.positions, options.passes)
    if options.json:
        print(json.dumps(found))
        return
    figures = found["figures"]
    print(f"{found['accounts']} accounts × {found['positions']} positions, all guards, one pass")
    print(f"   guards: p50 {figures['guards_p50_ms']:9.2f} ms  max {figures['guards_max_ms']:9.2f} ms")
    print(f" baseline: p50 {figures['baseline_p50_ms']:9.2f} ms  (position by position)")
    print(f"    ratio: {found['ratios']['guards']:.4f}")


if __name__ == "__main__":
    main()
