"""Replay a bot's configuration over recorded or made prices."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backtesting import services
from backtesting.domain import BacktestError
from backtesting.report import figure_rows, html
from backtesting.selectors import config_called
from backtesting.sources import Source, from_files, from_model
from brokers.simulator.recordings import HistoryError
from core.clock import SystemClock
from strategies.models import BotConfig


class Command(BaseCommand):
    """`manage.py backtest BOT|CONFIG (--history FILE … | --seed N) [--from --to] [--json] [--html FILE]`."""

    help = (
        "Replay a bot over prices from files (bars or ticks) or from the price model, and keep the result. "
        "Exit code 0: done; 1: it could not be run, with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to replay, on what."""
        parser.add_argument("config", help="a bot's name or number, or NAME@VERSION for an older configuration")
        parser.add_argument("--history", type=Path, nargs="+", default=[], help="files; bid and ask bars are two files")
        parser.add_argument("--seed", type=int, help="prices of the model with this seed instead of files")
        parser.add_argument("--from", dest="begin", type=datetime.fromisoformat, help="first moment, UTC")
        parser.add_argument("--to", dest="end", type=datetime.fromisoformat, help="end, UTC")
        parser.add_argument("--balance", type=float, default=10_000.0, help="balance at the start (default 10,000)")
        parser.add_argument("--leverage", type=int, default=100, help="leverage (default 100)")
        parser.add_argument("--spread", type=float, default=1.0, help="pips, where there are bid bars only (default 1)")
        parser.add_argument("--html", type=Path, help="write the report to a file")
        parser.add_argument("--json", action="store_true", help="print the whole result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay and print."""
        if bool(options["history"]) == (options["seed"] is not None):
            raise CommandError("--history, --seed: give files, or a seed")
        for name, least in (("balance", 0.01), ("leverage", 1), ("spread", 0.0)):
            if not least <= options[name] < 1e12:
                raise CommandError(f"--{name}: give a number from {least:g} on")
        clock = SystemClock()
        try:
            config = config_called(options["config"])
            source = self._source(config, options)
            account = services.account_of(source, balance=options["balance"], leverage=options["leverage"])
            plan = services.plan_of(config, source, account)
            backtest = services.begin(config=config, source=source, plan=plan, by=None, clock=clock)
            services.run(backtest, plan, source, clock=clock, told=self._progress(options["json"]))
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

    def _source(self, config: BotConfig, options: dict[str, Any]) -> Source:
        begin, end = (
            None if at is None else at.replace(tzinfo=at.tzinfo or UTC) for at in (options["begin"], options["end"])
        )
        symbols = config.bot.symbols
        if options["history"]:
            return from_files(options["history"], symbols, spread_pips=options["spread"], begin=begin, end=end)
        return from_model(symbols, seed=options["seed"], begin=begin, end=end)

    def _progress(self, quiet: bool) -> Any:
        """Show progress on a terminal only."""
        if quiet or not self.stderr.isatty():
            return lambda share: None

        def tell(share: float) -> None:
            self.stderr.write(f"\r{share:4.0%}", ending="\n" if share >= 1 else "")

        return tell
