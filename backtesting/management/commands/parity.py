"""Measure how far bots' days were from replays of them."""

import json
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backtesting.models import ParityReport
from backtesting.parity import books
from backtesting.parity.domain import Cause
from backtesting.parity.measuring import measure
from core.clock import Clock, SystemClock
from engine.visiting import chosen_accounts
from strategies.models import Bot

CLOCK: Clock = SystemClock()
DRIFTED, NOTHING = 2, 3
HEAD = f"{'bot':<20}{'day':<12}{'legs':>6}{'replay':>8}{'live':>12}{'replayed':>12}{'drift':>10}  causes"


class Command(BaseCommand):
    """`manage.py parity [--account NAME] [--date YYYY-MM-DD] [--json]`."""

    help = (
        "Replay a day of every bot on the ticks that its session recorded, and say how far live was from it and why. "
        "Exit code 0: measured, no drift above the limit; 2: a drift above it; 3: nothing could be measured; 1: there "
        "is no such account."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the accounts and the day."""
        parser.add_argument("--account", action="append", help="name or login; repeat it for several (default: all)")
        parser.add_argument(
            "--date", type=date.fromisoformat, help="a day of the broker's clock, YYYY-MM-DD (default: the last one)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure, print, and end with what was found."""
        try:
            accounts = chosen_accounts(options["account"])
        except LookupError as problem:
            raise CommandError(str(problem)) from None
        reports = []
        for bot in (
            Bot.objects.filter(account_id__in=accounts).select_related("account").order_by("account__name", "pk")
        ):
            day = options["date"] or books.day_of(bot.account_id, CLOCK.now())
            reports.append(measure(bot, day, clock=CLOCK))
        if options["json"]:
            self.stdout.write(json.dumps({"reports": [_plain(report) for report in reports]}))
        else:
            self._print(reports)
        if not any(report.status == ParityReport.Status.MEASURED for report in reports):
            raise SystemExit(NOTHING)
        if any(report.is_over for report in reports):
            raise SystemExit(DRIFTED)

    def _print(self, reports: list[ParityReport]) -> None:
        if not reports:
            self.stdout.write("There is no bot yet.")
            return
        self.stdout.write(HEAD)
        for report in reports:
            known = f"{report.bot.name[:19]:<20}{report.day!s:<12}"
            if report.status == ParityReport.Status.SKIPPED:
                self.stdout.write(f"{known}not measured: {report.note}")
                continue
            causes = ", ".join(f"{c.replace('_', ' ')} {report.causes[c]:+.2f}" for c in Cause if report.causes[c])
            over = "  above the limit" if report.is_over else ""
            self.stdout.write(
                f"{known}{report.live_legs:>6}{report.replay_legs:>8}{report.live_net:>12.2f}{report.replay_net:>12.2f}"
                f"{report.drift:>10.2f}  {causes or 'none'}{over}"
            )


def _plain(report: ParityReport) -> dict[str, Any]:
    return {
        "account": report.bot.account.name,
        "bot": report.bot.name,
        "day": report.day.isoformat(),
        "status": report.status,
        "note": report.note,
        "begin": report.begin.isoformat() if report.begin else None,
        "end": report.end.isoformat() if report.end else None,
        "live_legs": report.live_legs,
        "replay_legs": report.replay_legs,
        **{name: float(getattr(report, name)) for name in ("live_net", "replay_net", "drift", "limit")},
        "is_over": report.is_over,
        "causes": report.causes,
        "legs": report.rows,
    }
