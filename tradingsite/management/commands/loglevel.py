"""See more, or less, in the log of running processes."""

import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.clock import SystemClock
from core.loglevel import LEVELS, asked_level, set_level

MINUTES = 60
USUAL = "usual"


class Command(BaseCommand):
    """`manage.py loglevel [DEBUG|INFO|WARNING|ERROR|usual] [--minutes N]`."""

    help = (
        "Show or change the level of this host's log while everything runs; LOG_LEVEL holds again afterwards. "
        "Exit codes: 0 done, 1 the folder of the log can't be written."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare level and time."""
        parser.add_argument("level", nargs="?", choices=[*LEVELS, USUAL], help="without it the present one is shown")
        parser.add_argument("--minutes", type=int, default=MINUTES, help=f"for how long ({MINUTES}); 0 until changed")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change and show it."""
        folder, now = settings.VAR_DIR / "log", SystemClock().now()
        level, minutes = options["level"], options["minutes"]
        if not 0 <= minutes <= 60 * 24 * 365:
            raise CommandError("--minutes: give 0 to 525600.")
        try:
            if level is not None:
                until = now + timedelta(minutes=minutes) if minutes else None
                set_level(folder, None if level == USUAL else level, until=until)
        except OSError as problem:
            raise CommandError(f"{folder}: {problem.strerror}.") from None
        asked = asked_level(folder, now)
        if options["json"]:
            self.stdout.write(json.dumps({"asked": asked, "usual": settings.LOG_LEVEL}))
        elif asked is None:
            self.stdout.write(f"The usual level, {settings.LOG_LEVEL}.")
        else:
            self.stdout.write(f"{asked}. Running processes follow within seconds.")
