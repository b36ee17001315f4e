"""Show that passes keep no memory: `python benchmarks/memory.py [--passes N] [--seconds N] [--orders N] [--json]`.

The managers and the reconciler of one account make pass after pass while the price moves. The baseline, measured in the
same run, is the process's memory after the first tenth of the passes, or of the time; what is printed is the ratio at
the end to it, and the growth of a line through one sample every hundred passes since.
"""

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

import django

django.setup()

import psutil
from django.db import connection, reset_queries

from benchmarks.passes import START, build
from brokers.sendjournal import SendJournal
from core.clock import VirtualClock
from core.ids import SeededIds
from cycles.manager import CyclesManager
from engine.gate import SendGate
from engine.lease import HeldLease
from orders.manager import OrdersManager
from reconciliation.manager import Reconciler
from tradingsite import postgres

RECONCILED_EVERY = 20
SAMPLED_EVERY = 100
WARM_SHARE = 0.1


def measure(orders: int, passes: int, seconds: float) -> dict[str, Any]:
    """Make passes until `passes` are made or `seconds` are over; return the memory in MB and what it grew by."""
    clock, ids, process = VirtualClock(START), SeededIds(1), psutil.Process()
    with TemporaryDirectory() as folder:
        terminal, gateway, account = build(Path(folder), orders, clock)
        lease = HeldLease.acquire(account.pk, "bench", clock=clock)
        assert lease is not None
        gate = SendGate(lease, SendJournal(Path(folder) / "journal"), clock)
        manager = OrdersManager(gateway=gateway, gate=gate, clock=clock)
        cycles = CyclesManager(gate=gate, clock=clock, orders_manager=manager)
        reconciler = Reconciler(gateway=gateway, gate=gate, clock=clock, orders_manager=manager)
        samples: list[tuple[int, float]] = []
        began, number = time.perf_counter(), 0

        def spent() -> float:
            return max(number / passes, (time.perf_counter() - began) / seconds)

        while spent() < 1:
            number += 1
            clock.advance(0.5)
            bid = round(1.1 + int(ids.token(2), 36) * 1e-6, 5)
            terminal.push_tick("EURUSD", bid, round(bid + 0.0001, 5))
            (reconciler if number % RECONCILED_EVERY == 0 else manager).run()
            cycles.run()
            if number % SAMPLED_EVERY == 0:
                reset_queries()
                lease.renew()
                gc.collect()
                if spent() >= WARM_SHARE:
                    samples.append((number, process.memory_info().rss / 2**20))
    grown = linear_regression(*zip(*samples, strict=True)).slope * 1000
    before, after = samples[0][1], samples[-1][1]
    return {
        "benchmark": "memory",
        "orders": orders,
        "passes": number,
        "figures": {"baseline_mb": round(before, 2), "end_mb": round(after, 2), "mb_per_1000_passes": round(grown, 4)},
        "ratios": {"memory": round(after / before, 4)},
    }


def main() -> None:
    """Run it in a database of its own on the site's server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--passes", type=int, default=100_000, help="passes (default 100000)")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="end after so many seconds (default a day)")
    parser.add_argument("--orders", type=int, default=20, help="open orders (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.passes < 1000 or options.seconds < 20 or options.orders < 1:
        parser.error("--passes, --seconds, --orders: give 1000 passes, 20 seconds and an order at least")
    with postgres.using():
        old = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            found = measure(options.orders, options.passes, options.seconds)
        finally:
            connection.creation.destroy_test_db(old, verbosity=0)
    if options.json:
        print(json.dumps(found))
        return
    figures = found["figures"]
    grown = figures["mb_per_1000_passes"]
    print(f"{found['passes']} passes: {figures['baseline_mb']} MB after a tenth, {figures['end_mb']} MB at the end")
    print(f"{found['ratios']['memory']:.3f} of the baseline")
    print(f"{grown:+.4f} MB in 1,000 passes: {grown * 100:+.1f} MB in 100,000, if it went on like that")


if __name__ == "__main__":
    main()
