"""API tokens from a terminal: for the first program of an installation, before anybody has a browser there."""

import json
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from accounts.commandkit import EXIT_CODES, find_login, in_words, table
from accounts.models import ApiToken
from accounts.tokens import create_token, revoke_token
from core.clock import SystemClock
from core.ids import SystemIds

DAYS = 90
COLUMNS = ("prefix", "login", "name", "scope", "networks", "expires_at", "last_used_at", "state")


class Command(BaseCommand):
    """`manage.py token list|create|revoke`."""

    help = f"Make, list and end tokens of the API. A token's text is shown once, when it is made. {EXIT_CODES}"

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        listing = subcommands.add_parser("list", help="show tokens, never their text")
        listing.add_argument("--login", help="those of one person")
        making = subcommands.add_parser("create", help="make a token for a login")
        making.add_argument("login")
        making.add_argument("--name", required=True, help="what it is for")
        making.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.READ)
        making.add_argument("--days", type=int, default=DAYS, help=f"how long it holds ({DAYS}; 366 at most)")
        making.add_argument("--network", action="append", default=[], metavar="CIDR", help="where from; repeatable")
        ending = subcommands.add_parser("revoke", help="end a token now")
        ending.add_argument("prefix", help="the part between td_ and the next _")
        for one in (listing, making, ending):
            one.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the subcommand says."""
        match options["what"]:
            case "list":
                self._list(options)
            case "create":
                self._create(options)
            case _:
                self._revoke(options)

    def _list(self, options: dict[str, Any]) -> None:
        tokens = ApiToken.objects.select_related("user").order_by("-id")
        if options["login"] is not None:
            tokens = tokens.filter(user=find_login(options["login"]))
        rows = [_row(token) for token in tokens]
        if options["json"]:
            self.stdout.write(json.dumps({"results": rows}, cls=DjangoJSONEncoder))
        else:
            self.stdout.write(table(COLUMNS, rows).rstrip("\n") if rows else "No token yet: `manage.py token create`.")

    def _create(self, options: dict[str, Any]) -> None:
        at = SystemClock().now()
        try:
            token, text = create_token(
                user=find_login(options["login"]), name=options["name"], scope=options["scope"],
                networks=options["network"], expires_at=at + timedelta(days=min(max(options["days"], -1), 10_000)),
                ids=SystemIds(), at=at,
            )  # fmt: skip
        except ValidationError as problem:
            raise CommandError(in_words(problem)) from None
        if options["json"]:
            self.stdout.write(json.dumps(_row(token) | {"token": text}, cls=DjangoJSONEncoder))
        else:
            self.stdout.write(text)
            self.stderr.write(f"It ends on {token.expires_at:%Y-%m-%d}, and is not shown again: keep it now.")

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.select_related("user").filter(prefix=options["prefix"]).first()
        if token is None:
            raise CommandError(f"There is no token {options['prefix']!r}; see `token list`.")
        ended = revoke_token(token=token, at=SystemClock().now())
        if options["json"]:
            self.stdout.write(json.dumps({"prefix": token.prefix, "changed": ended}))
        else:
            self.stdout.write(f"{token.prefix} {'is ended' if ended else 'was ended before'}.")


def _row(token: ApiToken) -> dict[str, Any]:
    is_over = token.revoked_at is not None or token.expires_at <= SystemClock().now()
    return {
        "prefix": token.prefix, "login": token.user.get_username(), "name": token.name, "scope": token.scope,
        "networks": token.networks, "expires_at": token.expires_at, "last_used_at": token.last_used_at,
        "state": "ended" if is_over else "valid",
    }  # fmt: skip
