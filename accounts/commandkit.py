"""What the commands of rows share: the API's filters as options, its shapes as output, one way to say who acts.

Exit codes: 0 done; 1 it could not be done, with the reason; 2 the command line itself does not hold.
"""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework.exceptions import APIException
from rich.console import Console
from rich.table import Table

from accounts.apikit.reading import parameters_of
from accounts.models import TradingAccount, User
from accounts.permissions import RoleName, can
from core.clock import Clock, SystemClock
from core.ids import Ids, SystemIds
from events.models import Command as EngineCommand

LIMIT, LIMIT_MAX = 50, 10_000
ANSWER_SECONDS = 30.0
LOOK_SECONDS = 0.2
WIDTH = 160
DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,10})?", re.ASCII)
EXIT_CODES = "Exit codes: 0 done; 1 it could not be done, and why is said; 2 the command line does not hold."


class RowsCommand(BaseCommand):
    """`list` with the filters of the API's route, `show NUMBER`, and what else the command offers.

    Whoever may run it has the host and the database; it acts as the person of `--as`, with that person's rights.
    """

    # The API's view set of the same rows
    view: ClassVar[Any]
    columns: ClassVar[tuple[str, ...]]
    # What `list` says when there is nothing, and what to do then
    empty: ClassVar[str]
    clock: Clock = SystemClock()
    ids: Ids = SystemIds()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare `list`, `show` and the command's own."""
        subcommands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        listing = subcommands.add_parser("list", help="show rows, the newest first; filters are those of the API")
        for name in sorted(parameters_of(self.view.filterset_class)):
            listing.add_argument(f"--{name.replace('_', '-')}", dest=f"filter_{name}", metavar="VALUE")
        listing.add_argument("--limit", type=int, default=LIMIT, help=f"at most so many rows ({LIMIT})")
        listing.add_argument("--json", action="store_true", help="print one JSON object")
        showing = subcommands.add_parser("show", help="show one row whole")
        showing.add_argument("number", type=int)
        showing.add_argument("--json", action="store_true", help="print one JSON object")
        self.add_actions(subcommands)

    def add_actions(self, subcommands: Any) -> None:
        """Declare what the command does beside showing; by default nothing."""

    def handle(self, *args: Any, **options: Any) -> None:
        """List, show or act. Raises CommandError with what was wrong."""
        try:
            match options["what"]:
                case "list":
                    self._list(options)
                case "show":
                    self.tell(self.whole(self.row(options["number"])), options)
                case _:
                    self.act(options)
        except ValidationError as problem:
            raise CommandError(in_words(problem)) from None
        except APIException as problem:
            raise CommandError(str(problem.detail)) from None

    def act(self, options: dict[str, Any]) -> None:
        """Carry out one of `add_actions`. Raises ValidationError, CommandError."""
        raise NotImplementedError

    # What subclasses use

    def rows(self) -> QuerySet[Any]:
        """Return all rows that the command knows."""
        found: QuerySet[Any] = self.view.queryset.all()
        return found

    def row(self, number: int) -> Any:
        """Return one row. Raises CommandError when there is none of that number."""
        found = self.rows().filter(pk=number).first()
        if found is None:
            raise CommandError(f"There is none of number {number}; see `list`.")
        return found

    def shaped(self, row: Model) -> dict[str, Any]:
        """Return a row as the API shows it."""
        return dict(self.view.serializer_class(row).data)

    def whole(self, row: Any) -> dict[str, Any]:
        """Return a row as `show` prints it."""
        return self.shaped(row)

    def tell(self, found: dict[str, Any], options: dict[str, Any]) -> None:
        """Print one object: as JSON, or a line for each field."""
        if options["json"]:
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
            return
        width = max((len(name) for name in found), default=0)
        for name, value in found.items():
            self.stdout.write(f"{name:<{width}}  {cell(value)}")

    def person(self, options: dict[str, Any], account: TradingAccount | int | None, role: RoleName) -> User:
        """Return who acts: the person of `--as`, else the only superuser there is. Raises CommandError."""
        name = options["person"]
        if name is None:
            several = list(User.objects.filter(is_superuser=True, is_active=True).order_by("id")[:2])
            if len(several) != 1:
                raise CommandError("--as: say who does it, by the name of a login; the audit keeps it.")
            return several[0]
        user = find_login(name)
        if account is not None and not can(user, account, role):
            raise CommandError(f"--as: {name} is no {role} of that account.")
        return user

    def wait_for(self, asked: EngineCommand, options: dict[str, Any]) -> None:
        """Wait until the account's engine has answered, and print what it said; fail when it could not be done."""
        until = self.clock.ticks() + options["wait"]
        while asked.state == EngineCommand.State.WAITING and self.clock.ticks() < until:
            self.clock.sleep(LOOK_SECONDS)
            asked.refresh_from_db()
        found = {"command": asked.pk, "kind": asked.kind, "state": asked.state, "result": asked.result}
        if asked.state == EngineCommand.State.FAILED:
            raise CommandError(f"Command {asked.pk} failed: {asked.result}")
        self.tell(found, options)

    def ask(self, request: Any, options: dict[str, Any]) -> None:
        """Call a service that gives a command of the engine; wait for its answer unless it is a rehearsal."""
        asked = rehearsed(request, options)
        if options["dry_run"]:
            self.tell({"would_ask": asked.kind, "args": asked.args, "by": str(asked.requested_by)}, options)
        else:
            self.wait_for(asked, options)

    def _list(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= LIMIT_MAX:
            raise CommandError(f"--limit: give 1 to {LIMIT_MAX}.")
        given = {name[7:]: value for name, value in options.items() if name.startswith("filter_") and value is not None}
        chosen = self.view.filterset_class(given, self.rows())
        if not chosen.is_valid():
            wrong = [f"--{name.replace('_', '-')}: {' '.join(texts)}" for name, texts in chosen.errors.items()]
            raise CommandError(" ".join(wrong))
        rows = [self.shaped(row) for row in chosen.qs.order_by(*self.view.ordering)[: options["limit"]]]
        if options["json"]:
            self.stdout.write(json.dumps({"results": rows}, cls=DjangoJSONEncoder))
        elif rows:
            self.stdout.write(table(self.columns, rows).rstrip("\n"))
        else:
            self.stdout.write(self.empty if not given else "No row fits these filters.")


def action(subcommands: Any, name: str, text: str, *, why: bool = True, engine: bool = False) -> CommandParser:
    """Add an action to a command, with the options that every action has.

    `why`: it needs a reason. `engine`: an engine does it, and is waited for.
    """
    parser: CommandParser = subcommands.add_parser(name, help=text)
    if why:
        parser.add_argument("--why", required=True, help="the reason, kept in the audit")
    if engine:
        parser.add_argument(
            "--wait", type=float, default=ANSWER_SECONDS, help="seconds to wait for the engine's answer"
        )
    parser.add_argument("--as", dest="person", metavar="LOGIN", help="who does it; unneeded with a single superuser")
    parser.add_argument("--dry-run", action="store_true", help="check it and say what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def rehearsed(service: Any, options: dict[str, Any]) -> Any:
    """Call a service; with `--dry-run` everything is taken back afterwards. Raises what the service raises."""
    with transaction.atomic():
        found = service()
        transaction.set_rollback(bool(options["dry_run"]))
    return found


def decimal_option(options: dict[str, Any], name: str) -> Decimal:
    """Return an option as a plain decimal number that is not negative. Raises CommandError."""
    text = options[name]
    if DECIMAL.fullmatch(text) is None:
        raise CommandError(f"--{name}: {text[:40]!r} is no plain number, for example 0.05.")
    return Decimal(text)


def find_account(text: str) -> TradingAccount:
    """Return an account by name or number. Raises CommandError."""
    accounts = TradingAccount.objects.order_by("name")
    found = accounts.filter(name=text).first() or (accounts.filter(pk=int(text)).first() if text.isdecimal() else None)
    if found is None:
        known = ", ".join(accounts.values_list("name", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no account {text!r}; known: {known}.")
    return found


def find_login(name: str) -> User:
    """Return a person who may log in. Raises CommandError."""
    found = User.objects.filter(username=name, is_active=True).first()
    if found is None:
        raise CommandError(f"There is no active login {name!r}.")
    return found


def in_words(problem: ValidationError) -> str:
    """Return a validation error as one line, each field with its name."""
    if hasattr(problem, "error_dict"):
        return " ".join(
            " ".join(texts) if name == "__all__" else f"{name}: {' '.join(texts)}"
            for name, texts in problem.message_dict.items()
        )
    return " ".join(problem.messages)


def cell(value: Any) -> str:
    """Return a value as a reader wants it: nothing for None, true and false in words, lists with commas."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(cell(part) for part in value) or "–"
        case dict():
            return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
    return str(value)


def table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a table, numbers to the right."""
    made = Table(box=None, pad_edge=False, header_style="")
    for name in columns:
        is_number = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        made.add_column(name, justify="right" if is_number else "left", no_wrap=name == "id")
    for row in rows:
        made.add_row(*(_plain(cell(row[name])) for name in columns))
    out = StringIO()
    Console(file=out, width=WIDTH, color_system=None, markup=False, highlight=False).print(made)
    return out.getvalue()


def _plain(text: str) -> str:
    """Leave out what would move a terminal's cursor: names of symbols and comments come from brokers."""
    return "".join(c if c.isprintable() else "�" for c in text)
