"""Named reads of bots and their configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db.models import Max, QuerySet
from pydantic import ValidationError

from accounts.models import DesiredState
from strategies import registry
from strategies.models import MAGIC_MAX, Bot, BotConfig

MAGIC_FIRST = 12345


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter that differs between two versions; None where a version does not have it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a configuration with what it changed in the one before."""

    config: BotConfig
    changes: tuple[Change, ...]
    current: bool


def next_magic(account_id: int) -> int:
    """Return the smallest magic above all of the account's bots, from 12345 on (S1's example)."""
    highest: int | None = Bot.objects.filter(account_id=account_id).aggregate(highest=Max("magic"))["highest"]
    if highest is None or highest < MAGIC_FIRST:
        return MAGIC_FIRST
    if highest < MAGIC_MAX:
        return highest + 1
    taken = set(Bot.objects.filter(account_id=account_id).values_list("magic", flat=True))
    return next(magic for magic in range(MAGIC_FIRST, MAGIC_MAX) if magic not in taken)


def active_bots() -> QuerySet[Bot]:
    """Return the bots of all accounts that are not stopped: these count against MAX_BOTS."""
    return Bot.objects.exclude(desired_state=DesiredState.STOPPED)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between two sets of values, by name."""
    return tuple(
        Change(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    )


def versions_of(bot: Bot, limit: int = 50) -> list[Version]:
    """Return the newest versions of a bot's configuration, newest first, each with its difference to the one before."""
    configs = list(bot.configs.select_related("created_by").order_by("-version")[: limit + 1])
    found = [
        Version(config, differences(older.values, config.values), config.pk == bot.config_id)
        for config, older in pairwise(configs)
    ]
    if configs and len(configs) <= limit:
        found.append(Version(configs[-1], (), configs[-1].pk == bot.config_id))
    return found


def follows_signals(bot: Bot) -> bool:
    """Tell whether a bot looks at indications or sets; of one whose configuration does not hold, nothing is known."""
    if bot.config is None:
        return False
    try:
        spec = registry.get(bot.config.strategy)
        return spec.follows_signals(spec.params.model_validate(bot.config.values))
    except (KeyError, ValidationError):
        return True
