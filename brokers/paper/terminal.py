"""The terminal of a paper account: the simulated one, on prices that are handed in."""

from pathlib import Path

from brokers.paper.live import LiveMarket
from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import FeedSpec
from brokers.simulator.server_time import jumped, offset
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import Clock

# How often it is written down up to when prices were worked off, while something is open
MARK_SECONDS = 30.0


def create(state_file: Path, spec: AccountSpec, *, clock: Clock) -> None:
    """Write a new paper account's file, unless there is one."""
    create_account(state_file, spec, (), FeedSpec.script({}, anchor=clock.now()), clock=clock)


class PaperTerminal(SimulatedTerminal):
    """One paper account. Nothing in it knows a broker: prices come in by `prices`, symbols by `list_symbol`."""

    def __init__(self, state_file: Path, *, clock: Clock) -> None:
        self.prices = LiveMarket()
        super().__init__(state_file, clock=clock, prices=self.prices)

    @property
    def _account(self) -> Exchange:
        assert self._exchange is not None, "not initialized"
        return self._exchange

    def held(self) -> dict[str, str]:
        """Return the symbols with something open or resting: our name by the broker's."""
        exchange = self._account
        names = {p.symbol for p in exchange.state.positions.values()}
        names |= {o.symbol for o in exchange.state.orders.values()}
        return {name: exchange.symbols[name].priced_as for name in names}

    def known(self) -> dict[str, SymbolSetup]:
        """Return the symbols that were listed, by the broker's names."""
        return dict(self._account.symbols)

    def seen_until(self) -> float:
        """Return up to when prices were surely worked off, in UTC epoch seconds."""
        return float(self._account.state.meta["processed"])

    def list_symbol(self, setup: SymbolSetup) -> None:
        """Trade a symbol from now on, or by new terms."""
        self._change(self._account, lambda exchange: exchange.list_symbol(setup))
        self._selected.add(setup.name)

    def set_server_clock(self, seconds: int) -> None:
        """Let the server's clock be so far ahead of UTC: nights and times of deals follow it."""
        kind = jumped("utc", seconds)
        if self._account.account.server_clock != kind:
            self._change(self._account, lambda exchange: exchange.redescribe({"server_clock": kind}, {}))

    def server_clock_seconds(self) -> int:
        """Return how far the server's clock is ahead of UTC."""
        return offset(self._account.account.server_clock, self._clock.now().timestamp())

    def follow(self, first: float | None) -> None:
        """Work off the prices that came in, the first of which is from `first` (UTC epoch seconds)."""
        exchange = self._account
        if first is not None:
            exchange.look_from(first)
        exchange.advance()
        for prices in self.prices.values():
            prices.settle()
        now = self._clock.now().timestamp()
        if now - self.seen_until() >= MARK_SECONDS and self.held():
            self._change(exchange, lambda known: known.mark_processed())
