"""What the broker does with an order: fills by filling mode and liquidity, placing, changing, closing, swaps."""

import math
from dataclasses import replace
from typing import Any

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.books import BUY, SELL, Books
from brokers.simulator.fills import Fill, close_by, fill
from brokers.simulator.liquidity import Liquidity, Step, completed, slipped, worth_closing
from brokers.simulator.state import OpenPosition, Order, State
from brokers.simulator.worth import Worth
from core.clock import Clock

PLACED, CANCELED, PARTIAL, FILLED, REJECTED, EXPIRED = 1, 2, 3, 4, 5, 6
FOK, IOC, RETURN, BOC = range(4)
BY_HAND, EXPERT, SL, TP, SO, ROLLOVER = 0, 3, 4, 5, 6, 7
CLOSE_BY = 8
LIMITS, STOPS, STOP_LIMITS = {2, 3}, {4, 5}, {6, 7}
ENOUGH = 1e-9


class Dealing:
    """The account's book of orders and positions at the prices of a moment."""

    clock: Clock
    state: State
    worth: Worth
    account: AccountSpec
    symbols: dict[str, SymbolSetup]
    books: Books
    liquidity: Liquidity
    _ticks: dict[str, tuple[float, float, float] | None]
    reason = EXPERT

    # Figures

    def equity(self) -> float:
        """Balance + credit + floating profit + swap."""
        cash = self.state.meta["balance"] + self.state.meta["credit"]
        return float(round(cash + self.worth.floating(self.books), 2))

    def profits(self) -> dict[int, float]:
        """Each position's profit if it were closed now, by identifier."""
        return self.worth.profits(self.books)

    def margin(self) -> float:
        """Margin in use."""
        return self.worth.margin(self.books)

    def margin_with(self, symbol: SymbolSetup, kind: int, volume: float, price: float) -> float:
        """Margin that would be in use after a trade; on a netting account it first takes from an opposite position."""
        position = None if self.account.is_hedging else self.position_in(symbol.name)
        if position is None or position.type == kind:
            return self.worth.margin_with(self.books, symbol, kind, volume, price)
        own = float(self.books.margin_lots(symbol, position.price_open, position.type, is_new=False))
        if volume <= position.volume + ENOUGH:
            return self.margin() - own * volume
        rest = self.books.margin_for(symbol, kind, volume - position.volume, price)
        return self.margin() - own * position.volume + rest

    def margin_level(self) -> float:
        """Equity / margin in percent; 0.0 without margin in use."""
        margin = self.margin()
        return self.equity() / margin * 100 if margin > 0 else 0.0

    def is_called(self) -> bool:
        """Whether the account is at its margin call, so that nothing new may be opened."""
        if self.account.stop_out_mode:
            return bool(self.state.positions) and self.equity() <= self.account.margin_call_level
        return self.margin() > 0 and self.margin_level() <= self.account.margin_call_level

    def floor(self) -> float:
        """The equity at or below which the broker closes positions; minus infinity while there are none."""
        if not self.state.positions:
            return -math.inf
        if self.account.stop_out_mode:
            return self.account.stop_out_level
        # Wholly hedged volume may need no margin, and can still have lost everything
        return max(0.0, self.margin() * self.account.stop_out_level / 100)

    def market_depth(self, symbol: str) -> tuple[list[Step], list[Step]]:
        """Return what is left to sell to and to buy from at the current tick, best prices first."""
        setup, (at, bid, ask) = self.symbols[symbol], self._quote(symbol)
        bids, asks = (self.liquidity.take(setup, at, best, kind, math.inf) for kind, best in ((SELL, bid), (BUY, ask)))
        return bids, asks

    def position_in(self, symbol: str) -> OpenPosition | None:
        """Return a symbol's position: the only one of a netting account."""
        return next((p for p in self.state.positions.values() if p.symbol == symbol), None)

    def position_with(self, ticket: int) -> OpenPosition | None:
        """Return the position with a ticket, which a reversal or a re-opening makes differ from the identifier."""
        found = self.state.positions.get(ticket)
        if found is not None and found.ticket == ticket:
            return found
        return next((p for p in self.state.positions.values() if p.ticket == ticket), None)

    # Market orders

    def market(self, order: Order) -> tuple[Fill, int]:
        """Fill a market order as far as its filling mode and the liquidity allow; return that and its state."""
        at = self.clock.now().timestamp()
        with self.state.change():
            order = replace(order, ticket=self.state.next("order"), placed=at)
            steps = self._steps(order, order.volume)
            if order.filling == FOK and _lots(steps) < order.volume - ENOUGH:
                steps = []
            done = self._fill(order, steps, at)
            self._settle(order, at)
            self.state.meta["processed"] = at
        return done, order.state

    def close_together(self, order: Order, position: OpenPosition, other: OpenPosition) -> Fill:
        """Close two opposite positions against each other."""
        at = self.clock.now().timestamp()
        with self.state.change():
            order = replace(order, ticket=self.state.next("order"), placed=at, volume_left=0.0)
            deal = close_by(self.state, self.books, order, position, other, at)
            self.state.meta["processed"] = at
        return Fill(order.ticket, deal.ticket, deal.price, order.volume)

    def _quote(self, symbol: str) -> tuple[float, float, float]:
        """Return time, bid and ask of a symbol's tick."""
        return self._ticks[symbol] or (0.0, 0.0, 0.0)

    def _steps(self, order: Order, volume: float, limit: float | None = None) -> list[Step]:
        setup, kind = self.symbols[order.symbol], order.type % 2
        at, bid, ask = self._quote(order.symbol)
        best = ask if kind == BUY else bid
        if limit is None:
            best = slipped(setup, best, kind, order.ticket, order.symbol)
        return self.liquidity.take(setup, at, best, kind, volume, limit)

    def _fill(self, order: Order, steps: list[Step], at: float) -> Fill:
        """Write the deals of these steps, one a price."""
        deal = None
        for step in steps:
            deal = fill(self.state, self.books, order, step.price, step.lots, at)
        tick_at = self._quote(order.symbol)[0]
        self.liquidity.use(self.symbols[order.symbol], tick_at, order.type % 2, steps)
        if deal is None:
            return Fill(order.ticket, 0, 0.0, 0.0)
        return Fill(order.ticket, deal.ticket, deal.price, round(_lots(steps), 8))

    def _settle(self, order: Order, at: float) -> None:
        """Say what became of an order after an attempt to fill it: at an end, or resting with what is left."""
        if order.volume_left <= ENOUGH:
            order.state, order.volume_left = FILLED, 0.0
        elif order.filling in (RETURN, BOC):
            order.state = PARTIAL if order.volume_left < order.volume else PLACED
        elif order.volume_left < order.volume:
            order.state = CANCELED
        else:
            order.state = REJECTED
        if order.state in (PARTIAL, PLACED):
            self.state.put_order(order)
            return
        order.done = at
        self.state.finish_order(order)

    # Resting orders

    def place(self, order: Order) -> tuple[Fill, int]:
        """Put a resting order into the book; what an exchange can fill at once is filled, or cancelled if it must not.

        Return the fill, which is empty for an order that rests, and the order's state.
        """
        at = self.clock.now().timestamp()
        with self.state.change():
            order = replace(order, ticket=self.state.next("order"), placed=at)
            self.state.put_order(order)
            done = Fill(order.ticket, 0, 0.0, 0.0)
            if order.type in LIMITS and self._touches_now(order):
                if order.filling == BOC:
                    self._finish(order, CANCELED, at)
                else:
                    done = self._fill(order, self._available(order), at)
                    self._settle(order, at)
            self.state.meta["processed"] = at
        return done, order.state

    def _touches_now(self, order: Order) -> bool:
        _, bid, ask = self._quote(order.symbol)
        return is_touched(order, bid, ask)

    def _available(self, order: Order) -> list[Step]:
        """Return the steps that a resting order can take now; all or nothing where it says so."""
        steps = self._steps(order, order.volume_left, order.price if order.type in LIMITS else None)
        is_short = _lots(steps) < order.volume_left - ENOUGH
        return [] if order.filling == FOK and is_short else steps

    def _activate(self, order: Order, at: float) -> bool:
        """Carry out a resting order that the tick touches; tell whether anything changed.

        Limits fill at their price or better, stops at the market. What lacks margin is rejected.
        """
        if order.type in STOP_LIMITS:
            self._become_limit(order, at)
            return True
        if self._is_orphan(order):
            with self.state.change():
                self._finish(order, CANCELED, at)
                self._processed_before(at)
            return True
        steps = self._available(order)
        if not steps and order.filling in (RETURN, BOC):
            return False
        with self.state.change():
            if self._lacks_margin(order, steps):
                self._finish(order, REJECTED, at)
            else:
                self._fill(order, steps, at)
                self._settle(order, at)
            self._processed_before(at)
        return True

    def _become_limit(self, order: Order, at: float) -> None:
        """Turn a stop-limit order whose stop was reached into its limit, which waits on the other side of the price."""
        with self.state.change():
            order.type, order.price, order.stoplimit = order.type - 4, order.stoplimit, 0.0
            self.state.put_order(order)
            self._processed_before(at)

    def _lacks_margin(self, order: Order, steps: list[Step]) -> bool:
        kind, setup = order.type % 2, self.symbols[order.symbol]
        target = self.state.positions.get(order.position_id) if self.account.is_hedging else None
        if not steps or (target is not None and target.type != kind):
            return False
        needed = self.margin_with(setup, kind, order.volume_left, steps[0].price) - self.margin()
        return needed > max(0.0, self.free_margin())

    def free_margin(self) -> float:
        """Equity that no margin is held for."""
        return self.equity() - self.margin()

    def _is_orphan(self, order: Order) -> bool:
        """Tell whether an order was to close a position that is gone."""
        return self.account.is_hedging and order.type in (0, 1) and order.position_id not in (0, *self.state.positions)

    def cancel(self, order: Order) -> None:
        """Take a resting order out of the book."""
        with self.state.change():
            at = self.clock.now().timestamp()
            self._finish(order, CANCELED, at)
            self.state.meta["processed"] = at

    def _finish(self, order: Order, state: int, at: float) -> None:
        order.state, order.done = state, at
        self.state.finish_order(order)

    def change_order(self, order: Order, **fields: Any) -> None:
        """Change price, stops or expiration of a resting order."""
        with self.state.change():
            for name, value in fields.items():
                setattr(order, name, value)
            self.state.put_order(order)
            self.state.meta["processed"] = self.clock.now().timestamp()

    def change_stops(self, position: OpenPosition, sl: float, tp: float) -> None:
        """Set both stops of a position."""
        with self.state.change():
            position.sl, position.tp = sl, tp
            position.updated = self.clock.now().timestamp()
            self.state.put_position(position)
            self.state.meta["processed"] = position.updated

    # What the broker does by itself

    def close_whole(self, p: OpenPosition, at: float, reason: int, comment: str) -> None:
        """Close a position at a tick, all of it, beyond the liquidity that is left if need be."""
        setup, kind = self.symbols[p.symbol], 1 - p.type
        with self.state.change():
            tick_at, bid, ask = self._quote(p.symbol)
            order = Order(
                ticket=self.state.next("order"), symbol=p.symbol, type=kind, volume=p.volume, volume_left=p.volume,
                price=0.0, sl=0.0, tp=0.0, magic=p.magic, comment=comment, placed=at, position_id=p.identifier,
                reason=reason,
            )  # fmt: skip
            best = worth_closing(p.type, (bid, ask))
            if reason != TP:
                best = slipped(setup, best, kind, order.ticket, p.symbol)
            steps = self.liquidity.take(setup, tick_at, best, kind, p.volume)
            self._fill(order, completed(steps, p.volume, best), at)
            self._settle(order, at)
            self._processed_before(at)

    def _processed_before(self, at: float) -> None:
        """Remember that the tick at `at` may still have something to do."""
        self.state.meta["processed"] = math.nextafter(at, -math.inf)


def takes_any_price(order: Order) -> bool:
    """Tell whether what is left of an order waits for nothing but lots."""
    return order.type in (0, 1) or (order.type in STOPS and order.state == PARTIAL)


def is_touched(order: Order, bid: float, ask: float) -> bool:
    """Tell whether a tick sets off a resting order."""
    if takes_any_price(order):
        return True
    return {
        2: ask <= order.price,
        3: bid >= order.price,
        4: ask >= order.price,
        5: bid <= order.price,
        6: ask >= order.price,
        7: bid <= order.price,
    }[order.type]


def _lots(steps: list[Step]) -> float:
    return round(sum(step.lots for step in steps), 8)
