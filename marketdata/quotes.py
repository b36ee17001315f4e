"""The latest prices of an account's symbols, with their age."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from brokers.domain import Candle, Quote, SymbolSpec
from brokers.gateway import Gateway, SymbolError
from core.clock import Clock
from marketdata.candlecache import SECONDS, CandleCache
from marketdata.candlestore import CandleStore
from marketdata.indications import average_true_range
from marketdata.tickstore import TickRecorder

QUOTE_VALID = timedelta(seconds=5)
SPEC_VALID = timedelta(minutes=1)
CANDLE_SECONDS = SECONDS
# What indications look at
CANDLES_KEPT = 80


class Market:
    """What one session knows of the market: quotes, specifications, closed candles. Filled from its gateway only."""

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        *,
        store: CandleStore | None = None,
        source: str = "",
        quote_valid: timedelta = QUOTE_VALID,
        recorder: TickRecorder | None = None,
    ) -> None:
        """`recorder` keeps every price that is read, for the parity meter."""
        self._gateway = gateway
        self._clock = clock
        self._quote_valid = quote_valid
        self._history = CandleCache(gateway, clock, store=store, source=source)
        self._specs: dict[str, tuple[datetime, SymbolSpec]] = {}
        self._recorder = recorder
        self.quotes: dict[str, Quote] = {}

    def close(self) -> None:
        """Write what is recorded and not on disk yet."""
        if self._recorder is not None:
            self._recorder.flush()

    def _read(self, symbol: str) -> Quote:
        quote = self._gateway.quote(symbol)
        if self._recorder is not None:
            self._recorder.take(quote)
        return quote

    def refresh(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Read the latest quote of each symbol. Raises ReadError."""
        for symbol in symbols:
            self.quotes[symbol] = self._read(symbol)
        return self.quotes

    def quote(self, symbol: str) -> Quote:
        """Return a quote read lately (S2: BID_ASK_EXPIRATION_IN_SECONDS, 5 s), reading it when older."""
        known = self.quotes.get(symbol)
        if known is None or self._clock.now() - known.at > self._quote_valid:
            known = self.quotes[symbol] = self._read(symbol)
        return known

    def spec(self, symbol: str) -> SymbolSpec:
        """Return the symbol's specification, read anew each minute: rates and limits move. Raises SymbolError."""
        now = self._clock.now()
        known = self._specs.get(symbol)
        if known is None or now - known[0] > SPEC_VALID:
            known = self._specs[symbol] = (now, self._gateway.spec(symbol))
        return known[1]

    def candles(self, symbol: str) -> tuple[Candle, ...]:
        """Return the last closed M1 candles that indications use; read again only when a minute has closed."""
        return self._history.closed(symbol, self.spec(symbol).digits)[-CANDLES_KEPT:]

    def atr(self, symbol: str) -> float | None:
        """Return the average true range of the last 14 closed M1 candles, in price units."""
        bars = self.candles(symbol)
        return average_true_range([c.high for c in bars], [c.low for c in bars], [c.close for c in bars])

    def keep_candles(self, symbol: str, seconds: int, count: int) -> int:
        """Keep the last closed candles on disk, for charts; return how many are new. Raises ReadError, SymbolError."""
        return self._history.keep(symbol, self.spec(symbol).digits, seconds=seconds, count=count)

    def load_history(self, symbols: Iterable[str]) -> bool:
        """Read the minute candles of symbols; tell whether every one has some. Raises ReadError."""
        complete = True
        for symbol in symbols:
            try:
                complete &= bool(self.candles(symbol))
            except SymbolError:
                complete = False
        return complete
