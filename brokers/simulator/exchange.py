"""The simulated broker: fills, stops, pending orders, swaps and stop-outs, in the order of the ticks."""

import math
from collections.abc import Mapping

import numpy as np

from brokers.simulator.account import spec_from, symbols_from
from brokers.simulator.books import BUY, Books, sign
from brokers.simulator.feed import Feed, FeedSpec, Prices
from brokers.simulator.fills import Fill, fill_close, fill_open
from brokers.simulator.scan import (
    ASK_HIGH,
    ASK_LOW,
    BID_HIGH,
    BID_LOW,
    SLACK,
    Floats,
    Lookout,
    Stream,
    next_look,
    untouched,
)
from brokers.simulator.server_time import offset
from brokers.simulator.state import Moved, OpenPosition, Order, State
from brokers.simulator.worth import Worth
from core.clock import Clock

EXPERT, SL, TP, SO = 3, 4, 5, 6
CANCELED, REJECTED = 2, 5
DAY = 86_400
NEVER = math.inf
# While profits are converted by a rate that moves, the scan stops at moves of this share, and mistrusts worth by SLACK
RATE_MOVE = 0.0005
RATE_SLACK = 4 * RATE_MOVE


class Exchange:
    """One account at the broker. Everything it does is at tick times; `advance` works off the ticks slept through.

    It jumps from one tick that could do something to the next; with `every_tick` it looks at each, which must come to
    the same and is there to prove it. `feeds` replace the prices that the state file names.
    """

    def __init__(
        self, state: State, clock: Clock, *, feeds: Mapping[str, Prices] | None = None, every_tick: bool = False
    ) -> None:
        self.clock = clock
        self.state = state
        self.worth = Worth(self.state)
        self._given = feeds
        self._every_tick = every_tick
        self._describe()
        self._lookout: tuple[int, Lookout] | None = None
        self._checked = float(self.state.meta["processed"])

    def _describe(self) -> None:
        meta = self.state.meta
        self.account = spec_from(meta["account"])
        self.symbols = symbols_from(meta["symbols"])
        self._prices: dict[str, tuple[float, float] | None] = {}
        self.books = Books(self.account, self.symbols, self._price)
        self.feeds: dict[str, Prices] = dict(self._given or {})
        if self._given is not None:
            return
        spec = FeedSpec.from_json(meta["feed"])
        pushed: dict[str, list[tuple[float, float, float]]] = {name: [] for name in self.symbols}
        for name, at, bid, ask in meta["pushed"]:
            pushed[name].append((at, bid, ask))
        self.feeds = {n: Feed(spec, n, s.point, pushed[n]) for n, s in self.symbols.items()}

    def _price(self, symbol: str) -> tuple[float, float] | None:
        return self._prices.get(symbol)

    def push_tick(self, symbol: str, bid: float, ask: float) -> None:
        """Say one tick now, kept in the state file (scripted feeds only)."""
        self.advance()
        at = self.clock.now().timestamp()
        with self.state.change():
            self.state.meta["pushed"].append([symbol, at, bid, ask])
            feed = self.feeds[symbol]
            assert isinstance(feed, Feed)
            feed.push(at, bid, ask)
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
        self._lookout = None
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
        """Jump from one tick that could do something to the next, and look at each."""
        if not (self.state.positions or self.state.orders):
            return
        names = list(self.symbols)
        stream = Stream.merge([self.feeds[name].between(self._checked, until) for name in names])
        i = 0
        while self.state.positions or self.state.orders:
            if not self._every_tick:
                i = next_look(stream, i, len(stream), self.lookout())
            if i >= len(stream):
                return
            at = float(stream.at[i])
            changed = self.look(names[stream.symbol[i]], float(stream.bid[i]), float(stream.ask[i]), at)
            # A tick that changed something is looked at again, one that left everything as it was is not
            self._checked = math.nextafter(at, -NEVER) if changed else at
            i += not changed

    def look(self, symbol: str, bid: float, ask: float, at: float) -> bool:
        """Do what one tick does: fill resting orders, stops, stop-out. Tell whether anything changed."""
        if len(self.feeds) > 1:
            self._set_prices(at)
        self._prices[symbol] = (bid, ask)
        return self._apply_tick(symbol, bid, ask, at) | self._stop_out(at)

    def lookout(self) -> Lookout:
        """Return what the scan has to watch for this account; the same one until something changes or rates move."""
        known = self._lookout
        if known is not None and known[0] == self.state.revision and not self._rates_move():
            return known[1]
        touches = np.stack([self._levels(name) for name in self.symbols])
        exposures = self.worth.exposures(self.books)
        cash = self.state.meta["balance"] + self.state.meta["credit"]
        made = Lookout(touches, exposures, self._worth_now(exposures), cash)
        margin = self.margin()
        if margin > 0:
            # Profits are rounded to cents one by one
            cents = 0.01 * (len(self.state.positions) + 2)
            made.floor = margin * self.account.stop_out_level / 100 + cents
        if self._rates_move():
            self._watch_rates(made)
        self._lookout = self.state.revision, made
        return made

    def _rates_move(self) -> bool:
        """Tell whether an open position's profit or margin is converted by prices that may move."""
        held = {p.symbol for p in self.state.positions.values()}
        return any(self.symbols[name].currency_profit != self.account.currency for name in held)

    def _watch_rates(self, lookout: Lookout) -> None:
        """Let every price that may be a rate be looked at when it moves, and trust worth and margin only so far."""
        for n, name in enumerate(self.symbols):
            price, row = self._prices.get(name), lookout.touches[n]
            if price is not None:
                row[BID_LOW] = max(row[BID_LOW], price[0] * (1 - RATE_MOVE))
                row[BID_HIGH] = min(row[BID_HIGH], price[0] * (1 + RATE_MOVE))
                row[ASK_LOW] = max(row[ASK_LOW], price[1] * (1 - RATE_MOVE))
                row[ASK_HIGH] = min(row[ASK_HIGH], price[1] * (1 + RATE_MOVE))
        lookout.exposures[:, SLACK] = RATE_SLACK
        lookout.floor *= 1 + RATE_SLACK

    def _worth_now(self, exposures: Floats) -> Floats:
        prices = [self._prices.get(name) or (0.0, 0.0) for name in self.symbols]
        return np.array(
            [e[0] * p[0] + e[1] * p[1] + e[2] if any(p) else 0.0 for e, p in zip(exposures, prices, strict=True)]
        )

    def _levels(self, symbol: str) -> Floats:
        """Return the nearest levels that do something, as a row of touches."""
        row: Floats = untouched(1)[0]
        for p in self.state.positions.values():
            if p.symbol != symbol:
                continue
            if p.type == BUY:
                row[BID_LOW] = max(row[BID_LOW], p.sl or -NEVER)
                row[BID_HIGH] = min(row[BID_HIGH], p.tp or NEVER)
            else:
                row[ASK_HIGH] = min(row[ASK_HIGH], p.sl or NEVER)
                row[ASK_LOW] = max(row[ASK_LOW], p.tp or -NEVER)
        for o in self.state.orders.values():
            if o.symbol == symbol:
                row[ASK_LOW] = max(row[ASK_LOW], o.price if o.type == 2 else -NEVER)
                row[BID_HIGH] = min(row[BID_HIGH], o.price if o.type == 3 else NEVER)
                row[ASK_HIGH] = min(row[ASK_HIGH], o.price if o.type == 4 else NEVER)
                row[BID_LOW] = max(row[BID_LOW], o.price if o.type == 5 else -NEVER)
        return row

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
        return fill

    def close(self, position: OpenPosition, volume: float, magic: int, comment: str) -> Fill:
        """Close all or a part of a position at the current price."""
        at = self.clock.now().timestamp()
        bid, ask = self._prices[position.symbol] or (0.0, 0.0)
        price = bid if position.type == BUY else ask
        with self.state.change():
            fill = fill_close(self.state, self.books, position, volume, price, at, EXPERT, magic, comment)
            self.state.meta["processed"] = at
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

    def change_stops(self, position: OpenPosition, sl: float, tp: float) -> None:
        """Set both stops of a position."""
        with self.state.change():
            position.sl, position.tp = sl, tp
            position.updated = self.clock.now().timestamp()
            self.state.put_position(position)
            self.state.meta["processed"] = position.updated

    def change_order(self, order: Order, price: float, sl: float, tp: float) -> None:
        """Change price and stops of a resting order."""
        with self.state.change():
            order.price, order.sl, order.tp = price, sl, tp
            self.state.put_order(order)
            self.state.meta["processed"] = self.clock.now().timestamp()
