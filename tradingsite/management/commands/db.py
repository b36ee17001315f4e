"""Look after the embedded PostgreSQL by hand."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tradingsite import postgres


class Command(BaseCommand):
    """`manage.py db start|stop|status`."""

    help = "Start, stop or show the embedded PostgreSQL."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the action."""
        parser.add_argument("action", choices=["start", "stop", "status"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it. Exit code 1 when it can't be done, or when `status` finds the server down."""
        if not postgres.is_embedded():
            raise CommandError("DATABASE_URL is set, so the site uses that server and has none of its own.")
        try:
            if options["action"] == "start":
                postgres.ensure_running()
            elif options["action"] == "stop":
                postgres.stop()
            self._show(options["action"], as_json=options["json"])
        except postgres.PostgresError as error:
            raise CommandError(str(error)) from error

    def _show(self, action: str, *, as_json: bool) -> None:
        seen = postgres.status()
        if as_json:
            facts = {"running": seen.running, "pid": seen.pid, "data": str(seen.data), "sessions": seen.sessions}
            self.stdout.write(json.dumps(facts))
        elif seen.running:
            self.stdout.write(
                f"The embedded PostgreSQL runs (process {seen.pid}, {seen.sessions} sessions): {seen.url}"
            )
        else:
            self.stdout.write(f"The embedded PostgreSQL is stopped. Its data is in {seen.data}.")
        if action == "status" and not seen.running:
            raise SystemExit(1)
