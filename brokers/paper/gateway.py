"""The gateway of a paper account: it reads prices from a real account's gateway, and trades in a terminal of its own.

What it is handed of the real account is a `PriceSource`, which has no `send`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from brokers.candles import Candles, of_single
from brokers.domain import AccountState, Book, Candle, MarginMode, Quote, Request, SymbolSpec
from brokers.gateway import CandleSource, ClockOffset, ConnectError, DepthSource, Permit, ReadError, SymbolError
from brokers.mt5.gateway import Mt5Account
from brokers.mt5.server_clock import ServerClock
from brokers.paper import terminal
from brokers.paper.live import fill_gap
from brokers.paper.terms import has_moved, setup_of
from brokers.simulator.account import EXCHANGE, HEDGING, NETTING, AccountSpec
from brokers.simulator.server_time import offset
from core.clock import Clock
from core.outcome import Outcome, Refused

# A market that shows no new price for so long is closed
CLOSED_AFTER = timedelta(minutes=5)
# A price that was not looked at for longer leaves a gap, which the broker's candles fill
GAP_SECONDS = 10.0
# Longer gaps are filled by minutes, not by seconds
SECONDS_GAP_MAX = 86_400.0
MINUTE, MINUTES_MAX = 60, 10_000
MARKET_CLOSED = 10018
MARGIN_MODES = {MarginMode.NETTING: NETTING, MarginMode.EXCHANGE: EXCHANGE, MarginMode.HEDGING: HEDGING}
EPOCH = datetime.fromtimestamp(0, UTC)


class PriceSource(Protocol):
    """What a paper account may do with a real account's gateway: read."""

    def connect(self, fence: int = 0) -> None: ...
    def close(self) -> None: ...
    def account(self) -> AccountState: ...
    def symbols(self) -> Sequence[str]: ...
    def broker_name(self, symbol: str) -> str: ...
    def clock_offset(self) -> ClockOffset | None: ...
    def spec(self, symbol: str) -> SymbolSpec: ...
    def quote(self, symbol: str) -> Quote: ...
    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]: ...


@dataclass(frozen=True, slots=True)
class PaperAccount:
    """Who the paper account is, and how it begins: with `deposit`, or with what the real account holds then (None).

    `may_begin` is false once it has traded: a file that is missing then is lost, and nothing may begin anew.
    """

    login: int
    server: str
    state_file: Path
    deposit: float | None
    commission_per_lot: float
    may_begin: bool


