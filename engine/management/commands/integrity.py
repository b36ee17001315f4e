"""Check the relations between cycles, orders and the broker."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.credentials import CredentialError
from brokers.gateway import BrokerError
from core.clock import Clock, SystemClock
from core.ids import SystemIds
from cycles.integrity import CHECKS
from engine.reconciling import check_integrity
from engine.visiting import NoAnswer, chosen_accounts
from orders.gate import LeaseLost

UNSOUND, FAILED = 2, 3
CLOCK: Clock = SystemClock()


class Command(BaseCommand):
    """`manage.py integrity [--account NAME] [--check NAME] [--fix] [--json]`."""

    help = (
        "Check cycles, orders and broker against each other: orphaned, misplaced and missing orders, level maps, "
        "cycles closed by mistake in the last 24 h, figures. An account that an engine runs is checked by that engine. "
        "Exit code 0: sound, or all repaired; 2: problems are left; 3: an account could not be checked; 1: there is no "
        "such account."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the accounts, the checks and what to do."""
        parser.add_argument("--account", action="append", help="name or login; repeat it for several (default: all)")
        parser.add_argument("--check", action="append", choices=sorted(CHECKS), help="one check (default: all)")
        parser.add_argument("--fix", action="store_true", help="repair what can be repaired")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and print."""
        try:
            accounts = chosen_accounts(options["account"])
        except LookupError as problem:
            raise CommandError(str(problem)) from None
        names = options["check"] or list(CHECKS)
        found = {name: self._check(pk, names, options["fix"]) for pk, name in accounts.items()}
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            for name, verdict in found.items():
                self._print(name, verdict)
        if any("error" in verdict for verdict in found.values()):
            raise SystemExit(FAILED)
        if any(verdict["left"] for verdict in found.values()):
            raise SystemExit(UNSOUND)

    def _check(self, account_id: int, names: list[str], fix: bool) -> dict[str, Any]:
        try:
            return check_integrity(account_id, names, fix=fix, clock=CLOCK, ids=SystemIds())
        except (BrokerError, CredentialError, LeaseLost, NoAnswer) as problem:
            return {"error": str(problem)}

    def _print(self, name: str, verdict: dict[str, Any]) -> None:
        if "error" in verdict:
            self.stdout.write(f"{name}: not checked: {verdict['error']}")
            return
        kinds = ", ".join(f"{count} {check}" for check, count in verdict["found"].items()) or "sound"
        self.stdout.write(f"{name}: {kinds}; {verdict['fixed']} repaired, {verdict['left']} left")
        for text in verdict["problems"]:
            self.stdout.write(f"  {text}")
