"""The guards job: look at the account, judge it, follow the alarms, and close what they mark. Every second."""

import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median

from accounts.selectors import account_of
from accounts.snapshots import take_snapshot
from brokers.domain import Book, PendingOrder, Position, SymbolSpec
from brokers.gateway import BrokerError, DepthSource
from core.clock import Clock
from core.numbers import adds_up
from engine.closing import AutoClose, Marked
from engine.selectors import silent_accounts
from events.services import record
from marketdata.quotes import Market
from orders.domain import KnownOrder
from orders.gate import Gate, LeaseLost, fenced
from orders.manager import OrdersManager, OrdersPass
from orders.models import IntentKind, IntentState, OrderIntent
from risk import selectors
from risk.domain.alarms import concerned, follow
from risk.domain.brokertime import broker_wall, in_forex_week
from risk.domain.calendar import NewsItem
from risk.domain.exposure import currency_exposure, value_per_lot
from risk.domain.guards import evaluate, spread_limit
from risk.domain.peak import CENT_NOISE, Reading
from risk.domain.readings import Finding, Held, MarketSeen, Seen, Worth
from risk.domain.review import Load
from risk.domain.settings import GuardSettings
from risk.models import DayStart, EquityPeak, KillSwitch
from risk.peaks import day_start, follow_peak
from risk.services import lift_cause, raise_block
from risk.services.alarms import as_alarm, write_alarm
from risk.services.golive import hold_back_unapproved

log = logging.getLogger("trading.guards")

CAUSE = "guards"
SPREADS_KEPT = 300
SPREADS_NEEDED = 20
BOOK_AGE_MAX = timedelta(seconds=10)
SNAPSHOT_SECONDS = 2.0
LEDGER_SECONDS = 10.0
NEWS_SECONDS = 60.0
LEDGER_GRACE_SECONDS = 60.0


