"""Time the simulated terminal: `python benchmarks/terminal.py [--ticks N] [--positions N] [--json]`.

One account with open positions passes many ticks, once jumping from event to event and once looking at every tick,
which is the baseline; both must leave the same deals. Then `positions_get()` is timed.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import Feed, FeedSpec, TickPrices
from brokers.simulator.memory import MemoryState
from brokers.simulator.requests import handle
from brokers.simulator.scan import Ticks, compiled
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock

START = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
SYMBOL = SymbolSetup("EURUSD")
SECONDS_A_TICK = 0.4
# Ticks that the slow baseline passes; its time is scaled up to all of them
BASELINE_SHARE = 20
CALLS = 50


def model_ticks(count: int, seed: int) -> Ticks:
    """Ticks of the price model, one pip of spread."""
    feed = Feed(FeedSpec.model(anchor=START, seed=seed, volatility_points=1.0), SYMBOL.name, SYMBOL.point)
    return feed.between(START.timestamp(), START.timestamp() + count * SECONDS_A_TICK)


def opened(ticks: Ticks, positions: int, *, every_tick: bool) -> tuple[Exchange, MemoryState, VirtualClock]:
    """Open positions with stops and targets at many distances, and resting orders."""
    clock = VirtualClock(START)
    spec = AccountSpec(1, "pw", "Bench", balance=1e6)
    state = MemoryState.opened(spec, [SYMBOL], FeedSpec.script({}, anchor=START), at=START.timestamp())
    exchange = Exchange(state, clock, feeds={"EURUSD": TickPrices(ticks)}, every_tick=every_tick)
    clock.advance(SECONDS_A_TICK)
    exchange.advance()
    bid, ask = exchange.books.price("EURUSD") or (0.0, 0.0)
    for n in range(positions):
        side, away = (1 if n % 2 == 0 else -1), 0.0005 + n * 0.0001
        price = ask if n % 2 == 0 else bid
        request = {
            "action": 1, "symbol": "EURUSD", "type": n % 2, "volume": 0.01,
            "sl": round(price - 2 * side * away, 5), "tp": round(price + side * away, 5),
        }  # fmt: skip
        assert handle(exchange, request, execute=True).retcode == 10009
    return exchange, state, clock


def run(ticks: Ticks, positions: int, *, every_tick: bool) -> tuple[float, int, list[tuple[int, float, float]]]:
    """Pass all ticks; return the seconds, the positions still open, and what was closed, when, at which price."""
    exchange, state, clock = opened(ticks, positions, every_tick=every_tick)
    started = time.perf_counter()
    clock.advance(len(ticks) * SECONDS_A_TICK)
    exchange.advance()
    return time.perf_counter() - started, len(state.positions), [(d.position_id, d.at, d.price) for d in state.ledger]


def positions_get(count: int) -> float:
    """Return the best of several times in seconds of reading `count` positions after a new tick."""
    with TemporaryDirectory() as folder:
        clock, file = VirtualClock(START), Path(folder) / "terminal.sqlite"
        script = {"EURUSD": [(0.0, 1.1, 1.1001)]}
        spec = AccountSpec(1, "pw", "Bench", balance=1e9)
        create_account(file, spec, [SYMBOL], FeedSpec.script(script, anchor=START), clock=clock)
        terminal = SimulatedTerminal(file, clock=clock)
        assert terminal.initialize(login=1, password="pw")
        exchange = terminal._exchange
        assert exchange is not None
        # The state file is forced to disk at every order, which is not what is measured here
        exchange.state._db.execute("PRAGMA synchronous=OFF")
        exchange.advance()
        for n in range(count):
            request = {"action": 1, "symbol": "EURUSD", "type": n % 2, "volume": 0.01}
            assert handle(exchange, request, execute=True).retcode == 10009
        best = float("inf")
        for n in range(CALLS):
            clock.advance(1.0)
            terminal.push_tick("EURUSD", round(1.1 + n * 1e-5, 5), round(1.1001 + n * 1e-5, 5))
            started = time.perf_counter()
            found = terminal.positions_get()
            best = min(best, time.perf_counter() - started)
            assert found is not None
            assert len(found) == count
        terminal.shutdown()
        return best


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="ticks to pass (default 1,000,000)")
    parser.add_argument("--positions", type=int, default=100, help="open positions (default 100)")
    parser.add_argument("--read", type=int, default=1000, help="positions that positions_get() reads (default 1,000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the prices (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if min(options.ticks // BASELINE_SHARE, options.positions, options.read) < 1:
        parser.error(f"--ticks: at least {BASELINE_SHARE}; --positions and --read: at least 1")
    ticks = model_ticks(options.ticks, options.seed)
    compiled()
    run(ticks, 1, every_tick=False)
    jumping, left, closed = run(ticks, options.positions, every_tick=False)
    part = options.ticks // BASELINE_SHARE
    few = Ticks(ticks.at[:part], ticks.bid[:part], ticks.ask[:part])
    slow, _, slowly_closed = run(few, options.positions, every_tick=True)
    assert slowly_closed == closed[: len(slowly_closed)], "jumping and looking at every tick differ"
    baseline = slow * BASELINE_SHARE
    reading = positions_get(options.read)
    found: dict[str, Any] = {
        "benchmark": "terminal",
        "ticks": options.ticks,
        "positions": options.positions,
        "left_open": left,
        "events": len(closed) - options.positions - 1,
        "figures": {
            "jumping_s": round(jumping, 4),
            "every_tick_s": round(baseline, 3),
            "positions_get_ms": round(reading * 1000, 3),
        },
        "ratios": {"jumping": round(baseline / jumping, 1)},
    }
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.ticks:,} ticks, {options.positions} positions, {found['events']} closed on the way, {left} left")
    print(f"every tick:    {baseline:9.3f} s (measured on a {BASELINE_SHARE}th)")
    print(f"jumping:       {jumping:9.3f} s  {baseline / jumping:,.0f} times as fast, same deals")
    print(f"positions_get: {reading * 1000:9.3f} ms for {options.read:,} positions")


if __name__ == "__main__":
    main()
