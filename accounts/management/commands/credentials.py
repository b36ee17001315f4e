"""Look after the stored broker secrets."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from accounts.rotation import look, rotate
from core.clock import SystemClock
from events.audit import record_change


class Command(BaseCommand):
    """`manage.py credentials status|rotate [--json]`."""

    help = (
        "Show which key of TRADING_CREDENTIAL_KEYS encrypts how many stored secrets, or encrypt all of them with the "
        "first one; the engine may run meanwhile. Exit code 0: done; 2: a secret can't be read, and is named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the action."""
        parser.add_argument("action", choices=["status", "rotate"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and print what there is now."""
        found = rotate() if options["action"] == "rotate" else look()
        if found.changed:
            newest = next(iter(settings.CREDENTIAL_KEYS))
            record_change(
                kind="CREDENTIALS_ROTATED",
                text=f"{found.changed} stored secrets were encrypted with the key {newest}",
                by=None,
                at=SystemClock().now(),
            )
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            for key_id, count in sorted(found.by_key.items()):
                state = "" if key_id in settings.CREDENTIAL_KEYS else ", which TRADING_CREDENTIAL_KEYS does not hold"
                self.stdout.write(f"{count} with the key {key_id}{state}")
            self.stdout.write(f"{found.changed} changed")
            for line in found.unreadable:
                self.stderr.write(line)
        if found.unreadable:
            raise SystemExit(2)
