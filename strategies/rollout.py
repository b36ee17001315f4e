"""Giving a configuration to other bots of the same strategy: to one account first, then to the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from strategies.models import Bot, BotConfig
from strategies.selectors import Change, differences
from strategies.services import NOTE_LENGTH_MAX, save_config


@dataclass(frozen=True, slots=True)
class Target:
    """A bot that may take a configuration over: the version that it uses now (0: none), and what would change."""

    bot: Bot
    version: int
    changes: tuple[Change, ...]

    @property
    def has_it(self) -> bool:
        """Tell whether the bot has the very values already."""
        return self.version > 0 and not self.changes


def targets_of(config: BotConfig, bots: QuerySet[Bot]) -> list[Target]:
    """Return those of `bots` that trade the configuration's strategy, but for its own bot, by account and name."""
    found = bots.filter(strategy=config.strategy).exclude(pk=config.bot_id)
    return [
        Target(
            bot,
            bot.config.version if bot.config else 0,
            differences(bot.config.values if bot.config else {}, config.values),
        )
        for bot in found.select_related("account", "config", "config__created_by").order_by("account__name", "name")
    ]


@transaction.atomic
def roll_out(
    *, config: BotConfig, seen: Mapping[int, int], at: datetime, by: User | None = None, reason: str = ""
) -> list[BotConfig]:
    """Give other bots the values of a configuration, as a next version of each; all of them get it, or none.

    `seen` says by the bot's key which version (0: none) the person was shown. A bot that has the values already keeps
    its version. Every new version has its own entry in the audit trail, which names where the values come from.

    Raises:
        ValidationError: A bot is the configuration's own or trades another strategy, somebody saved another version of
            one meanwhile, or the values do not hold for the strategy any more; the bot is named.
    """
    source = BotConfig.objects.select_related("bot__account").get(pk=config.pk)
    note = f"From {source.bot.account.name}, {source.bot.name} v{source.version}"
    note = f"{note}: {reason}" if reason else note
    saved = []
    # One order for everybody, so that two roll-outs wait for each other instead of for ever
    bots = Bot.objects.filter(pk__in=seen).select_for_update(of=("self",)).order_by("pk")
    for bot in bots:
        if bot.pk == source.bot_id or bot.strategy != source.strategy:
            raise ValidationError(f"{bot.name}: it does not trade another bot's {source.strategy}.", code="strategy")
        try:
            new = save_config(
                bot=bot, values=source.values, note=note[:NOTE_LENGTH_MAX], seen_version=seen[bot.pk], by=by, at=at
            )
        except ValidationError as error:
            raise ValidationError([f"{bot.name}: {text}" for text in error.messages]) from error
        saved.append(new)
    return saved
