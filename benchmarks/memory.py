"""Show that passes keep no memory: `python benchmarks/memory.py [--passes N] [--orders N] [--json]`.

The managers and the reconciler of one account make pass after pass while the price moves. The baseline, measured in the
same run, is the process's memory after the first tenth of the passes; what is printed is the ratio at the end to it.
"""

import argparse
import gc
import json
import os
import sys
from pathlib import Path
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


def measure(orders: int, passes: int) -> dict[str, Any]:
    """Return the memory in MB after a tenth of the passes and at the end, and their ratio."""
    clock, ids, process = VirtualClock(START), SeededIds(1), psutil.Process()
    with TemporaryDirectory() as folder:
        terminal, gateway, account = build(Path(folder), orders, clock)
        lease = HeldLease.acquire(account.pk, "bench", clock=clock)
        assert lease is not None
        gate = SendGate(lease, SendJournal(Path(folder) / "journal"), clock)
        manager = OrdersManager(gateway=gateway, gate=gate, clock=clock)
        cycles = CyclesManager(gate=gate, clock=clock, orders_manager=manager)
        reconciler = Reconciler(gateway=gateway, gate=gate, clock=clock, orders_manager=manager)

        def run(number: int) -> None:
            clock.advance(0.5)
            bid = round(1.1 + int(ids.token(2), 36) * 1e-6, 5)
            terminal.push_tick("EURUSD", bid, round(bid + 0.0001, 5))
            (reconciler if number % RECONCILED_EVERY == 0 else manager).run()
            cycles.run()
            if number % 1000 == 0:
                reset_queries()
                lease.renew()
                print(f"{number} of {passes} passes", file=sys.stderr)

        def megabytes() -> float:
            gc.collect()
            return round(process.memory_info().rss / 2**20, 2)

        for number in range(passes // 10):
            run(number)
        before = megabytes()
        for number in range(passes // 10, passes):
            run(number)
        after = megabytes()
    return {
        "benchmark": "memory",
        "orders": orders,
        "passes": passes,
        "figures": {"baseline_mb": before, "end_mb": after},
        "ratios": {"memory": round(after / before, 4)},
    }


def main() -> None:
    """Run it in a database of its own on the site's server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--passes", type=int, default=100_000, help="passes (default 100000)")
    parser.add_argument("--orders", type=int, default=20, help="open orders (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.passes < 100 or options.orders < 1:
        parser.error("--passes, --orders: give 100 passes or more, and an order at least")
    with postgres.using():
        old = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            found = measure(options.orders, options.passes)
        finally:
            connection.creation.destroy_test_db(old, verbosity=0)
    if options.json:
        print(json.dumps(found))
        return
    figures = found["figures"]
    print(f"{found['passes']} passes: {figures['baseline_mb']} MB after a tenth, {figures['end_mb']} MB at the end")
    print(f"{found['ratios']['memory']:.3f} of the baseline")


if __name__ == "__main__":
    main()
