"""Replay a bot's configuration over recorded or made prices."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backtesting import services
from backtesting.commandline import add_price_options, source_of, teller
from backtesting.domain import BacktestError
from backtesting.report import figure_rows, html
from backtesting.selectors import config_called
from brokers.simulator.recordings import HistoryError
from core.clock import SystemClock


class Command(BaseCommand):
    """`manage.py backtest BOT|CONFIG (--history FILE … | --seed N) [--from --to] [--json] [--html FILE]`."""

    help = (
        "Replay a bot over prices from files (bars or ticks) or from the price model, and keep the result. "
        "Exit code 0: done; 1: it could not be run, with the reason."
    )
    # What they look at has nothing to do with a replay, and they take a while
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to replay, on what."""
        add_price_options(parser)
        parser.add_argument("--html", type=Path, help="write the report to a file")
        parser.add_argument("--json", action="store_true", help="print the whole result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay and print."""
        clock = SystemClock()
        try:
            config = config_called(options["config"])
            source = source_of(config, options)
            account = services.account_of(source, balance=options["balance"], leverage=options["leverage"])
            plan = services.plan_of(config, source, account)
            backtest = services.begin(config=config, source=source, plan=plan, by=None, clock=clock)
            services.run(backtest, plan, source, clock=clock, told=teller(self.stderr, options["json"]))
        except (BacktestError, HistoryError) as problem:
            raise CommandError(str(problem)) from None
        report: dict[str, Any] = backtest.result or {}
        about = services.about(backtest)
        if options["html"] is not None:
            options["html"].write_text(html(report, title=f"Backtest of {config}", about=about), "utf-8")
        if options["json"]:
            self.stdout.write(
                json.dumps({"id": backtest.pk, "data_hash": backtest.data_hash, "plan": backtest.plan, **report})
            )
            return
        for name in ("Bot", "Prices", "Account", "Asked"):
            self.stdout.write(f"{name:<22}{about[name]}")
        for label, _, (text,) in figure_rows(report):
            self.stdout.write(f"{label:<22}{text}")
