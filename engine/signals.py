"""The indications job: loads each symbol's history piece by piece, then follows it candle by candle (S4).

The broker is spared: one day of one symbol, or the newest candles of ten symbols, a pass; passes are 100 ms apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from brokers.candles import Candles, of_single
from brokers.gateway import CandleSource, Gateway, ReadError, SymbolError
from core.clock import Clock
from engine.jobs import IDLE, Idle
from engine.performance import Stages
from marketdata.quotes import Market
from orders.gate import Gate, fenced
from strategies.domain import Setup
from strategies.models import SignalSettings
from strategies.pseudo.sets import SymbolSets
from strategies.pseudo.store import grid_of, restore, settings_of, store

PASS_SECONDS = 0.1
BATCH = 10
PIECE = timedelta(days=1)
# The terminal's tick history comes a moment after the tick
LATE = timedelta(seconds=1)
STORE_SECONDS = 60.0
RETRY_SECONDS = 60.0
MINUTE = 60
MINUTES_KEPT = 2_000


@dataclass(slots=True)
class Followed:
    """A symbol's sets, and until when its candles are taken. `live` when its history is complete."""

    sets: SymbolSets
    until: datetime
    live: bool = False
    stored_at: float = 0.0


class Signals:
    """Indications and pseudo positions of an account's symbols. A session owns it."""

    def __init__(
        self, *, account_id: int, gateway: Gateway, market: Market, gate: Gate, clock: Clock, stages: Stages,
    ) -> None:  # fmt: skip
        self.account_id = account_id
        self.gateway = gateway
        self.market = market
        self.gate = gate
        self.clock = clock
        self.stages = stages
        self.ran_at: datetime | None = None
        self._complete = False
        self._followed: dict[str, Followed] = {}
        self._settings: SignalSettings | None = None
        self._next = 0
        # Until when a symbol that could not be read is left alone, on the monotonic clock
        self._later: dict[str, float] = {}

    @property
    def loaded(self) -> bool:
        """Tell whether the history of every symbol is complete, as of the last pass."""
        return self._complete

    def run(self, symbols: Iterable[str]) -> Idle | None:
        """Make one pass over these symbols. Raises ReadError when one can't be read, after the others were followed."""
        wanted = sorted(set(symbols))
        for gone in set(self._followed) - set(wanted):
            del self._followed[gone]
        self._complete = all(self._is_live(symbol) for symbol in wanted)
        due = [*self._loading(wanted), *self._behind(wanted)]
        unread: ReadError | None = None
        for symbol in due:
            try:
                with self.stages.spend("indications"):
                    self._advance(symbol)
            except SymbolError:
                self._later[symbol] = self.clock.ticks() + RETRY_SECONDS
            except ReadError as problem:
                self._later[symbol] = self.clock.ticks() + PASS_SECONDS
                unread = unread or problem
        if unread is not None:
            raise unread
        return None if due else IDLE

    def signals(self, symbol: str) -> dict[str, float]:
        """Return the indications by name, -1…1; nothing while the history is being loaded."""
        found = self._live(symbol)
        return found.signals() if found is not None else {}

    def setups(self, symbol: str) -> tuple[Setup, ...]:
        """Return the sets worth trading now, best first."""
        found = self._live(symbol)
        return found.setups() if found is not None else ()

    def store_all(self) -> None:
        """Write every symbol's row; called before the session ends."""
        for symbol in self._followed:
            self._store(symbol)

    def _is_live(self, symbol: str) -> bool:
        return symbol in self._followed and self._followed[symbol].live

    def _live(self, symbol: str) -> SymbolSets | None:
        found = self._followed.get(symbol)
        return found.sets if found is not None and found.live else None

    def _loading(self, wanted: list[str]) -> list[str]:
        """Choose one symbol whose history is not complete; one that could not be read waits behind the others."""
        ticks = self.clock.ticks()
        found = [s for s in wanted if not self._is_live(s) and self._later.get(s, 0.0) <= ticks]
        return sorted(found, key=lambda s: self._later.get(s, 0.0))[:1]

    def _behind(self, wanted: list[str]) -> list[str]:
        """Choose at most ten of the symbols that have a new candle, in turn."""
        horizon = self.clock.now() - LATE
        behind = [s for s in wanted if self._is_live(s) and horizon - self._followed[s].until >= self._length(s)]
        if len(behind) > BATCH:
            self._next %= len(behind)
            behind = (behind[self._next :] + behind[: self._next])[:BATCH]
            self._next += BATCH
        return behind

    def _length(self, symbol: str) -> timedelta:
        return timedelta(seconds=self._followed[symbol].sets.grid.indications.candle_seconds)

    def _advance(self, symbol: str) -> None:
        """Take the next piece of history, or the newest candles."""
        now = self.clock.now()
        followed = self._followed.get(symbol) or self._begin(symbol, now)
        seconds = followed.sets.grid.indications.candle_seconds
        horizon = datetime.fromtimestamp((now - LATE).timestamp() // seconds * seconds, UTC)
        until = min(followed.until + PIECE, horizon)
        if until > followed.until:
            followed.sets.take(self._read(symbol, seconds, followed.until, until))
            followed.until = until
        self._followed[symbol] = followed
        self.ran_at = now
        was_live, followed.live = followed.live, until >= horizon
        if followed.live and (not was_live or self.clock.ticks() - followed.stored_at >= STORE_SECONDS):
            self._store(symbol)

    def _begin(self, symbol: str, now: datetime) -> Followed:
        """Go on with what is stored, or begin the history."""
        if self._settings is None:
            self._settings = settings_of(self.account_id)
        short = isinstance(self.gateway, CandleSource)
        grid = grid_of(self._settings, self.market.spec(symbol).pip, None if short else MINUTE)
        begins = now - timedelta(days=self._settings.history_days)
        sets = restore(self.account_id, symbol, grid, since=begins)
        if sets is not None:
            return Followed(sets, datetime.fromtimestamp(sets.at + grid.indications.candle_seconds, UTC))
        return Followed(SymbolSets(grid), whole_minute(begins))

    def _read(self, symbol: str, seconds: int, since: datetime, until: datetime) -> Candles:
        if isinstance(self.gateway, CandleSource):
            return self.gateway.candle_range(symbol, seconds, since, until)
        found = self.gateway.candles(symbol, seconds, MINUTES_KEPT)
        return of_single((c for c in found if since <= c.at < until), self.market.spec(symbol).point)

    def _store(self, symbol: str) -> None:
        followed = self._followed[symbol]
        if followed.sets.at:
            with fenced(self.gate):
                store(self.account_id, symbol, followed.sets, at=self.clock.now())
        followed.stored_at = self.clock.ticks()


def whole_minute(at: datetime) -> datetime:
    """Return the minute that a time lies in."""
    return at.replace(second=0, microsecond=0)
