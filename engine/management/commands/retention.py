"""Remove what is old and no fact of money; the jobs' cluster does the same every night."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.clock import SystemClock
from engine.retention import retire, table_sizes


class Command(BaseCommand):
    """`manage.py retention [--dry-run] [--json]`."""

    help = (
        "Remove old events, answered requests, sent notifications and reasons why nothing was sent, as the nightly job "
        "does; how old is set by TRADING_RETENTION_… Facts of money are never removed. Exit codes: 0 done, 1 it could "
        "not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove, and say what is gone."""
        quiet = options["json"] or not sys.stderr.isatty()

        def tell(kind: str, rows: int) -> None:
            if not quiet:
                self.stderr.write(f"\r{kind}: {rows:,} ", ending="")

        found = retire(clock=SystemClock(), dry_run=options["dry_run"], tell=tell)
        if options["json"]:
            removed = [asdict(one) for one in found]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "removed": removed, "tables": table_sizes()}))
            return
        done = "would go" if options["dry_run"] else "removed"
        for one in found:
            self.stdout.write(f"{one.kind} older than {one.days} days: {one.rows:,} {done}")
