"""What the commands of backtests share: the options that say what to replay on what prices."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import OutputWrapper

from backtesting.domain import BacktestError
from backtesting.sources import Source, from_files, from_model
from strategies.models import BotConfig


def add_price_options(parser: ArgumentParser) -> None:
    """Declare a configuration, its prices and its account."""
    parser.add_argument("config", help="a bot's name or number, or NAME@VERSION for an older configuration")
    parser.add_argument("--history", type=Path, nargs="+", default=[], help="files; bid and ask bars are two files")
    parser.add_argument("--seed", type=int, help="prices of the model with this seed instead of files")
    parser.add_argument("--from", dest="begin", type=datetime.fromisoformat, help="first moment, UTC")
    parser.add_argument("--to", dest="end", type=datetime.fromisoformat, help="end, UTC")
    parser.add_argument("--balance", type=float, default=10_000.0, help="balance at the start (default 10,000)")
    parser.add_argument("--leverage", type=int, default=100, help="leverage (default 100)")
    parser.add_argument("--spread", type=float, default=1.0, help="pips, where there are bid bars only (default 1)")


def source_of(config: BotConfig, options: Mapping[str, Any]) -> Source:
    """Read the prices that the options name. Raises BacktestError that names the option, HistoryError."""
    if bool(options["history"]) == (options["seed"] is not None):
        raise BacktestError("--history, --seed: give files, or a seed")
    for name, least in (("balance", 0.01), ("leverage", 1), ("spread", 0.0)):
        if not least <= options[name] < 1e12:
            raise BacktestError(f"--{name}: give a number from {least:g} on")
    begin, end = (
        None if at is None else at.replace(tzinfo=at.tzinfo or UTC) for at in (options["begin"], options["end"])
    )
    symbols = config.bot.symbols
    if options["history"]:
        return from_files(options["history"], symbols, spread_pips=options["spread"], begin=begin, end=end)
    return from_model(symbols, seed=options["seed"], begin=begin, end=end)


def teller(stream: OutputWrapper, quiet: bool) -> Callable[[float], None]:
    """Return what shows a share as progress, on a terminal only."""
    if quiet or not stream.isatty():
        return lambda share: None

    def tell(share: float) -> None:
        stream.write(f"\r{share:4.0%}", ending="\n" if share >= 1 else "")

    return tell
