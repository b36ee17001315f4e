"""Candles for charts: what is kept on this host, as numbers that a page can draw."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from marketdata.candlefile import Candles, DamagedFile
from marketdata.candlestore import SeriesId
from marketdata.selectors import candle_store

# What a chart may show, by length in seconds
TIMEFRAMES = {60: "M1", 300: "M5", 900: "M15", 3600: "H1", 14_400: "H4", 86_400: "D1"}
BARS = 500


def kept_bars(source: str, symbol: str, seconds: int, count: int = BARS) -> list[list[float]]:
    """Return the newest candles kept here, oldest first: epoch seconds of the start in UTC, open, high, low, close.

    `source` is the broker's server. What can't be read is as if it were not there: the engine fetches it again.
    """
    try:
        found = candle_store().last(SeriesId(source, symbol, seconds), count)
    except (DamagedFile, OSError, ValueError):
        return []
    return _rows(found)


def _rows(found: Candles) -> list[list[float]]:
    scale = 10**found.digits
    prices = [[float(p) / scale for p in column] for column in (found.open, found.high, found.low, found.close)]
    return [[float(at), *row] for at, *row in zip(found.starts.tolist(), *prices, strict=True)]


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle: its start, prices as texts with the symbol's digits, and its tick volume."""

    at: datetime
    open: str
    high: str
    low: str
    close: str
    volume: int


def exact_bars(
    source: str, symbol: str, seconds: int, *, count: int, before: datetime | None = None
) -> tuple[list[Bar], bool]:
    """Return the newest kept candles that start before a moment, oldest first, and whether there are older ones.

    `source` is the broker's server; what can't be read is as if it were not there, as in `kept_bars`.
    """
    try:
        found = candle_store().last(SeriesId(source, symbol, seconds), count + 1, before=before)
    except (DamagedFile, OSError, ValueError):
        return [], False
    rows = list(zip(*(column.tolist() for column in found.columns()), strict=True))

    def text(points: int) -> str:
        return f"{points / 10**found.digits:.{found.digits}f}"

    bars = [
        Bar(datetime.fromtimestamp(at, UTC), text(o), text(high), text(low), text(close), volume)
        for at, o, high, low, close, volume in rows[-count:]
    ]
    return bars, len(rows) > count


def kept_spans(source: str, symbol: str) -> dict[int, tuple[datetime, datetime, int]]:
    """Return what is kept of a symbol: by the candles' seconds, the first and last start and their number."""
    found = {}
    for seconds in TIMEFRAMES:
        try:
            parts = list(candle_store().parts(SeriesId(source, symbol, seconds)).values())
        except (OSError, ValueError):
            continue
        if parts:
            first, last = (datetime.fromtimestamp(at, UTC) for at in (parts[0].first, parts[-1].last))
            found[seconds] = (first, last, sum(part.rows for part in parts))
    return found


def bars_between(
    source: str, symbol: str, seconds: int, since: datetime, until: datetime, *, around: int
) -> list[list[float]]:
    """Return the kept candles of a period and `around` more on each side, as `kept_bars` does."""
    more = timedelta(seconds=seconds * around)
    try:
        pieces = list(candle_store().between(SeriesId(source, symbol, seconds), since - more, until + more))
    except (DamagedFile, OSError, ValueError):
        return []
    return [row for piece in pieces for row in _rows(piece)]
