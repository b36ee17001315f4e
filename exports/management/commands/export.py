"""Exports from a terminal, straight into a file."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.commandkit import EXIT_CODES, find_account, in_words
from core.clock import SystemClock
from exports.domain import Format, Kind
from exports.services import check
from exports.writing import write

BAR = 30


class Command(BaseCommand):
    """`manage.py export KIND ACCOUNT --format F --output FILE`."""

    help = f"Write a statement, deals, cycles or equity of an account into a file (- is the screen). {EXIT_CODES}"

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to export, of when, as what."""
        parser.add_argument("kind", choices=[str(kind) for kind in Kind])
        parser.add_argument("account", help="its name or number")
        parser.add_argument("--format", choices=list(Format), help="unneeded where FILE says it")
        parser.add_argument("--from", dest="since", type=datetime.fromisoformat, help="first moment, UTC")
        parser.add_argument("--to", dest="until", type=datetime.fromisoformat, help="last moment, UTC")
        parser.add_argument("--output", required=True, help="a new file; - writes to the screen")
        parser.add_argument("--json", action="store_true", help="print one JSON object about the file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file. Raises CommandError with what was wrong."""
        account, output = find_account(options["account"]), options["output"]
        kind, filetype = Kind(options["kind"]), self._format(options)
        since, until = (
            at and (at if at.tzinfo else at.replace(tzinfo=UTC)) for at in (options["since"], options["until"])
        )
        try:
            check(kind=kind, filetype=filetype, since=since, until=until)
        except ValidationError as problem:
            raise CommandError(in_words(problem)) from None
        span = {"since": since, "until": until, "now": SystemClock().now()}
        if output == "-":
            write(sys.stdout.buffer, kind, filetype, account, **span)
            return
        path = Path(output)
        try:
            with path.open("xb") as file:
                rows = write(file, kind, filetype, account, **span, told=self._teller(options))
        except FileExistsError:
            raise CommandError(f"--output: {path} exists; it is not overwritten.") from None
        except (OSError, ValueError) as problem:
            if path.is_file():
                path.unlink()
            raise CommandError(f"--output: {problem}") from None
        told = {"file": str(path), "kind": kind, "format": filetype, "rows": rows, "bytes": path.stat().st_size}
        self.stdout.write(json.dumps(told) if options["json"] else f"{path}: {rows:,} rows")

    def _format(self, options: dict[str, Any]) -> Format:
        name = options["format"] or Path(options["output"]).suffix.removeprefix(".").lower()
        try:
            return Format(name)
        except ValueError:
            raise CommandError(f"--format: say one of {', '.join(Format)}.") from None

    def _teller(self, options: dict[str, Any]) -> Callable[[float], None]:
        if options["json"] or not self.stderr.isatty():
            return lambda share: None

        def tell(share: float) -> None:
            self.stderr.write(f"\r{'█' * int(share * BAR):<{BAR}} {share:4.0%}", ending="\n" if share >= 1 else "")

        return tell
