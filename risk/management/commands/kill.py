"""The kill switch from the command line; it needs the database only, no engine and no site."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from accounts.models import TradingAccount
from core.clock import SystemClock
from risk.models import KillSwitch
from risk.services.killing import EVERYTHING, confirmation_of, kill, release
from strategies.models import Bot


class Command(BaseCommand):
    """`manage.py kill TARGET --mode MODE --why TEXT [--yes NAME]`, `--release`, `--list`."""

    help = (
        "Stop an account, a bot (ACCOUNT/BOT) or everything, at once, until it is released. "
        "Exit code 0: done; 1: there is no such account or bot, or it was not confirmed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare target and mode."""
        parser.add_argument("target", nargs="?", help=f"an account, ACCOUNT/BOT, or {EVERYTHING}")
        parser.add_argument("--mode", choices=KillSwitch.Mode.values, default=KillSwitch.Mode.EXITS_ONLY)
        parser.add_argument("--why", default="", help="the reason, kept with it")
        parser.add_argument("--yes", metavar="NAME", help="confirm with the target's name instead of typing it")
        parser.add_argument("--release", action="store_true", help="let the target go on")
        parser.add_argument("--list", action="store_true", help="show the standing switches")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop, release or list."""
        if options["list"]:
            return self._say(options, list(KillSwitch.objects.filter(released_at=None).order_by("at")))
        if options["target"] is None:
            raise CommandError(f"Name an account, ACCOUNT/BOT, or {EVERYTHING}.")
        account, bot = self._target(options["target"])
        try:
            switch = self._release(account, bot, options) if options["release"] else self._kill(account, bot, options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        return self._say(options, [switch])

    def _target(self, text: str) -> tuple[TradingAccount | None, Bot | None]:
        if text == EVERYTHING:
            return None, None
        name, _, bot_name = text.partition("/")
        found = TradingAccount.objects.filter(Q(name=name) | Q(login=int(name) if name.isdecimal() else -1))
        account = found.first()
        if account is None:
            known = ", ".join(TradingAccount.objects.order_by("name").values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no account {name!r}; known: {known}, or {EVERYTHING}.")
        if not bot_name:
            return account, None
        bot = Bot.objects.filter(account=account, name=bot_name).first()
        if bot is None:
            known = ", ".join(account.bots.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"{account.name} has no bot {bot_name!r}; known: {known}.")
        return account, bot

    def _kill(self, account: TradingAccount | None, bot: Bot | None, options: dict[str, Any]) -> KillSwitch:
        wanted = confirmation_of(account, bot)
        typed = options["yes"]
        if typed is None:
            typed = input(f"{KillSwitch.Mode(options['mode']).label} for {wanted}. Type its name to confirm: ")
        return kill(
            mode=options["mode"], reason=options["why"], confirmation=typed, account=account, bot=bot,
            at=SystemClock().now(),
        )  # fmt: skip

    def _release(self, account: TradingAccount | None, bot: Bot | None, options: dict[str, Any]) -> KillSwitch:
        switch = KillSwitch.objects.filter(account=account, bot=bot, released_at=None).first()
        if switch is None:
            raise CommandError(f"{confirmation_of(account, bot)} is not stopped by a kill switch.")
        return release(switch_id=switch.pk, reason=options["why"], at=SystemClock().now())

    def _say(self, options: dict[str, Any], switches: list[KillSwitch]) -> None:
        rows = [
            {
                "target": confirmation_of(s.account, s.bot),
                "mode": s.mode,
                "reason": s.reason,
                "at": s.at.isoformat(),
                "released": s.released_at is not None,
            }
            for s in switches
        ]
        if options["json"]:
            self.stdout.write(json.dumps({"switches": rows}))
            return
        for row in rows:
            state = "released" if row["released"] else row["mode"]
            self.stdout.write(f"{row['target']}: {state}, {row['reason']}")
        if not rows:
            self.stdout.write("No kill switch stands.")
