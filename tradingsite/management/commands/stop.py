"""Stop what runs of this checkout."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tradingsite import postgres
from tradingsite.processes import stop_site


class Command(BaseCommand):
    """`manage.py stop`, and `make stop`."""

    help = "Stop the engine, the site and the embedded PostgreSQL of this checkout."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop them; harmless when nothing runs."""
        ended = stop_site()
        self.stdout.write(f"Engine and site are stopped ({ended} processes)." if ended else "No engine or site ran.")
        try:
            if postgres.is_embedded():
                stopped = postgres.stop()
                self.stdout.write("The embedded PostgreSQL is stopped." if stopped else "No embedded PostgreSQL ran.")
        except postgres.PostgresError as error:
            raise CommandError(str(error)) from error
