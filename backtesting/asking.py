"""Ask a strategy, review what it wants, and carry it out: the engine's trade job, on a backtest's books."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from backtesting.desk import Desk, Reply
from backtesting.domain import BOT
from backtesting.guarding import ReplayGuards
from backtesting.history import Charts, Signals
from brokers.domain import AccountState, MarginMode, Side
from brokers.simulator.books import sign
from brokers.simulator.exchange import Exchange
from risk.domain import Approved, Ask, Load, Standing, Vetoed, entry_objection, retry_wait, review
from risk.domain.exposure import add_exposure
from risk.domain.settings import GuardSettings
from strategies.domain import (
    Action,
    AddLeg,
    ChangeLeg,
    CloseCycle,
    CloseLeg,
    Decision,
    Leg,
    OpenCycle,
    TimeReached,
    View,
    Watch,
)
from strategies.registry import StrategySpec

ACTIONS_MAX = 20
MINUTE, DAY = 60.0, 86_400.0
# A strategy that still acts after so many questions at one tick is asked again at the next
ROUNDS_MAX = 60

Review = Callable[[Ask, Standing], Approved | Vetoed]


@dataclass(slots=True)
class Instance:
    """The strategy on one symbol: what it was last shown, and what it waits for."""

    symbol: str
    view: View | None = None
    watches: tuple[Watch, ...] = ()


@dataclass(slots=True)
class Asker:
    """Asks the instances of one bot. `asked` counts questions, `refused` what was vetoed or refused, by code."""

    strategy: StrategySpec
    params: Any
    exchange: Exchange
    desk: Desk
    charts: dict[str, Charts]
    interval: timedelta
    review: Review = review
    limits: GuardSettings = field(default_factory=GuardSettings)
    guards: ReplayGuards | None = None
    asked: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _refusals: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def ask(self, instance: Instance) -> None:
        """Ask until the strategy wants nothing more at this tick; its watches are those of the last answer."""
        decision, waits = Decision(), list[Watch]()
        for _ in range(ROUNDS_MAX):
            standing = self._standing(instance.symbol)
            if standing is None:
                return
            view = instance.view = self._view(instance.symbol, standing)
            self.asked += 1
            decision = self.strategy.decide(view, self.params)
            waits = []
            done = [self._carry_out(action, view, standing, waits) for action in decision.actions[:ACTIONS_MAX]]
            if not any(done):
                break
        else:
            waits.append(TimeReached(self.exchange.clock.now(), "more to do"))
        instance.watches = (*decision.watches, *waits)

    def _standing(self, symbol: str) -> Standing | None:
        quote = self.desk.quote(symbol)
        if quote is None:
            return None
        blocks, spread_max = ((), None) if self.guards is None else (self.guards.blocks, self.guards.spread_max(symbol))
        return Standing(
            quote.at, self._account(), quote, self.desk.spec(symbol), blocks, guarded_at=quote.at, settings=self.limits,
            load=self._load(), spread_max=spread_max,
        )  # fmt: skip

    def _load(self) -> Load:
        """Say what the account carries, as the review's limits count it."""
        state, now = self.exchange.state, self.exchange.clock.now().timestamp()
        lots: dict[str, float] = {}
        exposure: dict[str, float] = {}
        for p in state.positions.values():
            lots[p.symbol] = lots.get(p.symbol, 0.0) + p.volume
            quote = self.desk.quote(p.symbol)
            if quote is not None:
                add_exposure(exposure, sign(p.type) * p.volume, quote, self.desk.spec(p.symbol))
        for o in state.orders.values():
            lots[o.symbol] = lots.get(o.symbol, 0.0) + o.volume_left
        return Load(
            cycles=len(self.desk.open),
            orders=len(state.positions) + len(state.orders),
            lots=lots,
            exposure=exposure,
            entries_minute=self.desk.entries_since(now - MINUTE),
            entries_day=self.desk.entries_since(now - DAY),
        )

    def _account(self) -> AccountState:
        exchange, account = self.exchange, self.exchange.account
        meta, equity, margin = exchange.state.meta, exchange.equity(), exchange.margin()
        return AccountState(
            account.login, account.server, account.currency, meta["balance"], meta["credit"],
            round(equity - meta["balance"] - meta["credit"], 2), equity, margin, round(equity - margin, 2),
            equity / margin * 100 if margin > 0 else 0.0, account.leverage, MarginMode.HEDGING, account.demo, True,
        )  # fmt: skip

    def _view(self, symbol: str, standing: Standing) -> View:
        charts, last = self.charts[symbol], self.desk.last_entry.get(symbol)
        at = standing.now.timestamp()
        objection = entry_objection(BOT, standing)
        return View(
            now=standing.now,
            quote=standing.quote,
            spec=standing.spec,
            cycles=self.desk.views(symbol),
            last_entry_at=None if last is None else datetime.fromtimestamp(last, standing.now.tzinfo),
            signals=Signals(charts, at),
            atr=charts.atr(at),
            entries_blocked=objection.detail if objection else None,
            equity=standing.account.equity,
            margin_free=standing.account.margin_free,
        )

    def _carry_out(self, action: Action, view: View, standing: Standing, waits: list[Watch]) -> bool:
        """Carry out one action; tell whether the broker did it. What may be tried again later is waited for."""
        match action:
            case OpenCycle():
                return self._enter(action, standing, waits)
            case AddLeg():
                cycle = self.desk.open.get(action.cycle_id)
                if cycle is None:
                    return False
                cause = f"c{cycle.number}:L{action.level}"
                return self._try(
                    cause, True, action.side, action.volume, standing, waits, lambda: self.desk.add(cycle, action)
                )
            case CloseLeg() | ChangeLeg():
                leg = _leg(view, action.cycle_id, action.order_id)
                if leg is None:
                    return False
                if isinstance(action, CloseLeg):
                    return self._close(leg, action.volume, standing, waits)
                cause = f"o{leg.order_id}:stops"
                return self._try(
                    cause, False, leg.side, leg.volume, standing, waits,
                    lambda: self.desk.change_stops(leg, standing.quote.symbol, action.sl, action.tp),
                )  # fmt: skip
            case CloseCycle():
                return self._leave(action, view, standing, waits)

    def _enter(self, action: OpenCycle, standing: Standing, waits: list[Watch]) -> bool:
        symbol = standing.quote.symbol

        def enter() -> Reply:
            cycle = self.desk.open_cycle(symbol, action.side, action.memory)
            first = AddLeg(cycle.number, 0, action.side, action.volume, action.reason, tp=action.tp, sl=action.sl)
            reply = self.desk.add(cycle, first)
            self.desk.sync()
            return reply

        return self._try(f"entry {symbol}", True, action.side, action.volume, standing, waits, enter)

    def _leave(self, action: CloseCycle, view: View, standing: Standing, waits: list[Watch]) -> bool:
        """Close every leg, the largest loss first."""
        cycle = self.desk.open.get(action.cycle_id)
        seen = next((c for c in view.cycles if c.id == action.cycle_id), None)
        if cycle is None or seen is None:
            return False
        if cycle.status == "open":
            cycle.status, cycle.reason = "closing", action.reason
        legs = sorted(seen.legs, key=lambda leg: leg.net(view.quote, view.spec))
        return sum(self._close(leg, leg.volume, standing, waits) for leg in legs) > 0

    def _close(self, leg: Leg, volume: float, standing: Standing, waits: list[Watch]) -> bool:
        symbol = standing.quote.symbol
        return self._try(
            f"o{leg.order_id}:close",
            False,
            leg.side,
            volume,
            standing,
            waits,
            lambda: self.desk.close(leg, symbol, volume),
        )

    def _try(
        self, cause: str, raises: bool, side: Side, volume: float, standing: Standing, waits: list[Watch],
        send: Callable[[], Reply],
    ) -> bool:  # fmt: skip
        """Review, then send. A veto is looked at again after the bot's interval, a refusal after its wait."""
        times, at = self._refusals.get(cause, (0, None))
        current = replace(standing, account=self._account(), load=self._load())
        symbol = standing.quote.symbol
        ask = Ask(BOT, raises, volume, times, at, symbol, side, opens_cycle=cause.startswith("entry"))
        verdict = self.review(ask, current)
        if isinstance(verdict, Vetoed):
            self.refused[verdict.code] += verdict.code != "retry_wait"
            ready = at + retry_wait(times) if at is not None else standing.now
            waits.append(TimeReached(max(ready, standing.now + self.interval), f"vetoed: {verdict.code}"))
            return False
        reply = send()
        if not reply.code:
            self._refusals.pop(cause, None)
            return True
        self.refused[reply.code] += 1
        self._refusals[cause] = times + 1, standing.now
        waits.append(TimeReached(standing.now + retry_wait(times + 1), f"refused: {reply.code}"))
        return False


def _leg(view: View, cycle_id: int, order_id: int) -> Leg | None:
    return next((leg for c in view.cycles if c.id == cycle_id for leg in c.legs if leg.order_id == order_id), None)
