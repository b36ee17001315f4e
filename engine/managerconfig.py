"""Import of S2's `manager_config.json`: each of its strategies becomes a stopped bot, its settings become ours.

    {"strategies": [{"instance_id": 10021, "config_file": "eurusd.json"}],
     "restart_on_failure": true, "max_restarts": 5,
     "monitoring": {"health_check_interval": 5, "log_aggregation": true, "resource_monitoring": true}}

`instance_id` becomes the bot's magic number. A `config_file` beside it may name `name`, `strategy_type`, `symbols` and
`configs` (S1's bot configuration); what it leaves out is our default. Everything is imported, or nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import TradingAccount, User
from strategies.models import MAGIC_MAX, Bot
from strategies.services import create_bot

KNOWN = {"strategies", "restart_on_failure", "max_restarts", "monitoring"}
KNOWN_STRATEGY = {"instance_id", "config_file", "restart_on_failure", "max_restarts", "enabled"}
KNOWN_FILE = {"name", "strategy_type", "symbols", "magic", "configs"}
STRATEGIES = {"CycleTrader": "cycle-trader", "AdaptiveHedging": "adaptive-hedging"}
DEFAULT_STRATEGY = "cycle-trader"
FILE_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A bot that an entry asks for."""

    instance_id: int
    name: str
    strategy: str
    symbols: list[str]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do."""

    bots: tuple[Planned, ...]
    settings: Mapping[str, str]
    dry_run: bool

    def lines(self) -> list[str]:
        """Return it in words."""
        verb = "would become" if self.dry_run else "became"
        found = [
            f"instance {b.instance_id} {verb} the bot {b.name} ({b.strategy} on {', '.join(b.symbols)}), stopped"
            for b in self.bots
        ]
        return found + [f"set {name}={value} in .env" for name, value in self.settings.items()]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        bots = [
            {"magic": b.instance_id, "name": b.name, "strategy": b.strategy, "symbols": b.symbols} for b in self.bots
        ]
        return {"bots": bots, "settings": dict(self.settings), "dry_run": self.dry_run}


def import_manager_config(
    path: str, *, account: TradingAccount, at: datetime, by: User | None = None, dry_run: bool = False
) -> Imported:
    """Import a file into an account. Raises ValueError that names what is wrong; then nothing is imported."""
    place = Path(path)
    config = _read(place)
    _only(config, KNOWN, str(place))
    entries = config.get("strategies")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{place}: strategies: give a list with at least one entry")
    bots = tuple(_planned(entry, f"{place}: strategies.{n}", place.parent) for n, entry in enumerate(entries))
    ids = [bot.instance_id for bot in bots]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{place}: strategies: an instance_id is given twice")
    taken = set(Bot.objects.filter(account=account, magic__in=ids).values_list("magic", flat=True))
    if taken:
        raise ValueError(f"{place}: the account has bots with the magic numbers {sorted(taken)} already")
    settings = _settings(config, str(place))
    if not dry_run:
        _create(bots, account=account, at=at, by=by)
    return Imported(bots, settings, dry_run)


@transaction.atomic
def _create(bots: tuple[Planned, ...], *, account: TradingAccount, at: datetime, by: User | None) -> None:
    for bot in bots:
        try:
            create_bot(
                account=account,
                name=bot.name,
                strategy=bot.strategy,
                symbols=bot.symbols,
                values=bot.values,
                magic=bot.instance_id,
                by=by,
                at=at,
            )
        except ValidationError as problem:
            raise ValueError(f"instance {bot.instance_id}: {'; '.join(problem.messages)}") from None


def _planned(entry: Any, where: str, folder: Path) -> Planned:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: give an object")
    _only(entry, KNOWN_STRATEGY, where)
    number = entry.get("instance_id")
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:20])
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAGIC_MAX:
        raise ValueError(f"{where}.instance_id: give a whole number from 1 to {MAGIC_MAX}")
    details = _details(entry.get("config_file"), where, folder)
    kind = details.get("strategy_type", DEFAULT_STRATEGY)
    symbols = details.get("symbols", ["EURUSD"])
    if not isinstance(kind, str) or not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
        raise ValueError(f"{where}.config_file: strategy_type is a text and symbols a list of texts")
    name = str(details.get("name", f"Instance {number}"))
    return Planned(number, name, STRATEGIES.get(kind, kind), symbols, details.get("configs", {}))


def _details(file: Any, where: str, folder: Path) -> dict[str, Any]:
    if file is None:
        return {}
    if not isinstance(file, str):
        raise ValueError(f"{where}.config_file: give a path")
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{where}.config_file: {file} lies outside of {folder}")
    found = _read(path)
    _only(found, KNOWN_FILE, str(path))
    if not isinstance(found.get("configs", {}), dict):
        raise ValueError(f"{path}: configs: give an object")
    return found


def _settings(config: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the environment variables that stand for the file's own settings, where they differ from ours."""
    found: dict[str, str] = {}
    if config.get("restart_on_failure", True) is False:
        found["TRADING_RESTART_ON_FAILURE"] = "false"
    most = config.get("max_restarts", 5)
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 100:
        raise ValueError(f"{where}: max_restarts: give a whole number from 1 to 100")
    if most != 5:
        found["TRADING_MAX_RESTARTS"] = str(most)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise ValueError(f"{path}: can't be read ({problem.strerror})") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise ValueError(f"{path}: is no JSON ({problem})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: give one JSON object")
    return found


def _only(found: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(found) - known)
    if unknown:
        raise ValueError(f"{where}: unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
