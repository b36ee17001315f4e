"""Configurations of bots as files."""

import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from accounts.commandkit import EXIT_CODES, RowsCommand, action, find_account, in_words, rehearsed
from strategies.api import BotViewSet
from strategies.configfile import SIZE_MAX, ConfigFile, as_yaml, fitting, read_yaml
from strategies.models import Bot, BotConfig
from strategies.selectors import differences
from strategies.services import save_config

DIFFERENT = 3


class Command(RowsCommand):
    """`manage.py botconfig export|import|diff|validate`."""

    help = (
        "Bring a bot's configuration into a YAML file and back. BOT is a number or ACCOUNT/NAME, FILE a path or - for "
        f"standard input. {EXIT_CODES} diff: 3 when they differ."
    )
    view = BotViewSet

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        out = subcommands.add_parser("export", help="print the configuration, or write it into a file")
        out.add_argument("bot")
        out.add_argument("--version", type=int, dest="number", help="which version; without it the one in use")
        out.add_argument("--output", metavar="FILE", help="a file, which must not exist yet")
        back = action(subcommands, "import", "save a file as the bot's next version; a running bot uses it at once")
        back.add_argument("bot")
        back.add_argument("file")
        different = subcommands.add_parser("diff", help="show what a file, or a version, changes in the one in use")
        different.add_argument("bot")
        different.add_argument("other", help="a file, or the number of a version")
        judged = subcommands.add_parser("validate", help="judge a file; nothing is stored")
        judged.add_argument("file")
        for one in (different, judged):
            one.add_argument("--json", action="store_true", help="print one JSON object")

    def act(self, options: dict[str, Any]) -> None:
        """Do what the subcommand says."""
        match options["what"]:
            case "export":
                self._export(options)
            case "import":
                self._import(options)
            case "diff":
                self._diff(options)
            case _:
                file = self._read(options["file"])
                self.tell({"strategy": file.strategy, "valid": True, "values": file.values}, options)

    def _export(self, options: dict[str, Any]) -> None:
        bot = self._bot(options["bot"])
        text = as_yaml(bot, self._version(bot, options["number"]))
        if options["output"] is None:
            self.stdout.write(text, ending="")
            return
        try:
            with Path(options["output"]).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as problem:
            raise CommandError(f"--output: {problem.strerror}: {options['output']}") from None

    def _import(self, options: dict[str, Any]) -> None:
        bot = self._bot(options["bot"])
        by = self.person(options, bot.account_id, "manager")
        file = fitting(self._read(options["file"]), bot)
        before = bot.config
        changes = differences(before.values if before else {}, file.values)

        def service() -> BotConfig:
            return save_config(
                bot=bot, values=file.values, note=options["why"], by=by, at=self.clock.now(),
                seen_version=before.version if before else 0,
            )  # fmt: skip

        saved = rehearsed(service, options)
        self.tell(
            {
                "bot": bot.name,
                "version": saved.version,
                "changes": [f"{c.name} {c.before} → {c.after}" for c in changes],
                "dry_run": options["dry_run"],
            },
            options,
        )

    def _diff(self, options: dict[str, Any]) -> None:
        bot, other = self._bot(options["bot"]), options["other"]
        values = self._version(bot, int(other)).values if other.isdecimal() else fitting(self._read(other), bot).values
        changes = differences(bot.config.values if bot.config else {}, values)
        if options["json"]:
            found = [{"name": c.name, "before": c.before, "after": c.after} for c in changes]
            self.tell({"bot": bot.name, "changes": found}, options)
        for change in changes if not options["json"] else ():
            self.stdout.write(f"{change.name}: {change.before} → {change.after}")
        if changes:
            sys.exit(DIFFERENT)
        if not options["json"]:
            self.stdout.write("They are the same.")

    def _bot(self, text: str) -> Bot:
        bots = Bot.objects.select_related("config", "account")
        if text.isdecimal():
            found = bots.filter(pk=int(text[:18])).first()
        else:
            account, _, name = text.rpartition("/")
            found = bots.filter(account=find_account(account), name=name).first()
        if found is None:
            raise CommandError(f"There is no bot {text!r}: give its number or ACCOUNT/NAME; see `bots list`.")
        return found

    def _version(self, bot: Bot, number: int | None) -> BotConfig:
        found = bot.config if number is None else bot.configs.filter(version=number).first()
        if found is None:
            which = "no configuration yet" if number is None else f"no version {number}"
            raise CommandError(f"{bot.name} has {which}.")
        return found

    def _read(self, name: str) -> ConfigFile:
        try:
            content = sys.stdin.buffer.read(SIZE_MAX + 1) if name == "-" else Path(name).read_bytes()
        except OSError as problem:
            raise CommandError(f"{name}: {problem.strerror}.") from None
        try:
            return read_yaml(content)
        except ValidationError as problem:
            raise CommandError(f"{name}: {in_words(problem)}") from None
