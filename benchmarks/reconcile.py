"""Time reconciliation without the broker's share: `python benchmarks/reconcile.py [--positions N] [--json]`.

`matched`: N orders against N positions, nothing differs. `adopting`: N positions of ours that the books do not know,
taken into cycles by policy, with the ledger's rows and the snapshot. `unknown`: N positions that are not ours. The
baseline, measured in the same run, is what the sources do: one query a position to find its trade.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

import django

django.setup()

from django.db import connection, transaction

from benchmarks.passes import START, build
from brokers.domain import Book
from brokers.mt5.gateway import Mt5Gateway
from brokers.sendjournal import SendJournal
from core.clock import VirtualClock
from cycles.models import Cycle
from engine.domain import percentile
from engine.gate import SendGate
from engine.lease import HeldLease
from engine.memory import settle
from orders.manager import OrdersManager
from orders.models import Order, OrderIntent
from reconciliation.manager import Reconciler
from reconciliation.models import PolicyRule
from tradingsite import postgres

# It takes seconds
BASELINE_PASSES = 2


class Undo(Exception):
    """Ends a transaction whose rows are not to stay."""


def timed(run: Callable[[], object], *, undo: bool, passes: int) -> dict[str, list[float]]:
    """Return the durations of `run` (`wall`; `cpu` of this process alone) and of its commit's checks, ascending, in ms.

    With `undo`, what it wrote is taken back each time.
    """
    found: dict[str, list[float]] = {"wall": [], "cpu": [], "checks": []}
    for _ in range(passes):
        try:
            with transaction.atomic():
                started, busy = time.perf_counter(), time.process_time()
                run()
                ran, used = time.perf_counter(), time.process_time() - busy
                # Foreign keys are looked up at the commit
                with connection.cursor() as cursor:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                for name, seconds in (("wall", ran - started), ("cpu", used), ("checks", time.perf_counter() - ran)):
                    found[name].append(seconds * 1000)
                if undo:
                    raise Undo
        except Undo:
            pass
    return {name: sorted(taken) for name, taken in found.items()}


def give_intents(account_id: int) -> None:
    """Write the request behind every order, as the engine would have."""
    orders = list(Order.objects.filter(account_id=account_id))
    intents = OrderIntent.objects.bulk_create(
        OrderIntent(
            account_id=account_id, bot_id=o.bot_id, cycle_id=o.cycle_id, kind="open", cause_key=f"bench:{o.pk}",
            token=f"b{o.pk:09d}", state="filled", symbol=o.symbol, side=o.side, volume=o.volume_initial, magic=7,
            comment="", why="bench", trace={"tick": {"bid": 1.1, "ask": 1.1001}}, fence=1, created_at=START,
            sent_at=START, deadline=START, done_at=START, filled_volume=o.volume_initial,
        )
        for o in orders
    )  # fmt: skip
    for order, intent in zip(orders, intents, strict=True):
        order.intent = intent
    Order.objects.bulk_update(orders, ["intent"], batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def one_by_one(account_id: int, book: Book) -> None:
    """Find the trade of each position with a query of its own."""
    for p in book.positions:
        list(
            Order.objects.filter(
                account_id=account_id, symbol__iexact=p.symbol, side=p.side, status="open", identifier=p.identifier,
                volume__range=(Decimal(str(p.volume * 0.95)), Decimal(str(p.volume * 1.05))),
            )
        )  # fmt: skip


def reconciler_of(gateway: Mt5Gateway, gate: SendGate, clock: VirtualClock) -> Reconciler:
    """Make one that has its specification read, as a session's has after its first pass."""
    manager = OrdersManager(gateway=gateway, gate=gate, clock=clock)
    return Reconciler(gateway=gateway, gate=gate, clock=clock, orders_manager=manager)


def measure(positions: int, passes: int) -> dict[str, Any]:
    """Return the figures (milliseconds) and their ratios to the baseline."""
    clock = VirtualClock(START)
    with TemporaryDirectory() as folder:
        _, gateway, account = build(Path(folder), positions, clock)
        give_intents(account.pk)
        lease = HeldLease.acquire(account.pk, "bench", clock=clock)
        assert lease is not None
        gate = SendGate(lease, SendJournal(Path(folder) / "journal"), clock)
        reconciler = reconciler_of(gateway, gate, clock)
        reconciler.run()
        book = gateway.book()
        at = clock.now()
        settle()
        found = {
            "baseline": timed(lambda: one_by_one(account.pk, book), undo=False, passes=BASELINE_PASSES),
            "matched": timed(lambda: reconciler.compare(book, at=at), undo=False, passes=passes),
        }
        Order.objects.filter(account=account).delete()
        Cycle.objects.filter(account=account, number__gt=2).update(status="closed", closed_at=at)
        Cycle.objects.filter(account=account, number=2).update(side="sell")
        PolicyRule.objects.create(account=account, kind="missing_books", policy="adopt")
        found["adopting"] = timed(lambda: reconciler.compare(book, at=at), undo=True, passes=passes)
        PolicyRule.objects.all().delete()
        account.bots.update(magic=8)
        found["unknown"] = timed(lambda: reconciler.compare(book, at=at), undo=True, passes=passes)
    figures = {
        f"{name}_{label}_ms": round(percentile(samples, share), 3)
        for name, taken in found.items()
        for label, samples, share in (
            ("p50", taken["wall"], 0.5),
            ("max", taken["wall"], 1.0),
            ("cpu", taken["cpu"], 0.5),
            ("checks", taken["checks"], 0.5),
        )
    }
    base = figures["baseline_p50_ms"]
    ratios = {name: round(figures[f"{name}_p50_ms"] / base, 4) for name in found if name != "baseline"}
    return {"benchmark": "reconcile", "positions": positions, "figures": figures, "ratios": ratios}


def main() -> None:
    """Run it in a database of its own on the site's server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--positions", type=int, default=1000, help="positions and orders (default 1000)")
    parser.add_argument("--passes", type=int, default=10, help="timed passes of each kind (default 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.positions < 20 or options.passes < 1:
        parser.error("--positions, --passes: give 20 positions or more, and a pass at least")
    with postgres.using():
        old = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            found = measure(options.positions, options.passes)
        finally:
            connection.creation.destroy_test_db(old, verbosity=0)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['positions']} positions; baseline: one query a position")
    for name in ("baseline", "matched", "adopting", "unknown"):
        p50, cpu, checks = (found["figures"][f"{name}_{label}_ms"] for label in ("p50", "cpu", "checks"))
        share = f"  {found['ratios'][name]:.3f} of the baseline" if name in found["ratios"] else ""
        print(f"{name:>9}: p50 {p50:9.2f} ms  own processor {cpu:8.2f} ms  commit's checks {checks:8.2f} ms{share}")


if __name__ == "__main__":
    main()
