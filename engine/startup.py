"""A session's start, phase by phase (S4: initialisation), so that a person sees how far it is and what it waits for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from accounts.models import Symbol
from brokers.gateway import BrokerError, SymbolError
from core.clock import Clock
from marketdata.quotes import Market

PHASES = ("settings", "examination", "books", "symbols", "history", "stream")
# S4: symbols are loaded in batches; the lease is renewed after each
BATCH = 10


@dataclass(slots=True)
class Phase:
    """One phase: how many of its steps are done, how long it took, and what was odd."""

    name: str
    state: str = "waiting"
    done: int = 0
    total: int = 1
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


class StartUp:
    """Keeps the phases and shows each change by `show`, which writes them where pages and terminals read them."""

    def __init__(self, *, clock: Clock, show: Callable[[list[dict[str, Any]]], None]) -> None:
        self.phases = {name: Phase(name) for name in PHASES}
        self._clock = clock
        self._show = show

    def as_json(self) -> list[dict[str, Any]]:
        """Return the phases in their order as plain values."""
        return [asdict(phase) for phase in self.phases.values()]

    @contextmanager
    def phase(self, name: str, total: int = 1) -> Iterator[Phase]:
        """Run a phase; it is shown as running, then as done, or as failed with what it met."""
        phase = self.phases[name] = Phase(name, "running", total=total)
        began = self._clock.ticks()
        self._show(self.as_json())
        try:
            yield phase
        except Exception as problem:
            phase.state = "failed"
            phase.notes.append(str(problem)[:200])
            raise
        else:
            phase.state, phase.done = "done", phase.total
        finally:
            phase.seconds = round(self._clock.ticks() - began, 3)
        self._show(self.as_json())

    def shown(self) -> None:
        """Show the progress inside a phase."""
        self._show(self.as_json())


def forced_symbols(account_id: int) -> list[str]:
    """Return the symbols that a person added to the account, traded by a bot or not."""
    return list(Symbol.objects.filter(account_id=account_id).order_by("name").values_list("name", flat=True))


def load_market(
    startup: StartUp, market: Market, *, main: Sequence[str], forced: Sequence[str], after_batch: Callable[[], object]
) -> bool:
    """Load specifications, candles and prices of the bots' symbols and of those that a person added.

    Returns whether every symbol of a bot has candles. What a symbol lacks is noted and keeps no other from loading.
    Accounts load beside each other, each on its own thread: one terminal takes one call at a time. Raises ReadError
    when the broker can't be read at all; LeaseLost from `after_batch`.
    """
    symbols = list(dict.fromkeys([*main, *forced]))
    known: list[str] = []
    with startup.phase("symbols", len(symbols)) as phase:
        for symbol in _batches(symbols, phase, startup, after_batch):
            try:
                market.spec(symbol)
                known.append(symbol)
            except SymbolError as problem:
                phase.notes.append(str(problem))
    complete = True
    with startup.phase("history", len(known)) as phase:
        for symbol in _batches(known, phase, startup, after_batch):
            if not market.load_history([symbol]):
                complete = complete and symbol not in main
                phase.notes.append(f"no candles of {symbol}")
    with startup.phase("stream", len(known)) as phase:
        market.follow(known)
        for symbol in _batches(known, phase, startup, after_batch):
            try:
                market.refresh([symbol])
            except BrokerError as problem:
                phase.notes.append(str(problem))
    return complete and set(main) <= set(known)


def _batches(
    symbols: Sequence[str], phase: Phase, startup: StartUp, after_batch: Callable[[], object]
) -> Iterator[str]:
    for number, symbol in enumerate(symbols, start=1):
        yield symbol
        phase.done = number
        if number % BATCH == 0:
            startup.shown()
            after_batch()
