"""Where a backtest's prices come from: files of bars or ticks, or the price model."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from backtesting.domain import BacktestError
from backtesting.history import History
from brokers.simulator.account import SymbolSetup
from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.recordings import (
    Recording,
    expand,
    has_ticks,
    paired,
    read_history,
    read_ticks,
)
from brokers.simulator.scan import Ticks
from marketdata.candlecache import FILES
from marketdata.candlefile import Candles, DamagedFile, merged
from marketdata.candlestore import CandleStore, SeriesId

NAME = re.compile(r"[A-Za-z]{6}")
EVER = float("inf")
MINUTE = 60
DAYS = 30
MODEL_BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
PAST, FUTURE = datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """Prices with the symbols as a simulated broker trades them, and in words where they come from."""

    history: History
    setups: tuple[SymbolSetup, ...]
    text: str
    seed: int | None = None


def setup_of(symbol: str, digits: int) -> SymbolSetup:
    """Return a currency pair with the simulator's usual costs. Raises BacktestError for other names."""
    if not re.fullmatch(r"[A-Z]{6}", symbol):
        raise BacktestError(f"{symbol}: only currency pairs of six letters can be replayed from files")
    return SymbolSetup(symbol, digits=digits, currency_base=symbol[:3], currency_profit=symbol[3:])


def from_files(
    paths: Sequence[Path], symbols: Sequence[str], *, spread_pips: float, begin: datetime | None, end: datetime | None
) -> Source:
    """Read the files of a bot's symbols; two bar files of one symbol are its bid and ask.

    A file belongs to the symbol that its name holds; where the bot has one symbol only, every file is that symbol's.
    Raises BacktestError and HistoryError.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        named = next((s for s in symbols if s[:6].lower() in path.name.lower()), None)
        if named is None and len(symbols) > 1:
            raise BacktestError(f"{path}: its name holds none of {', '.join(symbols)}")
        files[named or symbols[0]].append(path)
    missing = [s for s in symbols if s not in files]
    if missing:
        raise BacktestError(f"--history: there is no file of {', '.join(missing)}")
    read = {symbol: _ticks_of(files[symbol], spread_pips) for symbol in symbols}
    ticks = {symbol: found for symbol, (found, _) in read.items()}
    first = begin.timestamp() if begin is not None else -EVER
    last = end.timestamp() if end is not None else EVER
    setups = tuple(setup_of(symbol, digits) for symbol, (_, digits) in read.items())
    return Source(History.of(ticks, begin=first, end=last), setups, ", ".join(path.name for path in paths))


def recorded_span(store: CandleStore, server: str, symbols: Sequence[str]) -> tuple[datetime, datetime] | None:
    """Return from when to when M1 candles of all symbols are on disk; None when one has none."""
    spans = []
    for symbol in symbols:
        parts = [part for series in _series(server, symbol) for part in store.parts(series).values()]
        if not parts:
            return None
        spans.append((min(part.first for part in parts), max(part.last for part in parts) + MINUTE))
    first, last = max(first for first, _ in spans), min(last for _, last in spans)
    return (datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)) if first < last else None


def from_candles(
    store: CandleStore, server: str, symbols: Sequence[str], *, spread_pips: float,
    begin: datetime | None, end: datetime | None,
) -> Source:  # fmt: skip
    """Read the M1 candles that sessions of a broker's server kept, and imported ones where those lack some.

    Raises BacktestError where a symbol has none in the period.
    """
    recordings = {symbol: _recorded(store, server, symbol, begin or PAST, end or FUTURE) for symbol in symbols}
    setups = tuple(setup_of(symbol, found.digits) for symbol, found in recordings.items())
    ticks = {}
    for setup in setups:
        pip = setup.point * (10 if setup.digits in (3, 5) else 1)
        ticks[setup.name] = expand(recordings[setup.name], None, spread=spread_pips * pip)
    return Source(History.of(ticks), setups, f"recorded M1 of {server} and of files, spread {spread_pips:g} pips")


def _series(server: str, symbol: str) -> list[SeriesId]:
    """Return the series of a symbol, what counts more last."""
    return [SeriesId(source, symbol, MINUTE) for source in (FILES, server) if source]


def _recorded(store: CandleStore, server: str, symbol: str, begin: datetime, end: datetime) -> Recording:
    found = Candles.none()
    try:
        for series in _series(server, symbol):
            for piece in store.between(series, begin, end):
                found = merged(found, piece)
    except (DamagedFile, OSError) as problem:
        raise BacktestError(f"{symbol}: {problem}") from None
    if len(found) < 2:
        raise BacktestError(
            f"{symbol}: no M1 candles are recorded in the period. They are kept while an account runs; older ones are "
            f"brought in with: manage.py history import FILE --symbol {symbol}"
        )
    bars = np.stack([found.open, found.high, found.low, found.close], axis=1) / 10**found.digits
    return Recording(bars, found.starts, MINUTE, found.digits)


def _ticks_of(paths: Sequence[Path], spread_pips: float) -> tuple[Ticks, int]:
    if len(paths) > 2:
        raise BacktestError("--history: give at most two files a symbol, bid and ask bars")
    if has_ticks(paths[0]):
        if len(paths) > 1:
            raise BacktestError(f"{paths[0]}: ticks have bid and ask, so one file a symbol is enough")
        recording = read_ticks(paths[0])
        return recording.ticks, recording.digits
    bars = [read_history(path) for path in paths]
    bid, ask = paired(*bars) if len(bars) == 2 else (bars[0], None)
    spread = spread_pips * 10.0**-bid.digits * (10 if bid.digits in (3, 5) else 1)
    return expand(bid, ask, spread=spread), bid.digits


def from_model(symbols: Sequence[str], *, seed: int, begin: datetime | None, end: datetime | None) -> Source:
    """Make prices from a seed, 30 days where no end is given. Raises BacktestError for an empty period."""
    begin = begin or MODEL_BEGIN
    end = end or begin + timedelta(days=DAYS)
    if end <= begin:
        raise BacktestError("--to: must be after --from")
    setups = tuple(setup_of(s, 3 if s.endswith("JPY") else 5) for s in symbols)
    ticks = {}
    for setup in setups:
        price = 150.0 if setup.digits == 3 else 1.1
        feed = Feed(FeedSpec.model(anchor=begin, seed=seed, start_price=price), setup.name, setup.point)
        ticks[setup.name] = feed.between(begin.timestamp(), end.timestamp())
    return Source(History.of(ticks), setups, f"price model, seed {seed}", seed)
