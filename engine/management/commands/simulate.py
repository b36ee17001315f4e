"""Rehearse whole accounts in virtual time with faults and crashes, and judge what came of them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from core.clock import SystemClock

WORKERS_MAX = 32


class Command(BaseCommand):
    """`manage.py simulate --seed N [--count M] [--faults a,b] [--matrix] [--workers W] [--budget S] [--json]`."""

    help = (
        "Rehearse accounts in virtual time: one seed drives prices, faults and crashes; the same seed ends in the same "
        "state, byte for byte. Works in a database of its own. "
        "Exit code 0: every promise held; 2: one was broken (seed and shrunk history are printed); 1: wrong options."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--seed", type=int, required=True, help="the first seed")
        parser.add_argument("--count", type=int, default=1, help="how many seeds, one after the other")
        parser.add_argument("--faults", default="", metavar="A,B", help="only these faults; `none` for a calm run")
        parser.add_argument("--matrix", action="store_true", help="run the directed matrix, in the seed's order")
        parser.add_argument("--case", help="run one field of the matrix: operation/point/end/fault/mode")
        parser.add_argument("--seconds", type=float, default=300.0, help="simulated seconds of trading a seed")
        parser.add_argument("--workers", type=int, default=1, help="processes that share the seeds")
        parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="which part of the matrix, of how many")
        parser.add_argument("--budget", type=float, help="begin no further seed after so many seconds")
        parser.add_argument("--template", default="", help="make the database of this one, which is migrated")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, print, and exit with 2 when a promise was broken."""
        names = self._checked(options)
        clock = SystemClock()
        began = clock.ticks()
        with import_string(settings.DATABASE_SESSION)():
            report = self._share(options) if options["workers"] > 1 else self._run(options, names)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            for failure in report["failures"]:
                self.stdout.write(failure["story"])
            figures = ", ".join(f"{value} {name}" for name, value in report["figures"].items())
            runs = f"{report['runs']} of {_wanted(options)} runs in {clock.ticks() - began:.0f} s"
            self.stdout.write(f"{runs}, {len(report['failures'])} failed: {figures}")
        if report["failures"]:
            raise SystemExit(2)

    def _checked(self, options: dict[str, Any]) -> tuple[str, ...]:
        try:
            from tests.simulation.faults import FAULTS
        except ImportError:
            raise CommandError("The simulation lives in the folder tests/, which this installation lacks.") from None
        if options["count"] < 1:
            raise CommandError("--count: give a number above 0.")
        if not 30 <= options["seconds"] <= 86_400:
            raise CommandError("--seconds: give a number from 30 to 86400.")
        if not 1 <= options["workers"] <= WORKERS_MAX:
            raise CommandError(f"--workers: give a number from 1 to {WORKERS_MAX}.")
        if options["faults"] == "none":
            return ()
        names = tuple(name.strip() for name in options["faults"].split(",") if name.strip()) or tuple(FAULTS)
        unknown = [name for name in names if name not in FAULTS]
        if unknown:
            raise CommandError(f"--faults: there is no {unknown[0]!r}; known: {', '.join(FAULTS)}.")
        return names

    def _run(self, options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        from tests.simulation.database import own_database
        from tests.simulation.summary import Summary

        clock, summary = SystemClock(), Summary()
        with own_database(options["template"]):
            began = clock.ticks()
            for name, run in self._runs(options, names):
                if options["budget"] is not None and clock.ticks() - began > options["budget"]:
                    break
                try:
                    result = run()
                except Exception:
                    self.stderr.write(f"{name} broke off:")
                    raise
                summary.add(name, result)
                if not options["json"]:
                    self.stdout.write(f"{name}: {'FAILED' if result.violations else 'held'}  {result.digest[:16]}")
        return summary.as_json()

    def _runs(self, options: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Give each run's name and what runs it. A seed that fails is shrunk at once."""
        from tests.simulation import matrix
        from tests.simulation.run import shrunk

        if options["case"]:
            try:
                case = matrix.Case.parse(options["case"])
            except ValueError as problem:
                raise CommandError(f"--case: {problem}.") from None
            yield str(case), partial(matrix.run_case, case)
        elif options["matrix"]:
            part, parts = options["part"]
            for case in matrix.in_layers(options["seed"])[part::parts]:
                yield str(case), partial(matrix.run_case, case)
        else:
            for seed in range(options["seed"], options["seed"] + options["count"]):
                yield f"seed {seed}", partial(shrunk, seed, names, options["seconds"])

    def _share(self, options: dict[str, Any]) -> dict[str, Any]:
        """Deal the seeds out to processes, each with a database of its own, and add their reports up."""
        from tests.simulation.database import template_database
        from tests.simulation.summary import merged

        with template_database() as template:
            return merged(self._reports({**options, "template": template}))

    def _reports(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        each, more = divmod(options["count"], options["workers"])
        first, children = options["seed"], []
        for number in range(options["workers"]):
            if options["matrix"]:
                children.append(
                    self._child(first, 1, options, "--matrix", "--part", str(number), str(options["workers"]))
                )
                continue
            count = each + (number < more)
            if count:
                children.append(self._child(first, count, options))
            first += count
        reports = []
        try:
            for child in children:
                out, _ = child.communicate()
                if child.returncode not in (0, 2):
                    raise CommandError(f"A worker ended with exit code {child.returncode}; its error is above.")
                reports.append(json.loads(out.splitlines()[-1]))
        finally:
            for child in children:
                if child.poll() is None:
                    child.terminate()
                    child.communicate()
        return reports

    def _child(self, seed: int, count: int, options: dict[str, Any], *more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate", "--json", *more]
        command += ["--seed", str(seed), "--count", str(count), "--seconds", str(options["seconds"])]
        command += ["--template", options["template"]]
        command += ["--faults", options["faults"]] if options["faults"] else []
        command += ["--budget", str(options["budget"])] if options["budget"] is not None else []
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _wanted(options: dict[str, Any]) -> int:
    """Return how many runs were asked for; a budget may have ended them before."""
    from tests.simulation import matrix

    if options["case"]:
        return 1
    if options["matrix"]:
        part, parts = options["part"]
        return len(list(matrix.cases())[part::parts])
    return int(options["count"])
