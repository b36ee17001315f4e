"""Candles on disk: import files, write them out, check them, list them."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.validation import symbol_name
from brokers.simulator.recordings.lines import HistoryError
from marketdata.candlefile import DamagedFile
from marketdata.candleimport import BadLines, export_csv, import_file
from marketdata.candlestore import SeriesId
from marketdata.selectors import candle_store

DEFAULT_SOURCE = "files"
DAMAGED = 2
BAR = 30


class Command(BaseCommand):
    """`manage.py history import|export|verify|status`."""

    help = "Candles on disk. Exit codes: 0 done; 1 a file or an argument can't be used; 2 verify found damage."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="what", required=True)
        taken = subcommands.add_parser("import", help="merge files into the store, each whole or not at all")
        taken.add_argument("files", nargs="+", metavar="FILE")
        taken.add_argument("--symbol", required=True, help="our name of the symbol, for example EURUSD")
        taken.add_argument("--source", default=DEFAULT_SOURCE, help="where the candles come from")
        taken.add_argument("--server-clock", default="ny+7", help="clock of MetaTrader exports: ny+7, utc, utc+2, …")
        written = subcommands.add_parser("export", help="write a series as CSV")
        written.add_argument("--symbol", required=True)
        written.add_argument("--seconds", type=int, default=60, help="length of the candles")
        written.add_argument("--source", default=DEFAULT_SOURCE)
        written.add_argument("--from", dest="since", default="1971-01-01", help="first day, UTC")
        written.add_argument("--until", default="2100-01-01", help="day after the last one, UTC")
        written.add_argument("--output", metavar="FILE", help="instead of the terminal")
        subcommands.add_parser("verify", help="read every file and compare it with its checksum")
        subcommands.add_parser("status", help="list series with their span, rows and gaps")
        for one in subcommands.choices.values():
            one.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the subcommand says."""
        self.store = candle_store()
        try:
            {"import": self._import, "export": self._export, "verify": self._verify, "status": self._status}[
                options["what"]
            ](options)
        except BadLines as problem:
            for line in problem.lines:
                self.stderr.write(line)
            raise CommandError(str(problem)) from None
        except (HistoryError, DamagedFile, ValueError) as problem:
            raise CommandError(str(problem)) from None
        except OSError as problem:
            raise CommandError(f"The store can't be written: {problem.strerror or problem}. Nothing changed.") from None

    def _import(self, options: dict[str, Any]) -> None:
        try:
            symbol_name(options["symbol"])
        except ValidationError as problem:
            raise CommandError(f"--symbol: {problem.messages[0]}") from None
        results = []
        for file in map(Path, options["files"]):
            if not file.is_file():
                raise CommandError(f"{file}: there is no such file")
            found = import_file(
                self.store, file, source=options["source"], symbol=options["symbol"],
                server_clock=options["server_clock"], progress=self._progress(file),
            )  # fmt: skip
            results.append({"file": str(file), **asdict(found)})
            if not options["json"]:
                self.stdout.write(
                    f"{file.name}: {found.rows:,} candles of {found.seconds} s ({found.form}), {found.changed:,} new "
                    f"or changed, {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}"
                )
        if options["json"]:
            self.stdout.write(json.dumps({"files": results}, default=str))

    def _progress(self, file: Path) -> Callable[[int], None]:
        """Draw a bar on a terminal; a compressed file's length is not known, so its bar may run ahead."""
        size, drawn = max(1, file.stat().st_size), [-1]

        def draw(read: int) -> None:
            done = min(BAR, BAR * read // size)
            if sys.stderr.isatty() and done != drawn[0]:
                drawn[0] = done
                end = "\n" if done == BAR else ""
                self.stderr.write(f"\r{file.name} [{'#' * done}{' ' * (BAR - done)}]", ending=end)

        return draw

    def _export(self, options: dict[str, Any]) -> None:
        series = SeriesId(options["source"], options["symbol"], options["seconds"])
        if not self.store.parts(series):
            known = ", ".join(f"{s.symbol} {s.seconds} s from {s.source}" for s in self.store.series()) or "none"
            raise CommandError(f"There are no such candles; known: {known}")
        span = {"since": _day(options["since"], "--from"), "until": _day(options["until"], "--until")}
        if options["output"] is None:
            export_csv(self.store, series, sys.stdout, **span)
            return
        with Path(options["output"]).open("w", encoding="utf-8", newline="\n") as out:
            rows = export_csv(self.store, series, out, **span)
        told = {"file": options["output"], "rows": rows}
        self.stdout.write(json.dumps(told) if options["json"] else f"{rows:,} candles written to {options['output']}")

    def _verify(self, options: dict[str, Any]) -> None:
        problems, count = [], 0
        for series in self.store.series():
            count += 1
            problems += self.store.verify(series)
        if options["json"]:
            self.stdout.write(json.dumps({"series": count, "problems": problems}))
        else:
            for problem in problems:
                self.stdout.write(problem)
            self.stdout.write(f"{count} series, {len(problems)} problems")
        if problems:
            raise SystemExit(DAMAGED)

    def _status(self, options: dict[str, Any]) -> None:
        rows = []
        for series in self.store.series():
            parts = list(self.store.parts(series).values())
            gaps = self.store.gaps(series, longer_than=timedelta(hours=1) + timedelta(seconds=series.seconds))
            rows.append(
                {
                    **asdict(series),
                    "rows": sum(part.rows for part in parts),
                    "first": datetime.fromtimestamp(parts[0].first, UTC),
                    "last": datetime.fromtimestamp(parts[-1].last, UTC),
                    "gaps": len(gaps),
                }
            )
        if options["json"]:
            self.stdout.write(json.dumps({"series": rows}, default=str))
            return
        for row in rows:
            self.stdout.write(
                f"{row['symbol']} {row['seconds']} s from {row['source']}: {row['rows']:,} candles, "
                f"{row['first']:%Y-%m-%d} to {row['last']:%Y-%m-%d}, {row['gaps']} gaps over an hour"
            )
        if not rows:
            self.stdout.write("No candles yet: `manage.py history import FILE --symbol EURUSD`.")


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(f"{option}: write a day as 2026-03-29") from None
