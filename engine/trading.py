"""The trade job: the only place that goes decision → review → intent → send."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from brokers.gateway import Gateway, ReadError, SymbolError
from core.clock import Clock
from core.ids import Ids
from core.outcome import Accepted, Unknown
from cycles.services import mark_closing, next_number, open_cycle, remember
from engine.fresh import FreshEntries
from engine.guarding import Guards
from engine.nonorders import NonOrders
from engine.performance import Stages
from engine.proposals import (
    ask_of,
    close_proposal,
    leg_of,
    leg_proposal,
    refusals_before,
    stops_proposal,
    trace_of,
    with_action,
    with_verdict,
)
from engine.rounds import Asked, Instance, Round, bots_to_ask, read_round, standing_of
from engine.signals import Signals
from engine.turns import Turns
from engine.watchdog import TookTooLong, limited
from marketdata.quotes import Market
from orders import services as order_services
from orders.approval import Planned
from orders.gate import Gate, fenced
from orders.sending import send_intent
from risk.domain import Approved, Ask, Standing, Vetoed, entry_objection, review
from risk.services import lift_cause, raise_block
from strategies import registry
from strategies.domain import Action, AddLeg, ChangeLeg, CloseCycle, CloseLeg, Decision, OpenCycle, View
from strategies.models import Bot
from strategies.selectors import follows_signals

ACTIONS_MAX = 20
DECISION_SECONDS = 5.0


class Trader:
    """Asks an account's strategies and carries out what they decide. A session owns it."""

    def __init__(
        self,
        *,
        account_id: int,
        gateway: Gateway,
        gate: Gate,
        market: Market,
        clock: Clock,
        ids: Ids,
        stages: Stages,
        guards: Guards,
    ) -> None:
        self.account_id = account_id
        self.gateway = gateway
        self.gate = gate
        self.market = market
        self.clock = clock
        self.ids = ids
        self.stages = stages
        self.signals = Signals(
            account_id=account_id, gateway=gateway, market=market, gate=gate, clock=clock, stages=stages
        )
        self.symbols: frozenset[str] = frozenset()
        self.followed: frozenset[str] = frozenset()
        self.guards = guards
        self.asked: dict[Instance, Asked] = {}
        self.sent = 0
        self.ran_at: datetime | None = None
        # Says why more exposure could reach the stop-out; the session sets it
        self.worst_case: Callable[[Bot, View, OpenCycle | None], str | None] = lambda bot, view, opening: None
        # Requests of the current round of which nobody knows what came
        self._doubts = 0
        self._fresh = FreshEntries()
        self.turns = Turns(clock)
        self._non_orders = NonOrders(gate=gate, clock=clock)

    def bots(self) -> list[Bot]:
        """Read the bots to ask: running ones, and paused ones for their exits; none that is frozen or flattened."""
        found = bots_to_ask(self.account_id)
        self.symbols = frozenset(symbol for bot in found for symbol in bot.symbols)
        self.followed = frozenset(symbol for bot in found if follows_signals(bot) for symbol in bot.symbols)
        return found

    def run(self) -> int | None:
        """Ask every bot whose interval has passed; return the number of requests sent, None when no bot was due."""
        bots = self.bots()
        current = {Instance(bot.pk, symbol) for bot in bots for symbol in bot.symbols}
        for gone in self.asked.keys() - current:
            del self.asked[gone]
        due = self.turns.take(bots)
        if bots and not due:
            return None
        self.ran_at = self.clock.now()
        return self._ask_all([(bot, symbol, "interval") for bot in due for symbol in bot.symbols])

    def close_all(self, why: str, only: Collection[int | None] = (None,)) -> int:
        """Close the cycles of bots, stopped ones too; returns the number of requests sent. Raises ReadError.

        `only`: numbers of bots; None among them means every bot.
        """
        before, current = self.sent, self._round()
        bots = Bot.objects.filter(account_id=self.account_id).select_related("config", "account").in_bulk()
        for (bot_id, symbol), cycles in current.cycles.items():
            if not {None, bot_id} & set(only):
                continue
            quote, spec = self.market.quote(symbol), self.market.spec(symbol)
            standing = standing_of(self.clock.now(), quote, spec, current, self.guards)
            view = self._view(bots[bot_id], symbol, standing, current)
            for cycle in cycles:
                action = CloseCycle(cycle.id, why)
                asked, trace = Asked(view, Decision(), ()), trace_of(view, why, self.ids.token(10))
                self._leave(bots[bot_id], symbol, action, view, standing, asked, with_action(trace, action))
                self._non_orders.tell(bots[bot_id], asked, trace)
        return self.sent - before

    def wake(self, woken: Mapping[Instance, str]) -> int:
        """Ask the instances whose watch fired; `woken` says by what. Returns the number of requests sent."""
        bots = {b.pk: b for b in self.bots()}
        return self._ask_all(
            [
                (bots[i.bot_id], i.symbol, by)
                for i, by in sorted(woken.items(), key=lambda w: (w[0].bot_id, w[0].symbol))
                if i.bot_id in bots
            ]
        )

    def _ask_all(self, questions: list[tuple[Bot, str, str]]) -> int:
        """Ask one after the other; prices that can't be read for one must not keep the others from being asked."""
        if not questions:
            return 0
        before = self.sent
        current = self._round()
        unread: ReadError | None = None
        for bot, symbol, woken_by in questions:
            try:
                with bound_contextvars(bot=bot.pk, symbol=symbol):
                    sent = self._ask(bot, symbol, woken_by, current)
                if sent:
                    current = self._round()
            except ReadError as problem:
                unread = unread or problem
        self.stages.end_pass()
        if unread is not None:
            raise unread
        return self.sent - before

    def _round(self) -> Round:
        self._doubts = 0
        found = read_round(self.account_id, self.gateway, self.clock.now())
        self._fresh.begin_round(self.guards.book_at, {intent.id for intent in found.under_way})
        return found

    def _ask(self, bot: Bot, symbol: str, woken_by: str, current: Round) -> bool:
        """Ask one instance and carry out its decision; tell whether anything was sent."""
        at = self.clock.now()
        cause = f"symbol {symbol}"
        try:
            quote, spec = self.market.quote(symbol), self.market.spec(symbol)
        except SymbolError as problem:
            self._park(bot, cause, str(problem), current)
            return False
        self._unpark(bot, cause, "the broker knows the symbol", current)
        standing = standing_of(at, quote, spec, current, self.guards)
        view = self._view(bot, symbol, standing, current)
        decision = self._decide(bot, view, current)
        if decision is None:
            return False
        asked = self.asked[Instance(bot.pk, symbol)] = Asked(view, decision, decision.watches)
        sent, trace = 0, trace_of(view, woken_by, self.ids.token(10))
        for action in decision.actions[:ACTIONS_MAX]:
            sent += self._carry_out(bot, symbol, action, view, standing, asked, with_action(trace, action))
        self._non_orders.tell(bot, asked, trace)
        return sent > 0

    def _view(self, bot: Bot, symbol: str, standing: Standing, current: Round) -> View:
        cycles = current.cycles.get((bot.pk, symbol), ())
        # A stopped account too: its session ends a moment after it was stopped, and opens nothing until then
        paused = None if bot.desired_state == bot.account.desired_state == "running" else "paused"
        objection = entry_objection(bot.pk, standing)
        with self.stages.spend("indications"):
            signals, setups = self.signals.signals(symbol), self.signals.setups(symbol)
            atr = self.market.atr(symbol)
        return View(
            now=standing.now,
            quote=standing.quote,
            spec=standing.spec,
            cycles=cycles,
            in_flight=tuple(f for f in current.loose if f.cycle_id in {c.id for c in cycles}),
            last_entry_at=current.entries.get((bot.pk, symbol)),
            signals=signals,
            setups=setups,
            atr=atr,
            entries_blocked=paused or (objection.detail if objection else None),
            equity=standing.account.equity,
            margin_free=standing.account.margin_free,
        )

    def _decide(self, bot: Bot, view: View, current: Round) -> Decision | None:
        """Ask the strategy. One that raises, or whose parameters do not hold, is parked with the reason."""
        assert bot.config is not None
        try:
            spec = registry.get(bot.config.strategy)
            with self.stages.spend("strategies"), limited(DECISION_SECONDS):
                decision = spec.decide(view, spec.params.model_validate(bot.config.values))
        except (KeyError, ValidationError) as problem:
            self._park(bot, "strategy", f"configuration: {problem}", current)
            return None
        except TookTooLong:
            self.turns.pause(bot)
            for instance in [one for one in self.asked if one.bot_id == bot.pk]:
                del self.asked[instance]
            self._park(bot, "strategy", f"no decision within {DECISION_SECONDS:g} s", current)
            return None
        except Exception as problem:  # noqa: BLE001 - strategies are other people's code
            self._park(bot, "strategy", f"{type(problem).__name__}: {problem}", current)
            return None
        self._unpark(bot, "strategy", "the strategy answers again", current)
        return decision

    def _park(self, bot: Bot, cause: str, reason: str, current: Round) -> None:
        """Forbid a bot's entries until the cause is gone, saying why once."""
        if not any(b.bot_id == bot.pk and b.cause == cause for b in current.blocks):
            with fenced(self.gate):
                raise_block(account_id=self.account_id, bot_id=bot.pk, cause=cause, reason=reason, at=self.clock.now())

    def _unpark(self, bot: Bot, cause: str, why: str, current: Round) -> None:
        if any(b.bot_id == bot.pk and b.cause == cause for b in current.blocks):
            with fenced(self.gate):
                lift_cause(account_id=self.account_id, bot_id=bot.pk, cause=cause, why=why, at=self.clock.now())

    def _carry_out(
        self,
        bot: Bot,
        symbol: str,
        action: Action,
        view: View,
        standing: Standing,
        asked: Asked,
        trace: dict[str, Any],
    ) -> int:
        match action:
            case OpenCycle():
                return self._enter(bot, symbol, action, self._projected(bot, view, standing, action), asked, trace)
            case AddLeg():
                proposal = leg_proposal(bot, symbol, action, trace)
                return self._propose([proposal], self._projected(bot, view, standing, None), asked, action.memory)
            case CloseLeg() | ChangeLeg():
                leg = leg_of(view, action.cycle_id, action.order_id)
                if leg is None:
                    return 0
                if isinstance(action, ChangeLeg):
                    return self._propose([stops_proposal(bot, symbol, leg, action, trace)], standing, asked)
                proposal = close_proposal(bot, symbol, action.cycle_id, leg, action.volume, action.reason, trace)
                return self._propose([proposal], standing, asked)
            case CloseCycle():
                return self._leave(bot, symbol, action, view, standing, asked, trace)

    def _projected(self, bot: Bot, view: View, standing: Standing, opening: OpenCycle | None) -> Standing:
        return replace(standing, worst_case=self.worst_case(bot, view, opening))

    def enter_by(
        self, bot: Bot, symbol: str, action: OpenCycle, woken_by: str, claim: Callable[[int], None]
    ) -> list[Vetoed]:
        """Open a cycle that a signal asks for; `claim` gets its number in the same transaction. Raises ReadError."""
        current, quote = self._round(), self.market.quote(symbol)
        standing = standing_of(self.clock.now(), quote, self.market.spec(symbol), current, self.guards)
        view = self._view(bot, symbol, standing, current)
        asked, projected = Asked(view, Decision(), ()), self._projected(bot, view, standing, action)
        trace = trace_of(view, woken_by, self.ids.token(10))
        self._enter(bot, symbol, action, projected, asked, with_action(trace, action), claim)
        self._non_orders.tell(bot, asked, trace)
        return asked.vetoes

    def _enter(
        self,
        bot: Bot,
        symbol: str,
        action: OpenCycle,
        standing: Standing,
        asked: Asked,
        trace: dict[str, Any],
        claim: Callable[[int], None] = lambda cycle_id: None,
    ) -> int:
        assert bot.config is not None
        times, at_refused = refusals_before(self.account_id, bot_id=bot.pk, symbol=symbol)
        of_set = str(action.memory.get("set", ""))
        ask = Ask(bot.pk, True, action.volume, times, at_refused, symbol, action.side, True, config_set=of_set)
        verdict = self._review(ask, standing)
        if isinstance(verdict, Vetoed):
            asked.veto(verdict, trace)
            return 0
        at = self.clock.now()
        with fenced(self.gate):
            cycle = open_cycle(
                account_id=self.account_id,
                bot_id=bot.pk,
                config_id=bot.config.pk,
                number=next_number(bot.pk),
                symbol=symbol,
                side=action.side,
                kind=registry.get(bot.config.strategy).cycle_kind,
                memory=action.memory,
                why=action.reason,
                at=at,
            )
            claim(cycle.pk)
            first = AddLeg(cycle.pk, 0, action.side, action.volume, action.reason, tp=action.tp, sl=action.sl)
            proposal = with_verdict(leg_proposal(bot, symbol, first, trace), standing)
            intent = order_services.plan_intent(proposal, verdict, account_id=self.account_id, ids=self.ids, at=at)
        return self._send(intent, ask, standing)

    def _leave(
        self,
        bot: Bot,
        symbol: str,
        action: CloseCycle,
        view: View,
        standing: Standing,
        asked: Asked,
        trace: dict[str, Any],
    ) -> int:
        cycle = next((c for c in view.cycles if c.id == action.cycle_id), None)
        if cycle is None:
            return 0
        with fenced(self.gate):
            mark_closing(cycle.id, reason=action.reason, at=self.clock.now())
        under_way = {f.order_id for f in cycle.in_flight if f.kind in ("close", "cancel")}
        legs = sorted(cycle.legs, key=lambda leg: leg.net(view.quote, view.spec))
        return self._propose(
            [
                close_proposal(bot, symbol, cycle.id, leg, leg.volume, action.reason, trace)
                for leg in legs
                if leg.order_id not in under_way
            ],
            standing,
            asked,
        )

    def _propose(
        self,
        proposals: list[order_services.Proposal],
        standing: Standing,
        asked: Asked,
        memory: Mapping[str, Any] | None = None,
    ) -> int:
        """Review, plan and send one after the other; what the cycle is to remember is written with the plan."""
        sent = 0
        for proposal in proposals:
            times, at_refused = refusals_before(self.account_id, cause_key=proposal.cause_key)
            ask = ask_of(proposal, times, at_refused)
            verdict = self._review(ask, standing)
            if isinstance(verdict, Vetoed):
                asked.veto(verdict, proposal.trace)
                continue
            approved = with_verdict(proposal, standing)
            try:
                with fenced(self.gate):
                    intent = order_services.plan_intent(
                        approved, verdict, account_id=self.account_id, ids=self.ids, at=self.clock.now()
                    )
                    if memory and proposal.cycle_id is not None:
                        remember(proposal.cycle_id, memory)
            except order_services.AlreadyDecided as known:
                asked.veto(Vetoed("already_decided", str(known)), proposal.trace)
                continue
            sent += self._send(intent, ask, standing)
        return sent

    def _review(self, ask: Ask, standing: Standing) -> Approved | Vetoed:
        """Review with what this round has sent itself since it looked at the account."""
        load = self._fresh.added_to(standing.load)
        return review(ask, replace(standing, load=load, unknown_outcomes=standing.unknown_outcomes + self._doubts))

    def _send(self, intent: Planned, ask: Ask, standing: Standing) -> bool:
        """Send once; tell whether anything left. Raises LeaseLost."""
        self._doubts += 1
        row = intent.row
        with bound_contextvars(intent=row.token, correlation=row.correlation, cycle=row.cycle_id):
            outcome = send_intent(intent, gateway=self.gateway, gate=self.gate, clock=self.clock)
        self._doubts -= not isinstance(outcome, Unknown)
        if ask.raises_exposure and isinstance(outcome, Accepted | Unknown):
            self._fresh.add(intent.row.pk, ask, standing, self.guards.newest_book_at)
        self.sent += outcome is not None
        return outcome is not None