class Guards:
    """One account's guards. What they stand on is in the database; only market statistics live here."""

    def __init__(self, *, gate: Gate, market: Market, clock: Clock, orders: OrdersManager, closer: AutoClose) -> None:
        self.account_id = gate.account_id
        self.gate = gate
        self.market = market
        self.clock = clock
        self.orders = orders
        self.closer = closer
        self.settings = GuardSettings()
        self.passed_at: datetime | None = None
        self.load = Load()
        self.book_at: datetime | None = None
        self.findings: tuple[Finding, ...] = ()
        self.peak: EquityPeak | None = None
        self._spreads: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=SPREADS_KEPT))
        self._ticks: dict[str, datetime] = {}
        self._ledger: tuple[float, float, selectors.Ledger] | None = None
        self._gap_since: float | None = None
        self._snapshot_at: float | None = None
        self._news: tuple[float, tuple[NewsItem, ...]] | None = None

    def run(self) -> int:
        """Make one pass; return the number of closes sent. Whatever fails in it forbids entries until it works."""
        try:
            sent = self._pass()
        except LeaseLost:
            raise
        except Exception as problem:
            self.passed_at = None
            with fenced(self.gate):
                raise_block(
                    account_id=self.account_id,
                    cause=CAUSE,
                    reason=f"the guards failed: {type(problem).__name__}: {problem}",
                    at=self.clock.now(),
                    level="error",
                )
            raise
        if self.passed_at is None:
            with fenced(self.gate):
                lift_cause(account_id=self.account_id, cause=CAUSE, why="the guards look again", at=self.clock.now())
        self.passed_at = self.clock.now()
        return sent

    def _pass(self) -> int:
        last = self.orders.last
        if last is None:
            raise RuntimeError("the account has not been read yet")
        self.settings = selectors.current_config(self.account_id)
        account = account_of(self.account_id)
        if not account.demo:
            with fenced(self.gate):
                hold_back_unapproved(account, at=self.clock.now())
        seen, resting = self._see(last)
        self.findings = evaluate(self.settings, seen)
        marked = self._follow(seen, resting, last)
        return self.closer.run(marked, value_per_lot({m.held.symbol for m in marked}, seen.markets))

    @property
    def newest_book_at(self) -> datetime | None:
        """When the account was last read; `book_at` is when what the guards judged was."""
        return self.orders.last.at if self.orders.last is not None else None

    def spread_max(self, spec: SymbolSpec) -> float:
        """Return the widest spread of a symbol that is not dangerous, in price units."""
        return spread_limit(self.settings, self._usual_spread(spec.name), spec.pip) * spec.pip

    def _usual_spread(self, symbol: str) -> float | None:
        spreads = self._spreads[symbol]
        return median(spreads) if len(spreads) >= SPREADS_NEEDED else None

    # What there is to see

    def _see(self, last: OrdersPass) -> tuple[Seen, list[Held]]:
        book, now = last.book, self.clock.now()
        orders = {order.identifier: order for order in last.known}
        positions = tuple(_held(p, orders.get(p.identifier)) for p in book.positions)
        resting = [_resting(o, orders.get(o.ticket)) for o in book.orders]
        worth, gap_seconds, ledger = self._worth(book, now - last.at)
        markets = self._markets({p.symbol for p in positions} | set(self.market.quotes), now)
        wall = broker_wall(now, self.settings.broker_time_zone, self._server_offset())
        reading = Reading(now, worth.base, worth.complete and gap_seconds == 0.0)
        peak, day = self._peak_and_day(reading, worth, ledger, wall)
        entries = selectors.entries_sent(self.account_id, now)
        needs_parts = any(
            limit is not None for guard in ("bot", "cycle", "position") for _, limit in self.settings.tiers(guard)
        )
        midnight = now - timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
        cycles, bots, owners = selectors.realized_since(self.account_id, midnight) if needs_parts else ({}, {}, {})
        needs_portfolio = any(limit is not None for _, limit in self.settings.tiers("portfolio"))
        seen = Seen(
            now=now,
            worth=worth,
            peak=peak,
            day_base=day,
            broker_minute=wall.hour * 60 + wall.minute,
            positions=positions,
            markets=markets,
            cycle_realized=cycles,
            bot_realized=bots,
            cycle_bots=owners,
            portfolio_drawdown=selectors.portfolio_drawdown(self.account_id) if needs_portfolio else None,
            portfolio_silent=silent_accounts(self.account_id) if needs_portfolio else (),
            requests=selectors.recent_requests(self.account_id, now),
            entries=entries,
            news=self._calendar(now),
            ledger_gap_seconds=gap_seconds,
        )
        self.load, self.book_at = _load(seen, resting, last.known), last.at
        return seen, resting

    def _worth(self, book: Book, age: timedelta) -> tuple[Worth, float, selectors.Ledger]:
        """Judge whether account, positions and ledger agree; say for how long the ledger has not explained it all."""
        a = book.account
        complete = age <= BOOK_AGE_MAX and adds_up(a.equity, a.balance, a.credit, book.unrealized_pnl)
        ledger = self._sums(a.balance)
        gap = 0.0 if ledger.balance is None else a.balance - ledger.balance
        known = self.peak.ledger_gap if self.peak is not None else gap
        if abs(gap - known) <= 0.01:
            self._gap_since = None
        elif self._gap_since is None:
            self._gap_since = self.clock.ticks()
        elif self.clock.ticks() - self._gap_since >= LEDGER_GRACE_SECONDS and self.peak is not None:
            self._accept_gap(gap)
        seconds = 0.0 if self._gap_since is None else max(0.001, self.clock.ticks() - self._gap_since)
        return Worth(a.equity, a.balance, a.credit, a.margin, a.margin_level, complete), seconds, ledger

    def _server_offset(self) -> timedelta | None:
        """Return how far the broker's clock is ahead of UTC, as the terminal's prices show it."""
        offset = self.closer.gateway.clock_offset()
        return None if offset is None else offset.offset

    def _sums(self, balance: float) -> selectors.Ledger:
        """Add up the ledger again when the balance moved, when it is unexplained, and every ten seconds."""
        ticks = self.clock.ticks()
        if self._ledger is not None and self._gap_since is None:
            at, of_balance, ledger = self._ledger
            if of_balance == balance and ticks - at < LEDGER_SECONDS:
                return ledger
        ledger = selectors.ledger_of(self.account_id)
        self._ledger = (ticks, balance, ledger)
        return ledger

    def _accept_gap(self, gap: float) -> None:
        """Take a balance that no deal explains for a minute as a result of trading, and say so."""
        assert self.peak is not None
        change = gap - self.peak.ledger_gap
        self.peak.ledger_gap, self._gap_since = gap, None
        with fenced(self.gate):
            EquityPeak.objects.filter(pk=self.peak.pk).update(ledger_gap=gap)
            record(
                kind="LEDGER_GAP",
                level="warning",
                text=f"The balance moved by {change:+.2f} and no deal explains it; it counts as a result of trading.",
                account_id=self.account_id,
                at=self.clock.now(),
            )

    def _markets(self, symbols: Iterable[str], now: datetime) -> dict[str, MarketSeen]:
        """Gather what is known of each symbol; one that the broker does not answer for is left out."""
        found = {}
        for symbol in sorted(symbols):
            try:
                quote = self.market.quotes.get(symbol) or self.market.quote(symbol)
                spec, candles = self.market.spec(symbol), self.market.candles(symbol)
            except BrokerError as problem:
                log.info("account %s: %s is not watched: %s", self.account_id, symbol, problem)
                continue
            spreads = self._spreads[symbol]
            if self._ticks.get(symbol) != quote.at:
                self._ticks[symbol] = quote.at
                spreads.append(quote.spread)
            usual = self._usual_spread(symbol)
            found[symbol] = MarketSeen(
                quote, spec, usual, tuple(candles[-2:]), self._best_lots(symbol), in_forex_week(now) and spec.tradable
            )
        return found

    def _best_lots(self, symbol: str) -> float | None:
        """Ask for the depth where a limit wants it; a read that fails counts as an empty book, never as "fine"."""
        gateway = self.closer.gateway
        if self.settings.thin_book_lots <= 0 or not isinstance(gateway, DepthSource):
            return None
        try:
            return gateway.best_lots(symbol)
        except BrokerError as problem:
            log.info("account %s: the depth of %s can't be read: %s", self.account_id, symbol, problem)
            return 0.0

    def _calendar(self, now: datetime) -> tuple[NewsItem, ...]:
        if self._news is None or self.clock.ticks() - self._news[0] >= NEWS_SECONDS:
            self._news = (self.clock.ticks(), selectors.news_around(now))
        return self._news[1]

    # Peak and day

    def _peak_and_day(
        self, reading: Reading, worth: Worth, ledger: selectors.Ledger, wall: datetime
    ) -> tuple[float | None, float | None]:
        """Follow the peak and the day's start; return both as money that the account has today."""
        demo = account_of(self.account_id).demo
        row = next((peak for peak in selectors.equity_peaks(self.account_id) if peak.demo == demo), None)
        if row is None or self._tells_something(row, reading, ledger):
            row = self._follow_peak(row, reading, worth, ledger, demo)
        self.peak = row
        if row is None:
            return None, None
        # Payments that are seen and not followed yet move the peak for this judgement alone
        pending = ledger.flow_total - row.flow_total
        before = worth.base - pending
        value = row.value * max(0.0, worth.base) / before if pending and before > 0 else row.value
        return value, self._day(reading, worth, ledger, wall)

    def _tells_something(self, row: EquityPeak, reading: Reading, ledger: selectors.Ledger) -> bool:
        """Tell whether a reading changes the peak or its count; one above the peak counts every two seconds."""
        if not reading.complete:
            return bool(row.above)
        if reading.base <= row.value + CENT_NOISE:
            return bool(row.above) or ledger.flow_total != row.flow_total
        ticks = self.clock.ticks()
        return self._snapshot_at is None or ticks - self._snapshot_at >= SNAPSHOT_SECONDS

    def _follow_peak(
        self, row: EquityPeak | None, reading: Reading, worth: Worth, ledger: selectors.Ledger, demo: bool
    ) -> EquityPeak | None:
        """Let the peak follow a reading, and keep the reading as a snapshot: so the peak can be computed again."""
        is_new = row is None
        try:
            peak = follow_peak(
                row, reading, ledger, account_id=self.account_id, demo=demo, needed=self.settings.peak_readings
            )
        except ValueError:
            return None
        if is_new and ledger.balance is not None:
            peak.ledger_gap = worth.balance - ledger.balance
        assert self.orders.last is not None
        self._snapshot_at = self.clock.ticks()
        with fenced(self.gate):
            peak.save()
            take_snapshot(self.account_id, self.orders.last.book, at=reading.at)
        return peak

    def _day(self, reading: Reading, worth: Worth, ledger: selectors.Ledger, wall: datetime) -> float | None:
        if not reading.complete:
            row = selectors.day_start_of(self.account_id, wall.date())
        else:
            row = self._day_row(reading, worth, ledger, wall)
        if row is None or row.equity is None or row.balance is None:
            return None
        base = row.equity if self.settings.daily_base == "equity" else row.balance
        return base + ledger.flow_total - row.flow_total

    def _day_row(self, reading: Reading, worth: Worth, ledger: selectors.Ledger, wall: datetime) -> DayStart:
        row = selectors.day_start_of(self.account_id, wall.date())
        if row is not None and row.equity is not None:
            return row
        if row is not None:
            row.equity, row.balance, row.flow_total, row.at = reading.base, worth.balance, ledger.flow_total, reading.at
        else:
            since = timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond)
            row = day_start(self.account_id, wall.date(), reading.at - since, reading, worth.balance, ledger)
        with fenced(self.gate):
            row.save()
        return row

    # Alarms

    def _follow(self, seen: Seen, resting: Sequence[Held], last: OrdersPass) -> list[Marked]:
        """Take every alarm one step on, and gather what has to be closed."""
        found = {(f.guard, f.level.value, f.subject[:40]): f for f in self.findings}
        rows = {(row.guard, row.level, row.subject): row for row in selectors.standing_alarms(self.account_id)}
        marks: dict[int, tuple[Held, str]] = {}
        for key in {**rows, **found}:
            row, finding = rows.get(key), found.get(key)
            before = as_alarm(row) if row is not None else None
            about = concerned(before, finding, (*seen.positions, *resting), foreign=self.settings.close_foreign)
            after = follow(before, finding, self.settings, seen.now, left=len(about))
            if after is None:
                continue
            trouble = self._trouble() if after.closes and about else ""
            kept = row
            if row is None or after != before or row.left != len(about) or row.trouble != trouble:
                with fenced(self.gate):
                    kept = write_alarm(self.account_id, row, after, left=len(about), trouble=trouble, at=seen.now)
            if kept is not None and after.closes:
                for held in about:
                    marks.setdefault(held.identifier, (held, f"guard {after.guard}"))
        for switch in selectors.standing_kills(self.account_id):
            if switch.mode == KillSwitch.Mode.FLATTEN:
                for held in (*seen.positions, *resting):
                    if switch.bot_id in (None, held.bot_id):
                        marks.setdefault(held.identifier, (held, "kill switch"))
        return _marked(marks, last)

    def _trouble(self) -> str:
        """Return why the last close was refused."""
        last = OrderIntent.objects.filter(account_id=self.account_id, kind=IntentKind.CLOSE).order_by("-id").first()
        refused = last is not None and last.state in (IntentState.REFUSED, IntentState.UNKNOWN)
        return last.reply_text if last is not None and refused else ""


