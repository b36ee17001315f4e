"""Compare accounts' books with their brokers."""

import json
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import Clock, SystemClock
from core.ids import SystemIds
from engine.reconciling import reconcile_account
from engine.visiting import chosen_accounts
from reconciliation.scheduler import AccountRecord, ReconciliationScheduler

EQUAL, DIVERGENT, FAILED = 0, 2, 3
CLOCK: Clock = SystemClock()


class Command(BaseCommand):
    """`manage.py reconcile [--account NAME] [--once] [--dry-run] [--json]`."""

    help = (
        "Compare books and broker every few seconds, write what diverges into the ledger, and let policies act. An "
        "account that an engine runs is compared by that engine. Exit code 0: nothing is open; 2: divergences wait "
        "for a person; 3: an account could not be compared; 1: there is no such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the accounts and the way of running."""
        parser.add_argument("--account", action="append", help="name or login; repeat it for several (default: all)")
        parser.add_argument("--once", action="store_true", help="make one round and end")
        parser.add_argument("--dry-run", action="store_true", help="only look: write nothing into the ledger")
        parser.add_argument("--json", action="store_true", help="print one JSON object a round")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make one round, or rounds until Ctrl-C."""
        try:
            accounts = chosen_accounts(options["account"])
        except LookupError as problem:
            raise CommandError(str(problem)) from None
        clock, ids = CLOCK, SystemIds()
        scheduler = ReconciliationScheduler(
            lambda pk: reconcile_account(pk, clock=clock, ids=ids, dry_run=options["dry_run"]),
            lambda: list(accounts),
            clock=clock,
            interval_seconds=settings.RECONCILIATION_INTERVAL,
            at_once=settings.RECONCILIATION_AT_ONCE,
        )

        def tell(records: dict[int, AccountRecord]) -> None:
            self._tell({accounts[pk]: r for pk, r in records.items()}, as_json=options["json"])

        if options["once"]:
            tell(scheduler.run_once())
        else:
            before = {
                name: signal.signal(name, lambda *_: scheduler.stop()) for name in (signal.SIGINT, signal.SIGTERM)
            }
            try:
                scheduler.run(tell)
            finally:
                for name, handler in before.items():
                    signal.signal(name, handler)
        records = scheduler.records.values()
        if any(r.last_error for r in records):
            raise SystemExit(FAILED)
        if any(r.last.get("open") for r in records):
            raise SystemExit(DIVERGENT)

    def _tell(self, records: dict[str, AccountRecord], *, as_json: bool) -> None:
        if as_json:
            found = {name: {"error": r.last_error} if r.last_error else r.last for name, r in records.items()}
            self.stdout.write(json.dumps(found))
            return
        for name, r in records.items():
            if r.last_error:
                self.stdout.write(f"{name}: not compared: {r.last_error}")
                continue
            kinds = ", ".join(f"{count} {kind}" for kind, count in r.last["findings"].items()) or "nothing diverges"
            counts = f"{r.last['positions']} positions, {r.last['orders']} orders, {r.last['matched']} matched"
            self.stdout.write(f"{name}: {counts}; {kinds}; {r.last['open']} open")
