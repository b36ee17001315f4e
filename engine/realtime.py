"""The realtime job: fresh prices, best net of trailing cycles, and every watch of the account in one step (S4)."""

from dataclasses import replace
from datetime import datetime

from core.clock import Clock
from core.numbers import moved
from cycles.models import Cycle
from engine.rounds import Asked, Instance
from engine.trading import Trader
from events import live
from marketdata.quotes import Market
from orders.gate import Gate, fenced
from strategies.domain import NetFallsFromBest
from strategies.watching import WatchSet

SIGN_OF_LIFE_SECONDS = 1.0


class Realtime:
    """Checks watches and asks only the instances whose watch fired. A session owns it."""

    def __init__(self, *, trader: Trader, market: Market, gate: Gate, clock: Clock) -> None:
        self.trader = trader
        self.market = market
        self.gate = gate
        self.clock = clock
        self._best: dict[int, float] = {}
        self._said_at: float | None = None
        self.ran_at: datetime | None = None

    def run(self) -> bool:
        """Make one pass; tell whether anything was sent. Raises ReadError."""
        asked = self.trader.asked
        symbols = sorted({instance.symbol for instance in asked})
        self.market.refresh(symbols)
        self._say_prices(symbols)
        self.ran_at = self.clock.now()
        for answer in asked.values():
            self._follow_best(answer)
        watches = WatchSet.build([(instance, answer.watches, answer.view) for instance, answer in asked.items()])
        signals = self.trader.signals
        fired = watches.check(
            self.clock.now(),
            self.market.quotes,
            {symbol: signals.signals(symbol) for symbol in symbols},
            {symbol: signals.setups(symbol) for symbol in symbols},
        )
        woken: dict[Instance, str] = {}
        for instance, _, explanation in fired:
            woken.setdefault(instance, explanation)
        return bool(woken) and self.trader.wake(woken) > 0

    def _follow_best(self, answer: Asked) -> None:
        """Keep the best net of cycles that trail, in the database: it must survive a restart."""
        for watch in answer.watches:
            if not isinstance(watch, NetFallsFromBest):
                continue
            cycle = next((c for c in answer.view.cycles if c.id == watch.cycle_id), None)
            quote = self.market.quotes.get(answer.view.quote.symbol)
            if cycle is None or quote is None:
                continue
            net = cycle.net(quote, answer.view.spec)
            known = self._best.get(cycle.id, cycle.best_net)
            if net >= watch.armed_at and (known is None or (net > known and moved(known, net))):
                self._best[cycle.id] = net
                cycles = tuple(replace(c, best_net=net) if c.id == cycle.id else c for c in answer.view.cycles)
                answer.view = replace(answer.view, cycles=cycles)
                with fenced(self.gate):
                    Cycle.objects.filter(pk=cycle.id).update(best_net=net)

    def _say_prices(self, symbols: list[str]) -> None:
        """Publish prices and a sign of life once a second; the pages show the age of both."""
        ticks = self.clock.ticks()
        if self._said_at is not None and ticks - self._said_at < SIGN_OF_LIFE_SECONDS:
            return
        self._said_at = ticks
        quotes = {s: [self.market.quotes[s].bid, self.market.quotes[s].ask] for s in symbols}
        with fenced(self.gate):
            live.publish(self.gate.account_id, "prices", {"at": self.clock.now().isoformat(), "quotes": quotes})