def _held(p: Position, order: KnownOrder | None) -> Held:
    return Held(
        p.identifier, p.symbol, p.side, p.volume, p.price_open, p.profit + p.swap,
        order.bot_id if order else None, order.cycle_id if order else None, order.id if order else None,
    )  # fmt: skip


def _resting(o: PendingOrder, order: KnownOrder | None) -> Held:
    return Held(
        o.ticket, o.symbol, o.side, o.volume, o.price, 0.0,
        order.bot_id if order else None, order.cycle_id if order else None, order.id if order else None,
    )  # fmt: skip


def _load(seen: Seen, resting: Sequence[Held], known: Sequence[KnownOrder]) -> Load:
    lots: dict[str, float] = defaultdict(float)
    for held in (*seen.positions, *resting):
        lots[held.symbol] += held.volume
    return Load(
        cycles=len({order.cycle_id for order in known if order.cycle_id is not None}),
        orders=len(seen.positions) + len(resting),
        lots=dict(lots),
        exposure=currency_exposure((*seen.positions, *resting), seen.markets),
        entries_minute=sum(seen.now - at < timedelta(minutes=1) for at in seen.entries),
        entries_day=len(seen.entries),
    )


def _marked(marks: dict[int, tuple[Held, str]], last: OrdersPass) -> list[Marked]:
    orders = {order.identifier: order for order in last.known}
    positions = {p.identifier: p for p in last.book.positions}
    resting = {o.ticket: o for o in last.book.orders}
    return [
        Marked(held, why, positions.get(i), None if i in positions else resting.get(i), orders.get(i))
        for i, (held, why) in marks.items()
    ]
