"""Look after the audit trail."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from events.audit import verify


class Command(BaseCommand):
    """`manage.py audit verify [--json]`."""

    help = (
        "Follow the audit trail's chains from the first entry on. Exit code 0: every chain is whole; 2: one is not, "
        "and its first entry that doesn't fit is named. Compare the heads with the log's, to see that none was cut."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the one thing it does."""
        parser.add_argument("what", choices=["verify"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify and print."""
        chains = list(verify())
        if options["json"]:
            self.stdout.write(json.dumps({"chains": [asdict(chain) for chain in chains]}))
        else:
            for chain in chains:
                name = "no account" if chain.account_id is None else f"account {chain.account_id}"
                state = f"BROKEN: {chain.problem}" if chain.problem else f"whole, head {chain.head}"
                self.stdout.write(f"{name}: {chain.entries} entries, {state}")
            if not chains:
                self.stdout.write("There is no entry yet.")
        if any(chain.problem for chain in chains):
            raise SystemExit(2)
