"""Replay a strategy over ticks, jumping from one tick that could do something to the next.

The simulated broker works off the ticks in between with its own rules; the strategy is asked where one of its watches
fires, where the broker or a guard did something, and at its midnights. With `every_tick` it is asked at each tick,
which must come to the same.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from backtesting.asking import Asker, Instance, Review
from backtesting.desk import Desk
from backtesting.domain import BUCKETS, BacktestError, Curve, CycleRecord, Plan, Result
from backtesting.guarding import ReplayGuards
from backtesting.history import History
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import FeedSpec, TickPrices
from brokers.simulator.memory import MemoryState
from brokers.simulator.scan import (
    ARMED,
    ASK_HIGH,
    ASK_LOW,
    BID_HIGH,
    BID_LOW,
    BUCKET,
    DRAWDOWN,
    DRAWDOWN_SHARE,
    HIGHEST,
    LOADED_FROM,
    LOCK,
    LOWEST,
    NEVER,
    SPREAD_LOW,
    WIDTH,
    WORST,
    Floats,
    Lookout,
    Path,
    compiled,
    next_look,
)
from risk.domain import review
from strategies import registry
from strategies.domain import (
    CandleClosed,
    EveryTick,
    NetFallsFromBest,
    PriceField,
    PriceTouch,
    SignalChanged,
    SpreadAtMost,
    TimeReached,
    Watch,
)
from strategies.watching import net_plane, plane_of

# A hair of slack: looking early is allowed, looking late is not
SLACK = 1e-9
PROGRESS_STEPS = 50
PRICE_PIECES = 1_500
Progress = Callable[[float], None]


class ReplayClock:
    """A clock that stands at the tick being looked at."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def ticks(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a replay waits for nothing")