class PaperGateway(Mt5Account):
    """Implements brokers.gateway.Gateway. Fills, margin, swap, commission and stop-out are the simulator's."""

    capabilities = replace(
        Mt5Account.capabilities, title="Paper", process_per_terminal=False, manual_trades="there are none"
    )

    def __init__(
        self, prices: PriceSource, account: PaperAccount, *, clock: Clock, is_for_reading: bool = False
    ) -> None:
        self._prices = prices
        self._paper = account
        self._own = terminal.PaperTerminal(account.state_file, clock=clock)
        super().__init__(
            self._own, login=account.login, password="", server=account.server, path=None, clock=clock,
            is_for_reading=is_for_reading,
        )  # fmt: skip

    # Connection

    def connect(self, fence: int = 0) -> None:
        """Connect the real account for reading, and open the paper one; made at the first time. Raises ConnectError."""
        self._prices.connect()
        try:
            self._make_account()
            self._log_in()
            self._follow_clock()
        except BaseException:
            self.close()
            raise

    def _make_account(self) -> None:
        paper = self._paper
        if paper.state_file.exists():
            return
        if not paper.may_begin:
            raise ConnectError(
                f"The file of this paper account is not at {paper.state_file}.",
                "Bring it back, or run the account on the host that has it; or create another paper account.",
            )
        try:
            real = self._prices.account()
        except ReadError as problem:
            raise ConnectError(problem.problem, problem.fix) from None
        deposit = real.balance if paper.deposit is None else paper.deposit
        if deposit <= 0:
            raise ConnectError("The real account holds nothing to begin with.", "Give the paper account a deposit.")
        known, now = self._prices.clock_offset(), self._clock.now().timestamp()
        ahead = int(known.offset.total_seconds()) if known is not None else offset("ny+7", now)
        spec = AccountSpec(
            paper.login, "", paper.server, real.currency, deposit, real.leverage, MARGIN_MODES[real.margin_mode],
            name="Paper", company="Paper", server_clock=f"utc {ahead:+d}" if ahead else "utc", limit_orders=0,
        )  # fmt: skip
        terminal.create(paper.state_file, spec, clock=self._clock)

    def _initialize(self) -> bool:
        if not super()._initialize():
            return False
        for name, setup in self._own.known().items():
            self._symbols.learn(setup.priced_as, name)
        self._set_clock(self._own.server_clock_seconds())
        return True

    def close(self) -> None:
        """Let go of both terminals."""
        try:
            super().close()
        finally:
            self._prices.close()

    # The real market

    def symbols(self) -> Sequence[str]:
        """Name every symbol of the real broker. Raises ReadError."""
        return self._prices.symbols()

    def broker_name(self, symbol: str) -> str:
        """Return the real broker's name of one of our symbols. Raises SymbolError, ReadError."""
        return self._prices.broker_name(symbol)

    def clock_offset(self) -> ClockOffset | None:
        """Return how far the real broker's clock is ahead of UTC."""
        return self._prices.clock_offset()

    def spec(self, symbol: str) -> SymbolSpec:
        """Read a symbol's specification at the real broker; the paper account trades by it. Raises as the real one."""
        spec, quote = self._prices.spec(symbol), self._prices.quote(symbol)
        self._follow_clock()
        name = self._prices.broker_name(symbol)
        self._symbols.learn(symbol, name)
        state = self._account()
        setup = setup_of(
            spec, name, quote, currency=state.currency, leverage=state.leverage,
            commission_per_lot=self._paper.commission_per_lot,
        )  # fmt: skip
        if has_moved(self._own.known().get(name), setup):
            self._own.list_symbol(setup)
        self._specs[symbol] = spec
        return spec

    def quote(self, symbol: str) -> Quote:
        """Read the real broker's latest prices, which the paper account then follows. Raises ReadError, SymbolError."""
        if symbol not in self._specs:
            self.spec(symbol)
        quote = self._prices.quote(symbol)
        self._own.follow(self._take(quote, is_held=symbol in self._own.held().values()))
        return quote

    def best_lots(self, symbol: str) -> float | None:
        """Return the lots at the best price of the real market's thinner side; None: no depth is shown."""
        return self._prices.best_lots(symbol) if isinstance(self._prices, DepthSource) else None

    def candles(self, symbol: str, seconds: int, count: int) -> tuple[Candle, ...]:
        """Read the real broker's last closed candles, oldest first. Raises ReadError."""
        return self._prices.candles(symbol, seconds, count)

    # The account

    def account(self) -> AccountState:
        """Read the account at the prices of this moment. Raises ReadError, also when those can't be read."""
        self._follow()
        return super().account()

    def book(self) -> Book:
        """Read account, positions and resting orders at the prices of this moment. Raises ReadError."""
        self._follow()
        return super().book()

    def send(self, request: Request, permit: Permit | None = None) -> Outcome:
        """Trade on paper. A market without new prices takes no order, as at the real broker."""
        try:
            quote = self.quote(request.symbol)
        except (ReadError, SymbolError) as problem:
            return Refused("not_ready", 0, fresh_price=True, text=str(problem))
        if self._clock.now() - quote.at > CLOSED_AFTER:
            return Refused("market_closed", MARKET_CLOSED, text=f"no price of {request.symbol} since {quote.at:%H:%M}")
        return super().send(request, permit)

    def _follow(self) -> None:
        """Let the account follow the market of everything it holds. Raises ReadError."""
        first = None
        for symbol in sorted(set(self._own.held().values())):
            try:
                at = self._take(self._prices.quote(symbol), is_held=True)
            except SymbolError as problem:
                raise ReadError(problem.problem, problem.fix) from None
            first = at if first is None or (at is not None and at < first) else first
        self._own.follow(first)

    def _take(self, quote: Quote, *, is_held: bool) -> float | None:
        """Take a price in, and what was missed before it; return from when on the account has to look, if at all.

        A price counts from when it is seen. One of a closed market is what positions are worth, and triggers nothing.
        """
        prices, now = self._own.prices[quote.symbol], self._clock.now().timestamp()
        first, before = None, prices.looked_at or self._own.seen_until()
        if is_held and now - before > GAP_SECONDS:
            first = self._fill_gap(quote.symbol, before, now)
        prices.looked_at = now
        if self._clock.now() - quote.at > CLOSED_AFTER:
            if prices.last is None:
                prices.push(quote.at.timestamp(), quote.bid, quote.ask)
            return first
        if prices.last is not None and prices.last[1:] == (quote.bid, quote.ask):
            return first
        prices.push(now, quote.bid, quote.ask)
        return now if first is None else first

    def _fill_gap(self, symbol: str, after: float, until: float) -> float | None:
        """Put the broker's candles where nobody looked; without any, the market jumps. Raises no ReadError."""
        seconds = 1 if until - after <= SECONDS_GAP_MAX and isinstance(self._prices, CandleSource) else MINUTE
        since, end = datetime.fromtimestamp(after, UTC), datetime.fromtimestamp(until, UTC)
        try:
            if isinstance(self._prices, CandleSource):
                found = self._prices.candle_range(symbol, seconds, since, end)
            else:
                count = min(MINUTES_MAX, int((until - after) // MINUTE) + 1)
                found = of_single(self._prices.candles(symbol, seconds, count), self._prices.spec(symbol).point)
        except (ReadError, SymbolError):
            return None
        return fill_gap(self._own.prices[symbol], found, seconds, after=after, until=until)

    def _follow_clock(self) -> None:
        """Take over a change of the real broker's clock (DST): nights begin by it."""
        known = self._prices.clock_offset()
        if known is not None and known.is_confirmed:
            self._own.set_server_clock(int(known.offset.total_seconds()))
            self._set_clock(self._own.server_clock_seconds())

    def _set_clock(self, seconds: int) -> None:
        """Read the paper terminal's times, all of which it tells by its clock of this moment."""
        offset_now = timedelta(seconds=seconds)
        if self.server_clock.offset != offset_now or not self.server_clock.known:
            self.server_clock = ServerClock([ClockOffset(offset_now, EPOCH, is_confirmed=True)])


class PaperGatewayOfSeconds(PaperGateway):
    """A paper account of a broker that gives candles of any length: what the real gateway can't do, paper can't."""

    def candle_range(self, symbol: str, seconds: int, since: datetime, until: datetime) -> Candles:
        """Read the real broker's closed candles of a period. Raises ReadError."""
        assert isinstance(self._prices, CandleSource)
        return self._prices.candle_range(symbol, seconds, since, until)


def paper_gateway(
    prices: PriceSource, account: PaperAccount, *, clock: Clock, is_for_reading: bool = False
) -> PaperGateway:
    """Make the gateway of a paper account, not connected yet, from one of its source that is not connected either."""
    made = PaperGatewayOfSeconds if isinstance(prices, CandleSource) else PaperGateway
    return made(prices, account, clock=clock, is_for_reading=is_for_reading)
