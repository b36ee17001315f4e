"""Copies what a provider holds, through the trade job's review, each position once; follows closes and stops."""

from typing import TYPE_CHECKING, Any

from brokers.gateway import SymbolError
from copying import services
from copying.domain import Enter, Later, Never, Standing, excess, plan, stops_of, symbol_of, too_old
from copying.models import Copy, Subscription
from copying.selectors import (
    active_subscriptions,
    copies_under_way,
    equity_of,
    has_subscriptions,
    position_of,
    positions_to_copy,
    waiting_copies,
)
from engine.byhand import change_stops, close_order
from engine.followsignal import TakenAlready
from orders.gate import fenced
from orders.models import IntentKind, Order
from strategies.domain import OpenCycle

if TYPE_CHECKING:
    from engine.session import AccountSession

COPYING_SECONDS = 0.5
# A request that the broker refused is asked again after this, not at each pass
AGAIN_SECONDS = 5.0


class Copier:
    """Follows the subscriptions of one account's bots. A session owns it."""

    def __init__(self, session: "AccountSession") -> None:
        self.session = session
        self._asked_at: dict[tuple[int, str], float] = {}

    def run(self) -> None:
        """Follow what is open, exits first, then copy what is new. Raises ReadError, LeaseLost."""
        session = self.session
        if not has_subscriptions(session.account_id):
            return
        for copy in copies_under_way(session.account_id):
            self._follow(copy)
        for copy in waiting_copies(session.account_id).select_related("subscription__bot", "source"):
            self._skip(copy, "the subscription was stopped")
        for subscription in active_subscriptions(session.account_id):
            for order in positions_to_copy(subscription):
                self._consider(subscription, order)
            self._forget_gone(subscription)

    # What is open

    def _follow(self, copy: Copy) -> None:
        cycle, source, at = copy.cycle, copy.source, self.session.clock.now()
        assert cycle is not None
        if cycle.status == "closed":
            with fenced(self.session.gate):
                services.end(copy=copy, why=copy.reason or cycle.close_reason or "closed", at=at)
        elif source.status != "open":
            if copy.state == Copy.State.OPEN or cycle.status == "open":
                with fenced(self.session.gate):
                    services.follow_end(copy=copy, why=f"provider {source.close_reason or source.status}"[:60], at=at)
                self._wake(copy)
        else:
            # A leg of which a part is being closed takes no other request
            if not self._follow_part(copy):
                self._follow_stops(copy)

    def _wake(self, copy: Copy) -> None:
        """Let the trade job close it now, not at the bot's next interval."""
        from engine.rounds import Instance

        assert copy.cycle is not None
        self.session.trader.wake({Instance(copy.cycle.bot_id, copy.cycle.symbol): "the provider closed"})
        self.session.loop.hurry("orders")

    def _follow_part(self, copy: Copy) -> bool:
        """Close as large a part as the provider closed; tell whether there is one to close."""
        order = self._position(copy)
        if order is None or copy.source.volume >= copy.source.volume_initial:
            return False
        assert copy.cycle is not None
        try:
            spec = self.session.market.spec(copy.cycle.symbol)
        except SymbolError:
            return False
        volume = excess(
            float(order.volume), float(order.volume_initial), float(copy.source.volume),
            float(copy.source.volume_initial), spec,
        )  # fmt: skip
        name = f"copy{copy.pk}p{copy.source.volume.normalize():f}v{order.volume.normalize():f}"
        if volume > 0 and self._may_ask(copy, "part"):
            close_order(
                self.session,
                {"order": order.pk, "volume": volume, "why": "the provider closed a part", "request": name},
            )
        return volume > 0

    def _follow_stops(self, copy: Copy) -> None:
        """Set the stops that the provider set since."""
        sl, tp = stops_of(float(copy.source.sl), float(copy.source.tp), copy.subscription.reverse)
        if (sl, tp) == (copy.asked_sl, copy.asked_tp):
            return
        order = self._position(copy)
        if order is None or not self._may_ask(copy, "stops"):
            return
        args = {"order": order.pk, "sl": sl, "tp": tp, "why": "the provider moved its stops"}
        # Anything else says that nothing was asked, as while a part of it is being closed
        if change_stops(self.session, args).startswith(IntentKind.STOPS):
            with fenced(self.session.gate):
                services.note_stops(copy=copy, sl=sl, tp=tp)

    def _position(self, copy: Copy) -> Order | None:
        return Order.objects.filter(cycle=copy.cycle, status="open").order_by("pk").first()

    def _may_ask(self, copy: Copy, what: str) -> bool:
        now = self.session.clock.ticks()
        if now - self._asked_at.get((copy.pk, what), -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        self._asked_at[copy.pk, what] = now
        return True

    # What is new

    def _consider(self, subscription: Subscription, order: Order) -> None:
        session, rules = self.session, subscription.rules
        with fenced(session.gate):
            copy = services.see(subscription=subscription, order=order, at=session.clock.now())
        found: Any = symbol_of(rules, order.symbol, subscription.bot.symbols)
        if not isinstance(found, Never):
            found = self._try(subscription, order, copy, found)
        if isinstance(found, Later):
            # The last look at what waits: when it is too old it is told with the reason that held it
            old = too_old(rules, order.opened_at, session.clock.now())
            found = Never(f"{found.why}; {old.why}") if old is not None else found
        if isinstance(found, Never):
            why = f"{found.why} ({copy.reason})" if copy.reason and copy.reason not in found.why else found.why
            self._skip(copy, why)
        elif isinstance(found, Later):
            with fenced(session.gate):
                services.wait(copy=copy, why=found.why)

    def _try(self, subscription: Subscription, order: Order, copy: Copy, symbol: str) -> Later | Never | None:
        """Open the copy when the rules, the bot and the review let it; None when it is done."""
        session = self.session
        bot = next((b for b in session.trader.bots() if b.pk == subscription.bot_id), None)
        if bot is None or not bot.desired_state == bot.account.desired_state == "running":
            return too_old(subscription.rules, order.opened_at, session.clock.now()) or Later("the bot does not run")
        try:
            quote, spec = session.market.quote(symbol), session.market.spec(symbol)
        except SymbolError as problem:
            return Never(str(problem))
        standing = Standing(
            session.clock.now(), quote, spec, equity_of(session.account_id), equity_of(subscription.provider_id),
            subscription.copies.filter(state__in=(Copy.State.OPEN, Copy.State.CLOSING)).count(),
        )  # fmt: skip
        planned = plan(subscription.rules, position_of(order), standing)
        return self._enter(copy, symbol, planned, bot) if isinstance(planned, Enter) else planned

    def _enter(self, copy: Copy, symbol: str, planned: Enter, bot: Any) -> Later | None:
        text = f"copy of #{copy.source.ticket}"
        action = OpenCycle(planned.side, planned.volume, text, tp=planned.tp, sl=planned.sl, memory={"copy": copy.pk})

        def claim(cycle_id: int) -> None:
            taken = services.claim(
                copy=copy, cycle_id=cycle_id, volume=planned.volume, sl=planned.sl, tp=planned.tp,
                at=self.session.clock.now(),
            )  # fmt: skip
            if not taken:
                raise TakenAlready

        try:
            vetoes = self.session.trader.enter_by(bot, symbol, action, text, claim)
        except TakenAlready:
            return None
        self.session.loop.hurry("orders")
        return Later("; ".join(veto.detail for veto in vetoes)) if vetoes else None

    def _forget_gone(self, subscription: Subscription) -> None:
        """Skip what was closed at the provider before it could be copied."""
        waiting = subscription.copies.filter(state=Copy.State.WAITING).exclude(source__status="open")
        for copy in waiting.select_related("subscription__bot", "source"):
            self._skip(copy, "the provider closed it before it could be copied")

    def _skip(self, copy: Copy, why: str) -> None:
        with fenced(self.session.gate):
            services.skip(copy=copy, why=why, at=self.session.clock.now())
