"""Candles for charts: what is kept on this host, as numbers that a page can draw."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from marketdata.candlefile import Candles, DamagedFile
from marketdata.candlestore import CandleStore, SeriesId

# What a chart may show, by length in seconds
TIMEFRAMES = {60: "M1", 300: "M5", 900: "M15", 3600: "H1", 14_400: "H4", 86_400: "D1"}
BARS = 500


def kept_bars(source: str, symbol: str, seconds: int, count: int = BARS) -> list[list[float]]:
    """Return the newest candles kept here, oldest first: epoch seconds of the start in UTC, open, high, low, close.

    `source` is the broker's server. What can't be read is as if it were not there: the engine fetches it again.
    """
    try:
        found = CandleStore(Path(settings.VAR_DIR) / "candles").last(SeriesId(source, symbol, seconds), count)
    except (DamagedFile, OSError, ValueError):
        return []
    return _rows(found)


def _rows(found: Candles) -> list[list[float]]:
    scale = 10**found.digits
    prices = [[float(p) / scale for p in column] for column in (found.open, found.high, found.low, found.close)]
    return [[float(at), *row] for at, *row in zip(found.starts.tolist(), *prices, strict=True)]


def bars_between(
    source: str, symbol: str, seconds: int, since: datetime, until: datetime, *, around: int
) -> list[list[float]]:
    """Return the kept candles of a period and `around` more on each side, as `kept_bars` does."""
    more = timedelta(seconds=seconds * around)
    try:
        store = CandleStore(Path(settings.VAR_DIR) / "candles")
        pieces = list(store.between(SeriesId(source, symbol, seconds), since - more, until + more))
    except (DamagedFile, OSError, ValueError):
        return []
    return [row for piece in pieces for row in _rows(piece)]
