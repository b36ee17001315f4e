"""Import a news calendar."""

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import SystemClock
from risk.services.news import import_calendar


class Command(BaseCommand):
    """`manage.py newscalendar FILE [--json]`."""

    help = "Import a news calendar from a CSV or iCal file. Exit code 0: imported; 1: it can't be read."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the file."""
        parser.add_argument("file", type=Path, help="CSV with the header time,currency,impact,title, or iCal")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and import."""
        try:
            text = options["file"].read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise CommandError(f"{options['file']} can't be read: {problem}") from None
        try:
            new = import_calendar(text=text, at=SystemClock().now())
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(json.dumps({"new": new}) if options["json"] else f"{new} new events")
