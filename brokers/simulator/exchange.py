"""The simulated broker: fills, stops, pending orders, swaps and stop-outs, in the order of the ticks."""

import math
from pathlib import Path

import numpy as np

from brokers.simulator.account import spec_from, symbols_from
from brokers.simulator.books import BUY, Books, sign
from brokers.simulator.feed import Feed, FeedSpec, Ticks
from brokers.simulator.fills import Fill, fill_close, fill_open
from brokers.simulator.server_time import offset
from brokers.simulator.state import Moved, OpenPosition, Order, State
from brokers.simulator.worth import Worth
from core.clock import Clock

EXPERT, SL, TP, SO = 3, 4, 5, 6
CANCELED, REJECTED = 2, 5
DAY = 86_400
NEVER = math.inf


class Exchange:
    """One account at the broker. Everything it does is at tick times; `advance` works off the ticks slept through."""

    def __init__(self, state_file: Path, clock: Clock) -> None:
        self.clock = clock
        self.state = State(state_file)
        self.worth = Worth(self.state)
        self._describe()
        self._touches: dict[str, tuple[float, float, float, float]] | None = None
        self._checked = float(self.state.meta["processed"])

    def _describe(self) -> None:
        meta = self.state.meta
        self.account = spec_from(meta["account"])
        self.symbols = symbols_from(meta["symbols"])
        spec = FeedSpec.from_json(meta["feed"])
        pushed: dict[str, list[tuple[float, float, float]]] = {name: [] for name in self.symbols}
        for name, at, bid, ask in meta["pushed"]:
            pushed[name].append((at, bid, ask))
        self.feeds = {n: Feed(spec, n, s.point, pushed[n]) for n, s in self.symbols.items()}
        self._prices: dict[str, tuple[float, float] | None] = {}
        self.books = Books(self.account, self.symbols, self._price)

    def _price(self, symbol: str) -> tuple[float, float] | None:
        return self._prices.get(symbol)

    def push_tick(self, symbol: str, bid: float, ask: float) -> None:
        """Say one tick now, kept in the state file (scripted feeds only)."""
        self.advance()
        at = self.clock.now().timestamp()
        with self.state.change():
            self.state.meta["pushed"].append([symbol, at, bid, ask])
            self.feeds[symbol].push(at, bid, ask)
            self._checked = math.nextafter(min(self._checked, at), -NEVER)
        self.advance()

    # Time

    def advance(self) -> None:
        """Process every tick up to now; afterwards prices, positions and equity are of this moment."""
        if self.state.reload_if_changed():
            self._look_again()
        while True:
            try:
                self._advance()
            except Moved:
                self._look_again()
            else:
                return

    def _look_again(self) -> None:
        """Start from what is in the file, which another process has changed."""
        self._describe()
        self._touches = None
        self._checked = float(self.state.meta["processed"])

    def _advance(self) -> None:
        until = self.clock.now().timestamp()
        while self._checked < until:
            end = min(until, self._next_midnight(self._checked))
            self._run_ticks(end)
            self._set_prices(end)
            if end < until or end == self._next_midnight(end - 1e-6):
                self._rollover(end)
            self._checked = end
        self._set_prices(until)

    def _set_prices(self, at: float) -> None:
        for name, feed in self.feeds.items():
            tick = feed.latest(at)
            self._prices[name] = None if tick is None else (tick[1], tick[2])

    def _next_midnight(self, at: float) -> float:
        shift = offset(self.account.server_clock, at)
        return (math.floor((at + shift) / DAY) + 1) * DAY - shift

    def _run_ticks(self, until: float) -> None:
        """Find the first tick that touches something, apply it, and go on from there."""
        while self.state.positions or self.state.orders:
            found = self._first_event(until)
            if found is None:
                return
            at, symbol, bid, ask = found
            self._set_prices(at)
            self._prices[symbol] = (bid, ask)
            changed = self._apply_tick(symbol, bid, ask, at)
            changed |= self._stop_out(at)
            self._touches = None
            # A tick that left everything as it was must not be found again.
            self._checked = at if not changed else math.nextafter(at, -NEVER)

    def _first_event(self, until: float) -> tuple[float, str, float, float] | None:
        best: tuple[float, str, float, float] | None = None
        if self._touches is None:
            self._touches = {name: self._levels(name) for name in self.symbols}
        for name, (bid_low, bid_high, ask_low, ask_high) in self._touches.items():
            ticks = self.feeds[name].between(self._checked, until)
            if not len(ticks):
                continue
            hit = (ticks.bid <= bid_low) | (ticks.bid >= bid_high) | (ticks.ask <= ask_low) | (ticks.ask >= ask_high)
            hit |= self._ruined(name, ticks)
            if hit.any():
                i = int(np.argmax(hit))
                if best is None or ticks.at[i] < best[0]:
                    best = (float(ticks.at[i]), name, float(ticks.bid[i]), float(ticks.ask[i]))
        return best

    def _levels(self, symbol: str) -> tuple[float, float, float, float]:
        """Return the nearest levels that do something: bid at or below / above, ask at or below / above."""
        bid_low, bid_high, ask_low, ask_high = -NEVER, NEVER, -NEVER, NEVER
        for p in self.state.positions.values():
            if p.symbol != symbol:
                continue
            if p.type == BUY:
                bid_low = max(bid_low, p.sl or -NEVER)
                bid_high = min(bid_high, p.tp or NEVER)
            else:
                ask_high = min(ask_high, p.sl or NEVER)
                ask_low = max(ask_low, p.tp or -NEVER)
        for o in self.state.orders.values():
            if o.symbol == symbol:
                ask_low = max(ask_low, o.price if o.type == 2 else -NEVER)
                bid_high = min(bid_high, o.price if o.type == 3 else NEVER)
                ask_high = min(ask_high, o.price if o.type == 4 else NEVER)
                bid_low = max(bid_low, o.price if o.type == 5 else -NEVER)
        return bid_low, bid_high, ask_low, ask_high

    def _ruined(self, symbol: str, ticks: Ticks) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell at which ticks of one symbol the margin level is at or below stop-out."""
        margin = self.margin()
        if margin <= 0:
            return np.zeros(len(ticks), dtype=bool)
        cash = self.state.meta["balance"] + self.state.meta["credit"]
        equity = cash + self.worth.floating_along(self.books, self.symbols[symbol], ticks.bid, ticks.ask)
        return np.asarray(equity / margin * 100 <= self.account.stop_out_level)

    def _apply_tick(self, symbol: str, bid: float, ask: float, at: float) -> bool:
        """Fill what this tick touches: first resting orders, then stops, each at the tick's own price."""
        changed = False
        for order in [o for o in self.state.orders.values() if o.symbol == symbol]:
            touched = {2: ask <= order.price, 3: bid >= order.price, 4: ask >= order.price, 5: bid <= order.price}
            if touched.get(order.type, False):
                self._activate(order, bid, ask, at)
                changed = True
        for p in [p for p in self.state.positions.values() if p.symbol == symbol]:
            closing = bid if p.type == BUY else ask
            if p.sl and (p.sl - closing) * sign(p.type) >= 0:
                self._close_by_broker(p, closing, at, SL, f"[sl {p.sl:.{self.symbols[symbol].digits}f}]")
                changed = True
            elif p.tp and (closing - p.tp) * sign(p.type) >= 0:
                self._close_by_broker(p, closing, at, TP, f"[tp {p.tp:.{self.symbols[symbol].digits}f}]")
                changed = True
        return changed

    def _stop_out(self, at: float) -> bool:
        """Close the largest loss until the margin level is above stop-out."""
        changed = False
        while self.state.positions:
            level = self.margin_level()
            if level == 0.0 or level > self.account.stop_out_level:
                break
            profits = self.profits()
            worst = min(self.state.positions.values(), key=lambda p: profits[p.identifier] + p.swap)
            bid, ask = self._prices[worst.symbol] or (worst.price_open, worst.price_open)
            closing = bid if worst.type == BUY else ask
            self._close_by_broker(worst, closing, at, SO, f"[so {level:.1f}%]")
            changed = True
        return changed

    def _rollover(self, midnight: float) -> None:
        """Charge swaps at the server's midnight: none on weekends, three nights on the symbol's triple day."""
        shift = offset(self.account.server_clock, midnight - 1)
        weekday = (int((midnight - 1 + shift) // DAY) + 4) % 7
        if weekday in (0, 6) or not self.state.positions:
            return
        with self.state.change():
            for p in list(self.state.positions.values()):
                setup = self.symbols[p.symbol]
                nights = 3 if weekday == setup.triple_swap_day else 1
                points = setup.swap_long if p.type == BUY else setup.swap_short
                money = points * setup.point * setup.contract_size * p.volume * self.books.profit_rate(setup) * nights
                p.swap = round(p.swap + money, 2)
                self.state.put_position(p)
            self.state.meta["processed"] = midnight

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

    def margin_level(self) -> float:
        """Equity / margin in percent; 0.0 without margin in use."""
        margin = self.margin()
        return self.equity() / margin * 100 if margin > 0 else 0.0

    # Trades

    def market(self, symbol: str, kind: int, volume: float, sl: float, tp: float, magic: int, comment: str) -> Fill:
        """Open a position at the current price."""
        at = self.clock.now().timestamp()
        bid, ask = self._prices[symbol] or (0.0, 0.0)
        price = ask if kind == BUY else bid
        with self.state.change():
            order = Order(self.state.next("order"), symbol, kind, volume, 0.0, 0.0, sl, tp, magic, comment, at)
            fill = fill_open(self.state, self.books, order, price, at)
            self.state.meta["processed"] = at
        self._touches = None
        return fill

    def close(self, position: OpenPosition, volume: float, magic: int, comment: str) -> Fill:
        """Close all or a part of a position at the current price."""
        at = self.clock.now().timestamp()
        bid, ask = self._prices[position.symbol] or (0.0, 0.0)
        price = bid if position.type == BUY else ask
        with self.state.change():
            fill = fill_close(self.state, self.books, position, volume, price, at, EXPERT, magic, comment)
            self.state.meta["processed"] = at
        self._touches = None
        return fill

    def _close_by_broker(self, p: OpenPosition, price: float, at: float, reason: int, comment: str) -> None:
        with self.state.change():
            fill_close(self.state, self.books, p, p.volume, price, at, reason, p.magic, comment)
            self.state.meta["processed"] = math.nextafter(at, -NEVER)

    def place(
        self, symbol: str, kind: int, volume: float, price: float, sl: float, tp: float, magic: int, comment: str
    ) -> int:
        """Put a resting order into the book; return its ticket."""
        at = self.clock.now().timestamp()
        with self.state.change():
            order = Order(self.state.next("order"), symbol, kind, volume, volume, price, sl, tp, magic, comment, at)
            self.state.put_order(order)
            self.state.meta["processed"] = at
        self._touches = None
        return order.ticket

    def _activate(self, order: Order, bid: float, ask: float, at: float) -> None:
        """Fill a resting order: limits at their price or better, stops at the tick. Without margin it is cancelled."""
        touch = ask if order.type % 2 == BUY else bid
        with self.state.change():
            setup = self.symbols[order.symbol]
            if self.books.margin_for(setup, order.volume, touch) > self.equity() - self.margin():
                order.state, order.done = REJECTED, at
                self.state.finish_order(order)
            else:
                fill_open(self.state, self.books, order, touch, at)
            self.state.meta["processed"] = math.nextafter(at, -NEVER)

    def cancel(self, order: Order) -> None:
        """Take a resting order out of the book."""
        with self.state.change():
            order.state, order.done = CANCELED, self.clock.now().timestamp()
            self.state.finish_order(order)
            self.state.meta["processed"] = order.done
        self._touches = None

    def change_stops(self, position: OpenPosition, sl: float, tp: float) -> None:
        """Set both stops of a position."""
        with self.state.change():
            position.sl, position.tp = sl, tp
            position.updated = self.clock.now().timestamp()
            self.state.put_position(position)
            self.state.meta["processed"] = position.updated
        self._touches = None

    def change_order(self, order: Order, price: float, sl: float, tp: float) -> None:
        """Change price and stops of a resting order."""
        with self.state.change():
            order.price, order.sl, order.tp = price, sl, tp
            self.state.put_order(order)
            self.state.meta["processed"] = self.clock.now().timestamp()
        self._touches = None
