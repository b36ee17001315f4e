"""The simulated broker in time: what each tick, midnight, expiration and session edge sets off, in their order."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from brokers.simulator import rollover, sessions
from brokers.simulator.account import SymbolSetup, feeds_from, spec_from, symbols_from
from brokers.simulator.books import BUY, Books, sign
from brokers.simulator.dealing import (
    BY_HAND,
    CANCELED,
    EXPIRED,
    FILLED,
    ROLLOVER,
    SL,
    SO,
    TP,
    Dealing,
    is_touched,
    takes_any_price,
)
from brokers.simulator.feed import Feed, Prices
from brokers.simulator.fills import fill
from brokers.simulator.liquidity import Liquidity, worth_closing
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

DAY = 86_400
NEVER = math.inf
GTC_DAILY, GTC_DAILY_NO_STOPS = 1, 2
# While profits are converted by a rate that moves, the scan stops at moves of this share, and mistrusts worth by SLACK
RATE_MOVE = 0.0005
RATE_SLACK = 4 * RATE_MOVE


class Exchange(Dealing):
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
        self.liquidity = Liquidity(self.state)
        self._given = feeds
        self._every_tick = every_tick
        self._describe()
        self._open: frozenset[str] = frozenset(self.symbols)
        self._lookout: tuple[tuple[int, frozenset[str]], Lookout] | None = None
        self._checked = float(self.state.meta["processed"])

    def _describe(self) -> None:
        meta = self.state.meta
        self.account = spec_from(meta["account"])
        self.symbols = symbols_from(meta["symbols"])
        self._ticks = {}
        self.books = Books(self.account, self.symbols, self._price)
        if self._given is not None:
            self.feeds: dict[str, Prices] = {n: self._given[s.priced_as] for n, s in self.symbols.items()}
            return
        specs = feeds_from(meta["feed"], self.symbols)
        pushed: dict[str, list[tuple[float, float, float]]] = {s.priced_as: [] for s in self.symbols.values()}
        for name, at, bid, ask in meta["pushed"]:
            pushed[name].append((at, bid, ask))
        self.feeds = {n: Feed(specs[n], s.priced_as, s.point, pushed[s.priced_as]) for n, s in self.symbols.items()}

    def _price(self, symbol: str) -> tuple[float, float] | None:
        tick = self._ticks.get(symbol)
        return None if tick is None else tick[1:]

    @property
    def has_prices(self) -> bool:
        """Whether the account has been looked at since it was opened here."""
        return bool(self._ticks)

    def tick(self, symbol: str) -> tuple[float, float, float] | None:
        """Return time, bid and ask of a symbol's last tick, as of the last look."""
        return self._ticks.get(symbol)

    def push_tick(self, symbol: str, bid: float, ask: float) -> None:
        """Say one tick now, kept in the state file (scripted feeds only)."""
        self.advance()
        at = self.clock.now().timestamp()
        with self.state.change():
            self.state.meta["pushed"].append([self.symbols[symbol].priced_as, at, bid, ask])
            feed = self.feeds[symbol]
            assert isinstance(feed, Feed)
            feed.push(at, bid, ask)
            self.look_from(at)
        self.advance()

    def redescribe(self, account: dict[str, Any], symbols: dict[str, dict[str, Any]]) -> None:
        """Change what the broker says of the account, and of symbols by name; a new name goes to what is open too.

        Raises ValueError for a symbol that does not exist, or a new name that does.
        """
        renamed = {fields["name"] for fields in symbols.values() if "name" in fields}
        if symbols.keys() - self.symbols.keys() or renamed & self.symbols.keys():
            raise ValueError(f"symbols: {', '.join((*symbols, *renamed))}: there are {', '.join(self.symbols)}")
        with self.state.change():
            self.state.describe("account", asdict(replace(self.account, **account)))
            changed = [replace(s, **symbols.get(name, {})) for name, s in self.symbols.items()]
            self.state.describe("symbols", [asdict(s) for s in changed])
            names = {old: new.name for old, new in zip(self.symbols, changed, strict=True)}
            for position in self.state.positions.values():
                position.symbol = names[position.symbol]
                self.state.put_position(position)
            for order in self.state.orders.values():
                order.symbol = names[order.symbol]
                self.state.put_order(order)
        self._look_again()
        self.advance()

    def list_symbol(self, setup: SymbolSetup) -> None:
        """Offer one more symbol, or a known one by other terms."""
        with self.state.change():
            self.state.describe("symbols", [asdict(s) for s in {**self.symbols, setup.name: setup}.values()])
        self._look_again()

    # Time

    def look_from(self, at: float) -> None:
        """Look at the prices from a time on once more: some came in only now."""
        self._checked = math.nextafter(min(self._checked, at), -NEVER)

    def mark_processed(self) -> None:
        """Keep on disk up to when prices were worked off."""
        with self.state.change():
            self.state.meta["processed"] = self._checked

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
        """Go from one edge of time to the next: between two of them every symbol is open, or closed, all the time."""
        until = self.clock.now().timestamp()
        while self._checked < until:
            midnight = self._next_midnight(self._checked)
            end = min(until, self.next_edge())
            self._run_ticks(end)
            self._set_prices(end)
            self._expire(end)
            if end == midnight > self.state.meta["day_ended"]:
                self._end_day(end)
            self._checked = end
        self._set_prices(until)

    def next_edge(self) -> float:
        """Return when something happens next that no tick sets off: midnight, expiration, opening, closing."""
        at = self._checked
        return min(self._next_midnight(at), self._next_expiry(), self._next_session_edge(at))

    def _set_prices(self, at: float) -> None:
        for name, feed in self.feeds.items():
            self._ticks[name] = feed.latest(at)

    def _next_midnight(self, at: float) -> float:
        shift = offset(self.account.server_clock, at)
        return (math.floor((at + shift) / DAY) + 1) * DAY - shift

    def _next_expiry(self) -> float:
        """Return when the next resting order expires; one that is overdue expires where the time stands."""
        due = min((o.expires for o in self.state.orders.values() if o.expires), default=NEVER)
        return max(due, math.nextafter(self._checked, NEVER))

    def _next_session_edge(self, at: float) -> float:
        shift = offset(self.account.server_clock, at)
        return min((sessions.next_edge(s.sessions, at + shift) for s in self.symbols.values()), default=NEVER) - shift

    def is_open(self, symbol: str, at: float) -> bool:
        """Tell whether a symbol is traded at a time."""
        return sessions.is_open(self.symbols[symbol].sessions, at + offset(self.account.server_clock, at))

    def _run_ticks(self, until: float) -> None:
        """Jump from one tick that could do something to the next, and look at each."""
        if not (self.state.positions or self.state.orders):
            return
        names = list(self.symbols)
        self._open = frozenset(name for name in names if self.is_open(name, self._checked))
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
        self._ticks[symbol] = (at, bid, ask)
        changed = symbol in self._open and self._apply_tick(symbol, bid, ask, at)
        return self._stop_out(at) or changed

    def lookout(self) -> Lookout:
        """Return what the scan has to watch for this account; the same one until something changes or rates move."""
        known, key = self._lookout, (self.state.revision, self._open)
        if known is not None and known[0] == key and not self._rates_move():
            return known[1]
        touches = np.stack([self._levels(name) if name in self._open else untouched(1)[0] for name in self.symbols])
        exposures = self.worth.exposures(self.books)
        cash = self.state.meta["balance"] + self.state.meta["credit"]
        made = Lookout(touches, exposures, self._worth_now(exposures), cash)
        if any(p.symbol in self._open for p in self.state.positions.values()):
            # Profits are rounded to cents one by one
            made.floor = self.floor() + 0.01 * (len(self.state.positions) + 2)
        if self._rates_move():
            self._watch_rates(made)
        self._lookout = key, made
        return made

    def _rates_move(self) -> bool:
        """Tell whether an open position's profit or margin is converted by prices that may move."""
        held = {p.symbol for p in self.state.positions.values()}
        return any(self.symbols[name].currency_profit != self.account.currency for name in held)

    def _watch_rates(self, lookout: Lookout) -> None:
        """Let every price that may be a rate be looked at when it moves, and trust worth and margin only so far."""
        for n, name in enumerate(self.symbols):
            price, row = self._price(name), lookout.touches[n]
            if price is not None:
                row[BID_LOW] = max(row[BID_LOW], price[0] * (1 - RATE_MOVE))
                row[BID_HIGH] = min(row[BID_HIGH], price[0] * (1 + RATE_MOVE))
                row[ASK_LOW] = max(row[ASK_LOW], price[1] * (1 - RATE_MOVE))
                row[ASK_HIGH] = min(row[ASK_HIGH], price[1] * (1 + RATE_MOVE))
        lookout.exposures[:, SLACK] = RATE_SLACK
        lookout.floor *= 1 + RATE_SLACK

    def _worth_now(self, exposures: Floats) -> Floats:
        prices = [self._price(name) or (0.0, 0.0) for name in self.symbols]
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
            if o.symbol != symbol:
                continue
            if takes_any_price(o):
                row[BID_LOW] = NEVER
            row[ASK_LOW] = max(row[ASK_LOW], o.price if o.type == 2 else -NEVER)
            row[BID_HIGH] = min(row[BID_HIGH], o.price if o.type == 3 else NEVER)
            row[ASK_HIGH] = min(row[ASK_HIGH], o.price if o.type in (4, 6) else NEVER)
            row[BID_LOW] = max(row[BID_LOW], o.price if o.type in (5, 7) else -NEVER)
        return row

    # What a moment sets off

    def _apply_tick(self, symbol: str, bid: float, ask: float, at: float) -> bool:
        """Fill what this tick touches: first resting orders, then stops, each at the tick's own price."""
        changed = False
        for order in [o for o in self.state.orders.values() if o.symbol == symbol]:
            if is_touched(order, bid, ask):
                changed |= self._activate(order, at)
        for p in [p for p in self.state.positions.values() if p.symbol == symbol]:
            closing = worth_closing(p.type, (bid, ask))
            digits = self.symbols[symbol].digits
            if p.sl and (p.sl - closing) * sign(p.type) >= 0:
                self.close_whole(p, at, SL, f"[sl {p.sl:.{digits}f}]")
                changed = True
            elif p.tp and (closing - p.tp) * sign(p.type) >= 0:
                self.close_whole(p, at, TP, f"[tp {p.tp:.{digits}f}]")
                changed = True
        return changed

    def _stop_out(self, at: float) -> bool:
        """Close the largest loss until the equity is above the floor; what is not traded now can't be closed."""
        changed = False
        while self.equity() <= self.floor():
            profits = self.profits()
            closable = [p for p in self.state.positions.values() if p.symbol in self._open and self._ticks[p.symbol]]
            if not closable:
                break
            worst = min(closable, key=lambda p: profits[p.identifier] + p.swap)
            self.close_whole(worst, at, SO, f"[so {self.margin_level():.1f}%]")
            changed = True
        return changed

    def _expire(self, at: float) -> None:
        """End the resting orders whose time has come."""
        for order in [o for o in self.state.orders.values() if o.expires and o.expires <= at]:
            with self.state.change():
                self._finish(order, EXPIRED, at)
                self._processed_before(at)

    def _end_day(self, midnight: float) -> None:
        """Do what a server does at its midnight: swaps, and the end of orders and stops that live for a day."""
        shift = offset(self.account.server_clock, midnight - 1)
        weekday = (int((midnight - 1 + shift) // DAY) + 4) % 7
        if not self.state.positions and not self.state.orders:
            return
        with self.state.change():
            self.state.meta["day_ended"] = midnight
            for p in list(self.state.positions.values()):
                count = rollover.nights(self.symbols[p.symbol], weekday)
                if count:
                    self._roll(p, count, midnight)
                if self.symbols[p.symbol].gtc_mode == GTC_DAILY and (p.sl or p.tp):
                    p.sl = p.tp = 0.0
                    self.state.put_position(p)
            for order in list(self.state.orders.values()):
                if self.symbols[order.symbol].gtc_mode in (GTC_DAILY, GTC_DAILY_NO_STOPS):
                    self._finish(order, CANCELED, midnight)
            self.state.meta["processed"] = midnight

    def _roll(self, p: OpenPosition, count: int, at: float) -> None:
        """Charge a position's swap: onto the position, or by closing it and opening it again under another ticket."""
        setup = self.symbols[p.symbol]
        bid, ask = self.books.price(p.symbol) or (p.price_open, p.price_open)
        prices = rollover.reopening(setup, p, (bid, ask), count)
        if prices is None:
            p.swap = round(p.swap + rollover.charge(self.books, setup, p, count), 2)
            self.state.put_position(p)
            return
        kind, volume, sl, tp, magic, comment = p.type, p.volume, p.sl, p.tp, p.magic, p.comment
        for side, price in ((1 - kind, prices[0]), (kind, prices[1])):
            order = Order(
                ticket=self.state.next("order"), symbol=p.symbol, type=side, volume=volume, volume_left=volume,
                price=0.0, sl=sl, tp=tp, magic=magic, comment=comment, placed=at, state=FILLED, done=at,
                position_id=p.identifier, reason=ROLLOVER,
            )  # fmt: skip
            fill(self.state, self.books, order, price, volume, at)
            order.reason = BY_HAND
            self.state.finish_order(order)
