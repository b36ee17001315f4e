"""The guards of a backtest: the same findings and alarms as live, on the replayed account.

They look once a second, at its first moment. In between nothing of theirs can change but by the equity, by prices and
by time, so a replay jumps: the scan follows the clean peak and stops where the equity leaves what was judged last
(`aim`), and `next_due` is when time or the prices' own dangers ask for a look.

What strategies do at a moment comes before what the guards do then: live, prices wake strategies within 0.3 s.

Nobody vetoes or re-arms in a backtest: an account or bot that a guard closed stays closed to the end. What only warns
is left out.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import numpy as np

from backtesting.brokerwall import BrokerWall
from backtesting.desk import Desk
from backtesting.domain import BOT, GuardStep, LegRecord
from backtesting.guardlimits import Judged, Key, plane_of
from backtesting.history import History
from backtesting.marketguard import Dangers, dangers_of, moments_read
from brokers.domain import Side
from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY
from brokers.simulator.exchange import Exchange
from brokers.simulator.scan import (
    BEFORE,
    CENTS,
    CLEAN,
    DUE,
    FALL,
    LAST,
    LEAST,
    MOST,
    NEEDED,
    NEVER,
    PASSED,
    READ_AT,
    RING,
    Floats,
)
from risk.domain import Ask, Vetoed, review_exit
from risk.domain.alarms import CALM, Alarm, Phase, concerned, follow
from risk.domain.calendar import IMPACTS, NewsItem
from risk.domain.circuit import Circuit, circuit_of
from risk.domain.exposure import CLOSES_PER_PASS, largest_risk_first, notional, value_per_lot
from risk.domain.guards import evaluate, spread_limit
from risk.domain.readings import Finding, Held, MarketSeen, Seen, Tier, Worth
from risk.domain.settings import FALLING, RISING, GuardSettings

Block = tuple[int | None, str, str, str]
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def without_warnings(settings: GuardSettings) -> GuardSettings:
    """Return the settings with the tiers that only tell something turned off."""
    return settings.model_copy(update={f"{guard}_warn": None for guard in (*RISING, *FALLING)})


class ReplayGuards:
    """Watches one replayed account. `steps` are what guards did, `blocks` what they forbid now."""

    def __init__(
        self, settings: GuardSettings, desk: Desk, exchange: Exchange, history: History, news: Iterable[NewsItem],
        *, every_tick: bool, peak: float | None, day_base: float | None = None,
    ) -> None:  # fmt: skip
        self.settings = without_warnings(settings)
        self.desk, self.exchange, self.history = desk, exchange, history
        self.news = sorted(news, key=lambda item: item.at)
        self.every_tick = every_tick
        self.wall = BrokerWall(self.settings.broker_time_zone, exchange.account.server_clock)
        self.steps: list[GuardStep] = []
        self.blocks: tuple[Block, ...] = ()
        self._alarms: dict[Key, Alarm] = {}
        self._judged = Judged(self.settings)
        self._refusals: dict[int, tuple[int, datetime]] = {}
        self._dangers: dict[str, Dangers] | None = None
        begin, balance = float(history.stream.at[0]), float(exchange.state.meta["balance"])
        needed = self.settings.peak_readings
        self.readings: Floats = np.zeros(RING + needed)
        self.readings[[CLEAN, NEEDED, DUE]] = max(peak or 0.0, balance), needed, math.floor(begin) + 1.0
        self.readings[[READ_AT, LAST, BEFORE]] = begin, balance, balance
        self.day_base = balance if day_base is None else day_base
        self._balance = balance
        self._traded = (exchange.state.revision, 0)
        self._asks_soon = True
        self._day_began = self.wall.midnight_before(begin)
        self._midnight = self.wall.next_midnight(begin)
        self._due = NEVER
        self._judged_at = -NEVER
        self._marks: dict[int, tuple[Held, str]] = {}
        self._closed = False

    # When to look

    def is_due(self, at: float) -> bool:
        """Tell whether guards look at this moment: it is one of theirs, and something may have changed for them."""
        if self.readings[READ_AT] != at or self._closed:
            return False
        soon = self.every_tick or self._asks_soon or self._has_parts
        return soon or bool(self.readings[PASSED]) or at >= self.next_due()

    def next_due(self) -> float:
        """Return from when on the next of their moments has to be looked at, whatever prices do."""
        if self._closed:
            return NEVER
        if self._asks_soon:
            return float(self.readings[DUE])
        turns = (danger.next_turn(self._judged_at) for danger in self._market().values())
        return min(self._due, self._midnight, min(turns, default=NEVER))

    def aim(self) -> Floats:
        """Set what the scan follows by what the account is now; return it."""
        state, readings = self.exchange.state, self.readings
        readings[PASSED] = 0.0
        if self._closed:
            readings[[FALL, LEAST, MOST]] = NEVER, -NEVER, NEVER
            return readings
        traded = state.revision, self.desk.requests_sent
        if traded != self._traded:
            if readings[READ_AT] == self.exchange.clock.now().timestamp():
                readings[LAST] = self.exchange.equity()
            self._traded = traded
            self._asks_soon = self._is_near(has_traded=True)
        self._balance = state.meta["balance"]
        readings[CENTS] = 0.01 * (len(state.positions) + 2)
        meta = state.meta
        start = meta["balance"] + meta["credit"] - self.desk.closed_since(self._day_began)
        readings[FALL], readings[LEAST], readings[MOST] = self._judged.equity(
            peak=float(readings[CLEAN]), day_base=self.day_base, margin=self.exchange.margin(),
            balance=meta["balance"], bot_start=start,
        )  # fmt: skip
        return readings

    def tracks(self) -> Iterator[tuple[str, list[float]]]:
        """Give the planes (symbol, row of a track) of positions and cycles whose loss is limited."""
        if not self._has_parts:
            return
        balance, cycles = self.exchange.state.meta["balance"], dict[tuple[str, int], list[list[float]]]()
        for held in self._positions():
            plane = plane_of(self.exchange, held.identifier)
            yield held.symbol, self._judged.part("position", str(held.identifier), plane, balance)
            if held.cycle_id is not None:
                cycles.setdefault((held.symbol, held.cycle_id), []).append(plane)
        for (symbol, cycle_id), planes in cycles.items():
            total = [sum(column) for column in zip(*planes, strict=True)]
            total[2] += self.desk.open[cycle_id].net
            yield symbol, self._judged.part("cycle", str(cycle_id), total, balance)

    @property
    def _has_parts(self) -> bool:
        return any(limit is not None for guard in ("position", "cycle") for _, limit in self.settings.tiers(guard))

    def _is_near(self, *, has_traded: bool) -> bool:
        """Tell whether a guard may object, or have something to close, without the equity telling of it."""
        phases = {alarm.phase for alarm in self._alarms.values()}
        if Phase.CLOSING in phases or (has_traded and Phase.STANDING in phases):
            return True
        now, s = self.exchange.clock.now(), self.settings
        at = now.timestamp()
        if has_traded and (
            self.desk.entries_since(at - MINUTE) >= s.orders_per_minute
            or self.desk.entries_since(at - DAY) >= s.orders_per_day
            or self._circuit(self.desk.requests_since(at - HOUR)).blocks(now)
        ):
            return True
        lots: dict[str, float] = {}
        for p in self.exchange.state.positions.values():
            lots[p.symbol] = lots.get(p.symbol, 0.0) + p.volume
        gross = 0.0
        for name, volume in lots.items():
            quote = self.desk.quote(name)
            gross += notional(volume, quote, self.desk.spec(name)) if quote is not None else 0.0
        return gross > s.max_currency_leverage * max(0.0, self.exchange.equity()) / 2

    def _circuit(self, requests: Iterable[tuple[datetime, bool]]) -> Circuit:
        s = self.settings
        window, pause = timedelta(seconds=s.error_window), timedelta(seconds=s.error_pause)
        return circuit_of(requests, failures=s.error_failures, window=window, pause=pause)

    # What there is to see

    def judge(self) -> None:
        """Judge the account as it is now, and follow the alarms; `act` carries out what comes of it."""
        now = self.exchange.clock.now()
        self._judged_at = now.timestamp()
        self._turn_day(now)
        seen = self._seen(now)
        findings = {_key(f): f for f in evaluate(self.settings, seen)}
        self._judged = Judged(self.settings, {key: f.tier for key, f in findings.items()})
        self._marks = self._follow(findings, seen)
        self._due = self._next_time(seen)

    def act(self) -> bool:
        """Forbid and close what was judged last; tell whether that changed anything."""
        before, state = self.blocks, self.exchange.state
        self.blocks = tuple(
            (alarm.bot_id, f"guard {alarm.guard}", alarm.text, alarm.subject if alarm.level == "symbol" else "")
            for alarm in self._alarms.values()
            if alarm.forbids_entries
        )
        marks, self._marks = self._marks, {}
        if marks:
            self._close(marks)
        self._asks_soon = self._is_near(has_traded=False)
        whole = {a.level for a in self._alarms.values() if a.phase is Phase.CLOSED}
        self._closed = bool(whole & {"account", "portfolio"}) and not state.positions and not state.orders
        return bool(marks) or self.blocks != before

    def spread_max(self, symbol: str) -> float | None:
        """Return the widest spread that is not dangerous, in price units, at a moment at which guards look; else None.

        In between the last look's block says it.
        """
        spec, at = self.desk.spec(symbol), float(self.readings[READ_AT])
        if at != self.exchange.clock.now().timestamp():
            return None
        return spread_limit(self.settings, self._market()[symbol].usual_spread(at), spec.pip) * spec.pip

    def _seen(self, now: datetime) -> Seen:
        exchange, at = self.exchange, now.timestamp()
        meta, equity, margin = exchange.state.meta, exchange.equity(), exchange.margin()
        level = equity / margin * 100 if margin > 0 else 0.0
        worth = Worth(equity, meta["balance"], meta["credit"], margin, level)
        peak, wall = float(self.readings[CLEAN]), self.wall.at(now)
        fall = max(0.0, (peak - worth.base) / peak * 100) if peak > 0 else 0.0
        cycles = {c.number: c.net for c in self.desk.open.values()}
        return Seen(
            now=now,
            worth=worth,
            peak=peak,
            day_base=self.day_base,
            broker_minute=wall.hour * 60 + wall.minute,
            positions=tuple(self._positions()),
            markets=self._markets_of(exchange.symbols),
            cycle_realized=cycles,
            bot_realized={BOT: self.desk.closed_since(self._day_began)},
            cycle_bots=dict.fromkeys(cycles, BOT),
            portfolio_drawdown=fall,
            requests=self.desk.requests_since(at - HOUR),
            entries=self.desk.entry_times(at - DAY),
            news=tuple(self.news),
        )

    def _positions(self) -> Iterator[Held]:
        profits = self.exchange.profits()
        for p in self.exchange.state.positions.values():
            leg = self.desk.leg_of(p.identifier)
            yield Held(
                p.identifier, p.symbol, Side.BUY if p.type == BUY else Side.SELL, p.volume, p.price_open,
                profits[p.identifier] + p.swap, *_owners(leg),
            )  # fmt: skip

    def _resting(self) -> Iterator[Held]:
        for o in self.exchange.state.orders.values():
            leg = self.desk.leg_of(o.ticket)
            side = Side.BUY if o.type % 2 == 0 else Side.SELL
            yield Held(o.ticket, o.symbol, side, o.volume_left, o.price, 0.0, *_owners(leg))

    def _markets_of(self, symbols: Iterable[str]) -> dict[str, MarketSeen]:
        found, at = {}, float(self.readings[READ_AT])
        for name in symbols:
            quote = self.desk.quote(name)
            if quote is not None:
                danger = self._market()[name]
                found[name] = MarketSeen(
                    quote, self.desk.spec(name), danger.usual_spread(at), danger.candles(quote.at.timestamp())
                )
        return found

    def _market(self) -> Mapping[str, Dangers]:
        if self._dangers is None:
            self._dangers = {name: self._dangers_of(setup) for name, setup in self.exchange.symbols.items()}
        return self._dangers

    def _dangers_of(self, setup: SymbolSetup) -> Dangers:
        s, history = self.settings, self.history
        pip = setup.point * (10 if setup.digits in (3, 5) else 1)

        def moments() -> Floats:
            return history.remembered("moments", lambda: moments_read(history.stream.at))

        return history.remembered(
            f"dangers {setup.name} {pip} {s.gap_close} {s.spread_floor} {s.spread_multiple}",
            lambda: dangers_of(moments, history.ticks[setup.name], history.charts[setup.name], s, pip),
        )

    # Time

    def _turn_day(self, now: datetime) -> None:
        """Begin a day with what there was when the one before ended."""
        if now.timestamp() >= self._midnight:
            self.day_base = float(self.readings[BEFORE]) if self.settings.daily_base == "equity" else self._balance
            self._day_began = self.wall.midnight_before(now.timestamp())
            self._midnight = self.wall.next_midnight(now.timestamp())

    def _next_time(self, seen: Seen) -> float:
        """Return when time alone changes what the guards say."""
        now, s, times = seen.now, self.settings, list[datetime]()
        for alarm in self._alarms.values():
            if alarm.phase is Phase.COUNTDOWN and alarm.deadline is not None:
                times.append(alarm.deadline)
            if alarm.phase is Phase.STANDING and alarm.calm_since is not None:
                times.append(alarm.calm_since + CALM)
        circuit = self._circuit(seen.requests)
        if circuit.open_until is not None:
            times.append(circuit.open_until)
        for limit, span in ((s.orders_per_minute, timedelta(minutes=1)), (s.orders_per_day, timedelta(days=1))):
            if len(seen.entries) >= limit:
                times.append(seen.entries[-limit] + span)
        if s.session_start:
            times += self.wall.next_times(now, (s.session_start, s.session_end))
        least = IMPACTS.index(s.news_impact)
        for item in self.news:
            if IMPACTS.index(item.impact) >= least:
                times += [item.at - timedelta(minutes=s.news_before), item.at + timedelta(minutes=s.news_after)]
        return min((at.timestamp() for at in times if at > now), default=NEVER)

    # Alarms

    def _follow(self, findings: Mapping[Key, Finding], seen: Seen) -> dict[int, tuple[Held, str]]:
        """Take every alarm one step on; return what has to be closed, with why."""
        everything = (*seen.positions, *self._resting())
        marks: dict[int, tuple[Held, str]] = {}
        for key in {**self._alarms, **findings}:
            before, finding = self._alarms.get(key), findings.get(key)
            about = concerned(before, finding, everything, foreign=self.settings.close_foreign)
            after = follow(before, finding, self.settings, seen.now, left=len(about))
            if after is None:
                continue
            if before is None or (before.phase, before.tier) != (after.phase, after.tier):
                self._tell(after, seen.now)
            if after.phase is Phase.ENDED:
                self._alarms.pop(key, None)
                continue
            self._alarms[key] = after
            if after.closes:
                for held in about:
                    marks.setdefault(held.identifier, (held, f"guard {after.guard}"))
        return marks

    def _tell(self, alarm: Alarm, at: datetime) -> None:
        if alarm.tier >= Tier.REDUCE:
            self.steps.append(
                GuardStep(
                    at.timestamp(), alarm.guard, alarm.level, alarm.subject, alarm.phase, int(alarm.tier), alarm.text
                )
            )

    # Closing

    def _close(self, marks: Mapping[int, tuple[Held, str]]) -> None:
        """Close at the broker's prices what is marked: resting orders first, then the largest risk."""
        state = self.exchange.state
        held = [one for one, _ in marks.values()]
        resting = [one for one in held if one.identifier in state.orders]
        positions = [one for one in held if one.identifier in state.positions]
        symbols = {one.symbol for one in held}
        weights = value_per_lot(symbols, self._markets_of(symbols))
        for one in (*resting, *largest_risk_first(positions, weights, CLOSES_PER_PASS)):
            self._close_one(one, marks[one.identifier][1])
        self.desk.sync()

    def _close_one(self, held: Held, why: str) -> None:
        now = self.exchange.clock.now()
        times, at = self._refusals.get(held.identifier, (0, None))
        verdict = review_exit(Ask(held.bot_id, False, held.volume, times, at, held.symbol, urgent=True), now)
        if isinstance(verdict, Vetoed):
            return
        self.desk.end_cycle_of(held.identifier, why)
        if self.desk.close_whole(held.identifier).code:
            self._refusals[held.identifier] = times + 1, now
        else:
            self._refusals.pop(held.identifier, None)


def _key(finding: Finding) -> Key:
    return finding.guard, str(finding.level), finding.subject


def _owners(leg: tuple[int, LegRecord] | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if leg is None else (BOT, leg[0], leg[1].order_id)
