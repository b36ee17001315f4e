"""A bot's configuration as a YAML file: for people to read, keep in a repository, compare and bring to another bot."""

from dataclasses import dataclass
from typing import Any

import yaml
from django.core.exceptions import ValidationError

from strategies import registry
from strategies.models import Bot, BotConfig
from strategies.services import validated

SIZE_MAX = 64 * 1024
KEYS = {"strategy", "strategy_version", "bot", "version", "note", "values"}
NEEDED = ("strategy", "values")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says: the strategy's slug, and values that hold for it, complete with defaults."""

    strategy: str
    values: dict[str, Any]
    note: str


def as_yaml(bot: Bot, config: BotConfig) -> str:
    """Return a version of a bot's configuration as a file's text. Only `strategy` and `values` count at an import."""
    content = {
        "strategy": config.strategy,
        "strategy_version": config.strategy_version,
        "bot": bot.name,
        "version": config.version,
        "note": config.note,
        "values": config.values,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def read_yaml(content: bytes) -> ConfigFile:
    """Read a file's content; nothing is stored.

    Raises:
        ValidationError: It is no such file, or a value does not hold for the strategy; the parameter is named.
    """
    found = _parsed(content)
    unknown = sorted(str(key) for key in found.keys() - KEYS)
    if unknown:
        raise ValidationError(f"{', '.join(unknown)}: unknown; a file has {', '.join(sorted(KEYS))}.", code="file")
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise ValidationError(f"{', '.join(missing)}: missing.", code="file")
    strategy, values = found["strategy"], found["values"]
    if not isinstance(strategy, str) or not isinstance(values, dict):
        raise ValidationError("strategy is a name, and values are names with values.", code="file")
    try:
        spec = registry.get(strategy)
    except KeyError:
        known = ", ".join(sorted(spec.slug for spec in registry.all_strategies()))
        raise ValidationError(f"strategy: {strategy!r} is none; known: {known}.", code="strategy") from None
    return ConfigFile(spec.slug, validated(spec, values), str(found.get("note") or ""))


def fitting(file: ConfigFile, bot: Bot) -> ConfigFile:
    """Return the file when it is one for this bot's strategy. Raises ValidationError."""
    if file.strategy != bot.strategy:
        raise ValidationError(f"strategy: the file is for {file.strategy}, {bot.name} trades {bot.strategy}.")
    return file


def _parsed(content: bytes) -> dict[Any, Any]:
    if len(content) > SIZE_MAX:
        raise ValidationError(f"The file is larger than {SIZE_MAX // 1024} KB.", code="file")
    try:
        found = yaml.load(content.decode("utf-8"), Loader=_Strict)  # noqa: S506 - a safe loader, made stricter
    except UnicodeDecodeError:
        raise ValidationError("It is not UTF-8.", code="file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f" in line {where.line + 1}" if where is not None else ""
        raise ValidationError(f"It is no YAML{line}: {getattr(problem, 'problem', problem)}", code="file") from None
    if not isinstance(found, dict):
        raise ValidationError("It is no configuration: it needs strategy and values.", code="file")
    return found


class _Strict(yaml.SafeLoader):
    """Refuses what may hide something: a name given twice, and references, which can make a small file huge."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not taken")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise yaml.YAMLError(f"{', '.join(twice)}: given twice")
        return super().construct_mapping(node, deep=deep)
