"""The latest prices of an account's symbols, with their age."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from brokers.domain import Candle, Quote, SymbolSpec
from brokers.gateway import Gateway, StreamSource, StreamState, SymbolError
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


@dataclass(frozen=True, slots=True)
class Feed:
    """How prices come: over the broker's stream or by asking; `ages` are seconds since the broker stamped each price.

    `stream` is None where the broker has none, or none is wanted. `asked` symbols were asked for at their last reading.
    """

    stream: StreamState | None
    asked: frozenset[str]
    ages: dict[str, float]

    @property
    def has_fallen_back(self) -> bool:
        """Whether there is a stream, and prices are asked for all the same."""
        return self.stream is not None and not self.stream.is_live and bool(self.asked)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `source` is what most prices come by."""
        live = self.stream is not None and self.stream.is_live
        return {
            "source": "stream" if live else "polling",
            "stream": None if self.stream is None else asdict(self.stream),
            "asked": sorted(self.asked),
            "age_seconds": self.ages,
        }


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
        streams: bool = True,
    ) -> None:
        """`recorder` keeps every price that is read, for the parity meter; `streams` takes the broker's stream."""
        self._gateway = gateway
        self._clock = clock
        self._stream = gateway if streams and isinstance(gateway, StreamSource) else None
        self._asked: set[str] = set()
        self.quote_valid = quote_valid
        self._history = CandleCache(gateway, clock, store=store, source=source)
        self._specs: dict[str, tuple[datetime, SymbolSpec]] = {}
        self._recorder = recorder
        self.quotes: dict[str, Quote] = {}

    def close(self) -> None:
        """Write what is recorded and not on disk yet."""
        if self._recorder is not None:
            self._recorder.flush()

    def follow(self, symbols: Collection[str]) -> None:
        """Let the broker's stream bring these symbols, where there is one. Raises SymbolError, ReadError."""
        if self._stream is not None:
            self._stream.follow(symbols)

    def feed(self) -> Feed:
        """Return how prices come, and how old they are."""
        now = self._clock.now()
        ages = {symbol: round((now - quote.at).total_seconds(), 1) for symbol, quote in sorted(self.quotes.items())}
        stream = None if self._stream is None else self._stream.stream_state()
        return Feed(stream, frozenset(self._asked), ages)

    def _read(self, symbol: str) -> Quote:
        """Take the stream's price while it lives, and ask for one else."""
        quote = None if self._stream is None else self._stream.streamed(symbol)
        if quote is None:
            self._asked.add(symbol)
            quote = self._gateway.quote(symbol)
        else:
            self._asked.discard(symbol)
        if self._recorder is not None:
            self._recorder.take(quote)
        return quote

    def refresh(self, symbols: Collection[str]) -> dict[str, Quote]:
        """Read the latest quote of each symbol. Raises ReadError."""
        self.follow(symbols)
        for symbol in symbols:
            self.quotes[symbol] = self._read(symbol)
        return self.quotes

    def quote(self, symbol: str) -> Quote:
        """Return a quote read lately (S2: BID_ASK_EXPIRATION_IN_SECONDS, 5 s), reading it when older."""
        known = self.quotes.get(symbol)
        if known is None or self._clock.now() - known.at > self.quote_valid:
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
