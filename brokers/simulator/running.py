"""Make the account that a program runs on: its symbols, and where the prices of each come from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from brokers.simulator.account import SymbolSetup, demo_symbols
from brokers.simulator.catalogue import CATALOGUE, listing
from brokers.simulator.feed import FeedSpec
from brokers.simulator.recordings import (
    HistoryError,
    Recording,
    TickRecording,
    has_ticks,
    keep,
    keep_ticks,
    read_history,
    read_ticks,
)

DATASET = "eurusd-h1-2017"
Found = Recording | TickRecording


@dataclass(frozen=True, slots=True)
class Market:
    """What is traded, and the prices by symbol."""

    symbols: tuple[SymbolSetup, ...]
    feeds: Mapping[str, FeedSpec]


def recorded_demo(anchor: datetime, speed: float) -> Market:
    """Return the market of the demo: recorded EURUSD of 2017."""
    symbols = tuple(demo_symbols())
    feed = FeedSpec.recorded(DATASET, anchor=anchor, speed=speed)
    return Market(symbols, {symbol.name: feed for symbol in symbols})


def modelled(names: Sequence[str], anchor: datetime, seed: int, *, has_hours: bool) -> Market:
    """Return symbols of the catalogue with prices of the model. Raises ValueError for an unknown name.

    Without their hours they are traded whenever somebody runs a program.
    """
    listings = [listing(name) for name in names]
    feeds = {
        one.setup.name: FeedSpec.model(
            anchor=anchor, seed=seed, start_price=one.price, volatility_points=one.volatility_points,
            spread_points=one.spread_points,
        )
        for one in listings
    }  # fmt: skip
    symbols = tuple(one.setup if has_hours else replace(one.setup, sessions="") for one in listings)
    return Market(symbols, feeds)


def from_files(
    files: Sequence[str],
    symbol: str | None,
    *,
    state_file: Path,
    anchor: datetime,
    start: datetime | None,
    speed: float,
) -> Market:
    """Return a market of recorded prices, one file a symbol; the prices are kept beside the account, which needs them.

    A file is given as PATH or SYMBOL=PATH. All begin at `start`, or where the last of them begins. Raises HistoryError.
    """
    paths = dict(_named(text, symbol if len(files) == 1 else None) for text in files)
    if len(paths) < len(files):
        raise HistoryError("two files are of one symbol: name theirs, for example EURUSD=first.csv GBPUSD=second.csv")
    found = {name: read_ticks(path) if has_ticks(path) else read_history(path) for name, path in paths.items()}
    first = start or (max(_begins(one) for one in found.values()) if len(found) > 1 else None)
    symbols, feeds = [], {}
    for name, recording in found.items():
        kept = state_file.resolve().with_suffix(f".{name.lower()}.npz")
        place = recording.index_at(first) if first is not None else 0
        if isinstance(recording, TickRecording):
            keep_ticks(recording, kept)
            feeds[name] = FeedSpec.ticks(str(kept), anchor=anchor, speed=speed, first_tick=place)
        else:
            keep(recording, kept)
            feeds[name] = FeedSpec.recorded(str(kept), anchor=anchor, speed=speed, first_bar=place)
        symbols.append(_setup(name, recording.digits))
    return Market(tuple(symbols), feeds)


def _named(text: str, symbol: str | None) -> tuple[str, Path]:
    """Return symbol and path of SYMBOL=PATH, or of a path whose file's name begins with the symbol."""
    given, _, path = text.rpartition("=")
    found = re.search(r"[A-Za-z]{6}", Path(text).name)
    name = given or symbol or (found[0].upper() if found else "")
    if not re.fullmatch(r"[A-Z]{6}", name) and name not in CATALOGUE:
        raise HistoryError("the file's name tells no symbol: add --symbol, for example --symbol GBPUSD")
    return name, Path(path)


def _setup(name: str, digits: int) -> SymbolSetup:
    """Return a symbol as the catalogue has it, or as a currency pair; traded at all hours, for recordings know none."""
    if name in CATALOGUE:
        return replace(listing(name).setup, digits=digits, tick_size=0.0, tick_value=0.0, sessions="")
    return SymbolSetup(name, digits=digits, currency_base=name[:3], currency_profit=name[3:6])


def _begins(recording: Found) -> datetime:
    starts = recording.ticks.at if isinstance(recording, TickRecording) else recording.starts
    return datetime.fromtimestamp(float(starts[0]), UTC)
