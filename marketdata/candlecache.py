"""The candles of a session: from disk first, then from its broker, and from imported files where both lack some.

S2: the first load asks for 500 candles; when they are known already only the last 10 are asked for; what the broker is
short of comes from local history.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from brokers.domain import Candle
from brokers.gateway import Gateway
from core.clock import Clock
from marketdata.candlefile import Candles, DamagedFile
from marketdata.candlestore import CandleStore, SeriesId

log = logging.getLogger("trading.marketdata")

SECONDS = 60
FIRST = 500
LATER = 10
# S4: five days of history; older candles of a file say nothing about now
HISTORY = timedelta(days=5)
FILES = "files"
WRITE_SECONDS = 1800.0


class CandleCache:
    """M1 candles of one broker's symbols. A session owns it; the store is shared."""

    def __init__(self, gateway: Gateway, clock: Clock, *, store: CandleStore | None = None, source: str = "") -> None:
        self._gateway = gateway
        self._clock = clock
        self._store = store
        self._source = source
        self._known: dict[str, dict[datetime, Candle]] = {}
        self._minute: dict[str, int] = {}
        self._written: dict[str, float] = {}
        self._given: dict[str, tuple[Candle, ...]] = {}

    def closed(self, symbol: str, digits: int) -> tuple[Candle, ...]:
        """Return the last closed candles, at most 500, oldest first; the broker is asked once a minute.

        Raises ReadError, SymbolError.
        """
        minute = int(self._clock.now().timestamp()) // SECONDS
        if self._minute.get(symbol) != minute or symbol not in self._given:
            self._given[symbol] = self._load(symbol, digits)
            self._minute[symbol] = minute
        return self._given[symbol]

    def keep(self, symbol: str, digits: int, *, seconds: int, count: int) -> int:
        """Read candles of any length from the broker and keep them on disk; return how many were new or differ.

        Raises ReadError, SymbolError, DamagedFile, OSError.
        """
        found = self._gateway.candles(symbol, seconds, count)
        if self._store is None or not self._source or not found:
            return 0
        return self._store.add(SeriesId(self._source, symbol, seconds), [_columns(list(found), digits)])

    def _load(self, symbol: str, digits: int) -> tuple[Candle, ...]:
        known = self._known.get(symbol)
        if known is None:
            known = _by_start(self._stored(self._source, symbol, before=self._clock.now()))
        fresh = self._fetch(symbol, known)
        if fresh and not known and len(fresh) < FIRST:
            known = _by_start(self._stored(FILES, symbol, before=fresh[0].at)[-(FIRST - len(fresh)) :])
        known |= _by_start(fresh)
        kept = [known[at] for at in sorted(known)[-FIRST:]]
        self._known[symbol] = _by_start(kept)
        self._write(symbol, kept, digits)
        return tuple(kept)

    def _fetch(self, symbol: str, known: dict[datetime, Candle]) -> tuple[Candle, ...]:
        """Ask for the last 10 when they join what is known, else for 500."""
        if known:
            fresh = self._gateway.candles(symbol, SECONDS, LATER)
            if not fresh or fresh[0].at in known:
                return fresh
        return self._gateway.candles(symbol, SECONDS, FIRST)

    def _stored(self, source: str, symbol: str, *, before: datetime) -> list[Candle]:
        """Return what the disk has of the five days before a time; what can't be read there is fetched again."""
        if self._store is None or not source:
            return []
        try:
            pieces = list(self._store.between(SeriesId(source, symbol, SECONDS), before - HISTORY, before))
        except (DamagedFile, OSError, ValueError) as problem:
            log.warning("candles of %s on disk can't be used: %s", symbol, problem)
            return []
        return [candle for piece in pieces for candle in _candles(piece.part(slice(-FIRST, None)))][-FIRST:]

    def _write(self, symbol: str, kept: list[Candle], digits: int) -> None:
        """Keep them on disk, at first and every half hour: a full disk costs nothing but the next start's reading."""
        ticks = self._clock.ticks()
        if self._store is None or not kept or ticks - self._written.get(symbol, -WRITE_SECONDS) < WRITE_SECONDS:
            return
        self._written[symbol] = ticks
        try:
            self._store.add(SeriesId(self._source, symbol, SECONDS), [_columns(kept, digits)])
        except (DamagedFile, OSError, ValueError) as problem:
            log.warning("candles of %s are not kept on disk: %s", symbol, problem)


def _by_start(candles: Iterable[Candle]) -> dict[datetime, Candle]:
    return {candle.at: candle for candle in candles}


def _columns(candles: list[Candle], digits: int) -> Candles:
    scale = 10**digits
    prices = [[round(getattr(c, name) * scale) for c in candles] for name in ("open", "high", "low", "close")]
    columns = [[int(c.at.timestamp()) for c in candles], *prices, [c.ticks for c in candles]]
    return Candles.of([np.array(column, np.int64) for column in columns], digits)


def _candles(found: Candles) -> list[Candle]:
    scale = 10**found.digits
    return [
        Candle(datetime.fromtimestamp(at, UTC), o / scale, h / scale, low / scale, close / scale, volume, 0)
        for at, o, h, low, close, volume in zip(*(column.tolist() for column in found.columns()), strict=True)
    ]
