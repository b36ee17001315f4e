"""Search a bot's parameters on recorded or made prices."""

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backtesting import services
from backtesting.commandline import add_price_options, source_of, teller
from backtesting.domain import BacktestError
from backtesting.optimise.outcome import html, lines_of, outcome_of
from backtesting.optimise.results import Results, identity
from backtesting.optimise.samplers import SAMPLERS
from backtesting.optimise.search import Search, search_sets
from backtesting.optimise.space import OBJECTIVES, objectives_of, space_of
from backtesting.selectors import config_called
from brokers.simulator.recordings import HistoryError
from strategies import registry
from strategies.codehash import code_hash

BROKEN_OFF = 130


class Command(BaseCommand):
    """`manage.py optimize BOT|CONFIG --vary name=first:last:step … [--sampler …] [--folds N] [--json]`."""

    help = (
        "Replay many parameter sets of a bot in parallel processes and say which did best, on which side of which "
        "trade-off, and whether to believe it. What was replayed is kept: the same command goes on where one was "
        "broken off. Nothing of the bot is changed. Exit code 0: done; 1: it could not be run, with the reason; "
        "130: broken off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to vary, on what, and what is wanted."""
        add_price_options(parser)
        parser.add_argument(
            "--vary", action="append", default=[], metavar="NAME=…",
            help="a parameter: name=first:last:step or name=one,two; may be given several times",
        )  # fmt: skip
        parser.add_argument("--sampler", default="grid", help=f"{', '.join(SAMPLERS)} (default grid: every set)")
        parser.add_argument("--count", type=int, default=200, help="sets that random and tpe try (default 200)")
        parser.add_argument("--sampler-seed", type=int, default=1, help="seed of random and tpe (default 1)")
        parser.add_argument(
            "--objective", action="append", default=[],
            help=f"what is wanted, the first one counts most: {', '.join(OBJECTIVES)} (default net and drawdown)",
        )  # fmt: skip
        parser.add_argument("--folds", type=int, default=0, help="walk forward in so many folds (default 0: do not)")
        parser.add_argument("--train", type=float, default=0.7, help="share of a fold that is trained on (default 0.7)")
        parser.add_argument("--min-cycles", type=int, default=10, help="sets with fewer closed cycles don't count")
        parser.add_argument("--heat", nargs=2, default=[], metavar="NAME", help="the two parameters of the heat map")
        parser.add_argument(
            "--processes", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
        )
        parser.add_argument("--fresh", action="store_true", help="replay again what was replayed before")
        parser.add_argument("--html", type=Path, help="write the report to a file")
        parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Search and print."""
        try:
            outcome, about = self._outcome(options)
        except (BacktestError, HistoryError) as problem:
            raise CommandError(str(problem)) from None
        except KeyboardInterrupt:
            raise CommandError(
                "Broken off. What was replayed is kept; the same command goes on.", returncode=BROKEN_OFF
            ) from None
        if options["html"] is not None:
            options["html"].write_text(html(outcome, title=f"Optimisation of {about['Bot']}", about=about), "utf-8")
        self.stdout.write(json.dumps({**about, **outcome}) if options["json"] else "\n".join(lines_of(outcome)))

    def _outcome(self, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not 1 <= options["processes"] <= 256:
            raise BacktestError("--processes: give a number from 1 to 256")
        config = config_called(options["config"])
        spec = registry.get(config.strategy)
        search = Search(
            space_of(options["vary"], spec, config.values), objectives_of(options["objective"]),
            sampler=options["sampler"], count=options["count"], seed=options["sampler_seed"],
            folds=options["folds"], train=options["train"], closed_min=options["min_cycles"],
        )  # fmt: skip
        unknown = [name for name in options["heat"] if name not in {p.name for p in search.space.parameters}]
        if unknown:
            raise BacktestError(f"--heat {unknown[0]}: it is not varied; name two parameters of --vary")
        source = source_of(config, options)
        account = services.account_of(source, balance=options["balance"], leverage=options["leverage"])
        plan = services.plan_of(config, source, account)
        digest = source.history.digest()
        facts = {
            **services.described(plan),
            "data_hash": digest,
            "code": code_hash(spec),
            "interval": plan.interval_seconds,
        }
        with Results(Path(settings.VAR_DIR) / "optimisations", identity(facts)) as results:
            if options["fresh"]:
                results.forget()
            known = len(results)
            folds = search_sets(
                search,
                plan,
                source.history,
                results,
                processes=options["processes"],
                told=self._progress(options["json"]),
            )
            replayed = len(results) - known
        about = {
            "Bot": str(config), "Strategy": f"{spec.title} version {spec.version}", "Prices": source.text,
            "Data hash": digest, "Replayed": replayed, "Kept from before": known,
            "Varied": {p.name: len(p.values) for p in search.space.parameters},
        }  # fmt: skip
        return outcome_of(search, folds, options["heat"]), about

    def _progress(self, quiet: bool) -> Any:
        tell = teller(self.stderr, quiet)
        return lambda done, of: tell(done / of)