class Replay:
    """One run of a plan over a history. Raises BacktestError for a plan that can't be replayed."""

    def __init__(
        self, plan: Plan, history: History, *, every_tick: bool = False, review: Review = review,
        progress: Progress = lambda share: None,
    ) -> None:  # fmt: skip
        if not plan.account.is_hedging:
            raise BacktestError("margin_mode: backtests need a hedging account")
        names = [setup.name for setup in plan.setups]
        if names != list(history.ticks):
            raise BacktestError(
                f"history: the plan trades {', '.join(names)}, prices are of {', '.join(history.ticks)}"
            )
        self.history = history
        self.every_tick = every_tick
        self.progress = progress
        at = history.stream.at
        self.begin, self.end = float(at[0]), float(at[-1])
        self.clock = ReplayClock(float(np.nextafter(self.begin, 0.0)))
        self.state = MemoryState.opened(
            plan.account, plan.setups, FeedSpec.script({}, anchor=self.clock.now()), at=self.clock.at
        )
        feeds = {name: TickPrices(ticks) for name, ticks in history.ticks.items()}
        self.exchange = Exchange(self.state, self.clock, feeds=feeds, every_tick=every_tick)
        self.desk = Desk(self.exchange, self.state)
        self.guards = ReplayGuards(
            plan.limits, self.desk, self.exchange, history, plan.news, every_tick=every_tick, peak=plan.peak
        )
        strategy = registry.get(plan.strategy)
        self.asker = Asker(
            strategy, strategy.params.model_validate(dict(plan.values)), self.exchange, self.desk,
            dict(history.charts), timedelta(seconds=plan.interval_seconds), review, plan.limits,
            self.guards,
        )  # fmt: skip
        self.instances = [Instance(name) for name in names]
        self.places = {name: n for n, name in enumerate(names)}
        self.path = Path.over(self.begin, self.end, BUCKETS, plan.account.balance)
        self.balances = np.full(len(self.path.curve), np.nan)
        self.margin_level: float | None = None
        self.exposed = 0.0
        self.lots_most = 0.0
        self.looked = 0
        self.balance_begin = plan.account.balance

    def run(self) -> Result:
        """Replay everything."""
        stream = self.history.stream
        count, i, told = len(stream), 0, 0.0
        if count >= LOADED_FROM:
            # Each piece between two looks may be short, but together they are long enough
            compiled()
        while i < count:
            last = int(np.searchsorted(stream.at, stream.at[i], side="right"))
            self._look(float(stream.at[i]))
            if i >= told:
                self.progress(i / count)
                told += count / PROGRESS_STEPS
            i = self._jump(last)
        self.progress(1.0)
        return self._result()

    def _look(self, at: float) -> None:
        """Let the broker work up to a tick, ask the strategy, then let guards act; at the start they come first."""
        self.clock.at = at
        self.looked += 1
        self.exchange.advance()
        self.desk.sync()
        is_due = self.guards.is_due(at)
        if is_due:
            self.guards.judge()
        if self.looked > 1:
            self._ask()
        if (is_due and self.guards.act()) or self.looked == 1:
            self._ask()

    def _ask(self) -> None:
        for instance in self.instances:
            self.asker.ask(instance)

    def _jump(self, first: int) -> int:
        """Return the number of the next tick to look at, from `first` on."""
        stream = self.history.stream
        if first >= len(stream):
            return first
        lookout, open_cycles, until = self._lookout()
        edge = max(first, int(np.searchsorted(stream.at, until, side="left")))
        bucket, margin = max(0, int(self.path.figures[BUCKET])), self.exchange.margin()
        self.path.figures[WORST] = NEVER
        # The tick at the edge is looked at in any case, and its price counts like the others'
        found = min(next_look(stream, first, min(edge + 1, len(stream)), lookout), edge)
        # Ticks of one time are one moment, and all of them count
        while found < len(stream) - 1 and stream.at[found + 1] == stream.at[found]:
            found += 1
            next_look(stream, found, found + 1, lookout)
        self.balances[bucket : int(self.path.figures[BUCKET]) + 1] = self.state.meta["balance"]
        if self.state.positions:
            self.lots_most = max(self.lots_most, sum(p.volume for p in self.state.positions.values()))
            self.exposed += float(stream.at[min(found, len(stream) - 1)]) - self.clock.at
        if margin > 0 and self.path.figures[WORST] < NEVER:
            level = float(self.path.figures[WORST]) / margin * 100
            self.margin_level = level if self.margin_level is None else min(level, self.margin_level)
        for cycle, row in zip(open_cycles, lookout.tracks, strict=False):
            cycle.best, cycle.worst = float(row[HIGHEST]), float(row[LOWEST])
            if cycle.best >= row[ARMED]:
                cycle.best_net = cycle.best
        return found

    def _lookout(self) -> tuple[Lookout, list[CycleRecord], float]:
        """Return what to watch, the cycles of its first tracks, and the time at which to look whatever happens."""
        broker = self.exchange.lookout()
        touches = broker.touches.copy()
        cycles: list[CycleRecord] = []
        tracks: list[list[float]] = []
        places: list[int] = []
        others: list[list[float]] = []
        readings = self.guards.aim()
        until = min(self.exchange.next_edge(), self.guards.next_due())
        for symbol, track in self.guards.tracks():
            others.append(track)
            places.append(-1 - self.places[symbol])
        for place, instance in enumerate(self.instances):
            view, rows = instance.view, {}
            if view is None:
                until = 0.0
                continue
            spec, worth = view.spec, view.quote.ask
            for seen in self.desk.views(instance.symbol):
                plane, constant = net_plane(seen, spec, instance.symbol)
                cycle = self.desk.open[seen.id]
                rows[seen.id] = [
                    plane.bids, plane.asks, constant, NEVER, -NEVER, NEVER, 0.0, cycle.best, cycle.worst
                ]  # fmt: skip
                cycles.append(cycle)
                tracks.append(rows[seen.id])
                places.append(place)
            for watch in instance.watches:
                if isinstance(watch, PriceTouch | SpreadAtMost):
                    _touch(watch, touches[place])
                elif isinstance(watch, NetFallsFromBest):
                    row = rows.get(watch.cycle_id)
                    if row is not None:
                        row[ARMED], row[LOCK] = watch.armed_at, watch.lock + SLACK * 100
                elif (found := plane_of(watch, view)) is not None:
                    hair = SLACK * (abs(found.level) + (abs(found.bids) + abs(found.asks)) * worth + 1.0)
                    others.append([found.bids, found.asks, 0.0, found.level - hair, -NEVER, NEVER, 0.0, -NEVER, NEVER])
                    places.append(-1 - place)
                else:
                    until = min(until, self._time_of(watch, instance))
        # Cycles first, in the order of `cycles`
        symbols = [p for p in places if p >= 0] + [-1 - p for p in places if p < 0]
        if self.every_tick:
            until = 0.0
        lookout = Lookout(
            touches, broker.exposures, broker.worth.copy(), broker.cash, broker.floor,
            np.array(tracks + others).reshape(-1, LOWEST + 1), np.array(symbols, np.int64), self.path, readings,
        )  # fmt: skip
        return lookout, cycles, until

    def _time_of(self, watch: Watch, instance: Instance) -> float:
        """Return when a watch that is not on prices fires, at the earliest."""
        match watch:
            case TimeReached():
                return watch.at.timestamp()
            case CandleClosed():
                return (self.clock.at // watch.seconds + 1) * watch.seconds
            case SignalChanged():
                return self.history.charts[instance.symbol].next_turn(watch.name, self.clock.at)
            case EveryTick():
                return 0.0
            case _:
                return NEVER

    def _result(self) -> Result:
        self.clock.at = self.end
        self.exchange.advance()
        figures, rows = self.path.figures, int(self.path.figures[BUCKET]) + 1
        known = np.flatnonzero(~np.isnan(self.path.curve[:rows, 0]))
        curve = self.path.curve[known]
        at: Floats = self.begin + known * figures[WIDTH]
        self.balances[rows - 1 :] = self.state.meta["balance"]
        return Result(
            begin=self.begin,
            end=self.end,
            ticks=len(self.history),
            balance_begin=self.balance_begin,
            balance=self.state.meta["balance"],
            equity=self.exchange.equity(),
            cycles=tuple(self.desk.cycles),
            curve=Curve(at, curve[:, 0], curve[:, 1], curve[:, 2], self.balances[known]),
            prices=self.history.outline(PRICE_PIECES),
            digits={setup.name: setup.digits for setup in self.exchange.symbols.values()},
            lots_most=round(self.lots_most, 8),
            drawdown=round(float(figures[DRAWDOWN]), 2),
            drawdown_share=float(figures[DRAWDOWN_SHARE]),
            margin_level=self.margin_level,
            exposed_seconds=self.exposed,
            asked=self.asker.asked,
            looked=self.looked,
            stop_outs=self.desk.stop_outs,
            refused=dict(sorted(self.asker.refused.items())),
            guards=tuple(self.guards.steps),
        )


def _touch(watch: PriceTouch | SpreadAtMost, row: Floats) -> None:
    """Put a watch into a symbol's row of touches, a hair early."""
    if isinstance(watch, SpreadAtMost):
        row[SPREAD_LOW] = max(row[SPREAD_LOW], watch.spread + SLACK)
        return
    on_bid = watch.field is PriceField.BID
    if watch.falling:
        column = BID_LOW if on_bid else ASK_LOW
        row[column] = max(row[column], watch.level + SLACK)
    else:
        column = BID_HIGH if on_bid else ASK_HIGH
        row[column] = min(row[column], watch.level - SLACK)
