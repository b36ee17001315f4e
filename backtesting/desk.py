"""The books of a backtest: cycles and legs as the engine keeps them, and requests that go to the simulated broker."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from backtesting.domain import CycleRecord, LegRecord
from brokers.domain import (
    CancelOrder,
    ChangeStops,
    ClosePosition,
    OpenPosition,
    OrderKind,
    PlaceOrder,
    Quote,
    Request,
    Side,
    SymbolSpec,
)
from brokers.mt5 import parse, requests
from brokers.mt5.retcodes import Verdict, meaning_of
from brokers.simulator import rows
from brokers.simulator.books import BUY
from brokers.simulator.exchange import Exchange
from brokers.simulator.memory import MemoryState
from brokers.simulator.requests import handle
from strategies.domain import AddLeg, CycleView, Leg

MAGIC = 1
SPEC_SECONDS = 60.0
REASONS = {3: "bot", 4: "stop_loss", 5: "take_profit", 6: "stop_out"}
OUT, OUT_BY = 1, 3
DONE = (Verdict.DONE, Verdict.PARTIAL, Verdict.PLACED)


def moment(at: float) -> datetime:
    """Return epoch seconds as an aware time."""
    return datetime.fromtimestamp(at, UTC)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the broker said to a request; `code` is empty when it was carried out."""

    code: str
    text: str = ""


class Desk:
    """One account's cycles. `sync` brings in what the broker did; the rest asks it for something."""

    def __init__(self, exchange: Exchange, state: MemoryState) -> None:
        self.exchange = exchange
        self.state = state
        self.cycles: list[CycleRecord] = []
        self.open: dict[int, CycleRecord] = {}
        self.stop_outs = 0
        self.last_entry: dict[str, float] = {}
        self._read = len(state.ledger)
        self._legs: dict[int, tuple[CycleRecord, LegRecord]] = {}
        self._orders = 0
        self._entries: list[float] = []
        self._specs: dict[str, tuple[float, SymbolSpec]] = {}
        self._filling: dict[str, int] = {}
        self._requests: list[tuple[datetime, bool]] = []
        self._closed: list[tuple[float, float]] = []

    # What there is

    def spec(self, symbol: str) -> SymbolSpec:
        """Return a symbol's specification, read anew each minute, as an engine does."""
        at = self.exchange.clock.now().timestamp()
        known = self._specs.get(symbol)
        if known is None or at - known[0] > SPEC_SECONDS:
            setup, quote = self.exchange.symbols[symbol], self.exchange.books.price(symbol)
            margin = 0.0 if quote is None else self.exchange.books.margin_for(setup, 0, 1.0, quote[1])
            info = rows.symbol(self.exchange, symbol, selected=True)
            known = self._specs[symbol] = (at, parse.symbol(info, symbol, round(margin, 2)))
        return known[1]

    def entries_since(self, at: float) -> int:
        """Count the orders that were sent to enter, market and resting ones, after a time."""
        return len(self._entries) - bisect_right(self._entries, at)

    def entry_times(self, at: float) -> tuple[datetime, ...]:
        """Return when the entries after a time were sent."""
        return tuple(moment(one) for one in self._entries[bisect_right(self._entries, at) :])

    @property
    def requests_sent(self) -> int:
        """How many requests were sent."""
        return len(self._requests)

    def requests_since(self, at: float) -> tuple[tuple[datetime, bool], ...]:
        """Return (time, worked) of the requests from a time on, oldest first."""
        return tuple(self._requests[bisect_left(self._requests, moment(at), key=itemgetter(0)) :])

    def closed_since(self, at: float) -> float:
        """Return the net of the legs that were closed from a time on."""
        return sum(net for _, net in self._closed[bisect_left(self._closed, at, key=itemgetter(0)) :])

    def leg_of(self, identifier: int) -> tuple[int, LegRecord] | None:
        """Return the leg of a position, or of a resting order, with the number of its cycle."""
        known = self._legs.get(identifier)
        return None if known is None else (known[0].number, known[1])

    def quote(self, symbol: str) -> Quote | None:
        """Return the price of this moment; None before the first."""
        price = self.exchange.books.price(symbol)
        return None if price is None else Quote(symbol, *price, self.exchange.clock.now())

    def views(self, symbol: str) -> tuple[CycleView, ...]:
        """Return the open cycles of a symbol as strategies see them, oldest first."""
        return tuple(self._view(cycle) for cycle in self.open.values() if cycle.symbol == symbol)

    def _view(self, cycle: CycleRecord) -> CycleView:
        legs = [leg for record in cycle.legs if (leg := self._leg(record)) is not None]
        legs.sort(key=lambda leg: (leg.opened_at, leg.order_id))
        return CycleView(
            id=cycle.number,
            symbol=cycle.symbol,
            side=Side(cycle.side),
            opened_at=moment(cycle.opened_at),
            legs=tuple(legs),
            in_flight=(),
            realized=cycle.net,
            best_net=cycle.best_net,
            closing=cycle.status == "closing",
            memory=cycle.memory,
            last_level=max((leg.level for leg in cycle.legs), default=-1),
        )

    def _leg(self, record: LegRecord) -> Leg | None:
        if record.state == "open":
            p = self.state.positions[record.ticket]
            # What was closed of a leg that is still open counts with its swap, as in the engine's books
            booked = p.swap + record.profit + record.swap
            return Leg(
                record.order_id, p.ticket, record.level, Side(record.side), p.volume, p.price_open, p.sl, p.tp,
                booked, record.commission, moment(record.opened_at),
            )  # fmt: skip
        if record.state == "pending":
            o = self.state.orders[record.ticket]
            return Leg(
                record.order_id, o.ticket, record.level, Side(record.side), o.volume_left, o.price, o.sl, o.tp,
                0.0, 0.0, moment(record.placed_at), pending=True,
            )  # fmt: skip
        return None

    def sync(self) -> None:
        """Bring in new deals, orders that ended, and cycles that have no leg left."""
        for deal in self.state.ledger[self._read :]:
            known = self._legs.get(deal.position_id)
            if known is not None:
                self._book(known[1], deal)
        self._read = len(self.state.ledger)
        for cycle in list(self.open.values()):
            for leg in cycle.legs:
                if leg.state == "pending" and leg.ticket not in self.state.orders:
                    leg.state = "cancelled"
            if not any(leg.state in ("pending", "open") for leg in cycle.legs):
                self._complete(cycle)

    def _book(self, leg: LegRecord, deal: Any) -> None:
        leg.profit, leg.swap = round(leg.profit + deal.profit, 2), round(leg.swap + deal.swap, 2)
        leg.commission = round(leg.commission + deal.commission, 2)
        if deal.entry not in (OUT, OUT_BY):
            if leg.state == "pending":
                leg.state, leg.opened_at = "open", deal.at
            leg.price_open = (
                self.state.positions[leg.ticket].price_open if leg.ticket in self.state.positions else deal.price
            )
            return
        volume = leg.volume_closed + deal.volume
        leg.price_close = (leg.price_close * leg.volume_closed + deal.price * deal.volume) / volume
        leg.volume_closed, leg.closed_at = volume, deal.at
        leg.reason = REASONS.get(deal.reason, "other")
        if leg.ticket not in self.state.positions:
            leg.state = "closed"
            self._closed.append((deal.at, leg.net))
            self.stop_outs += leg.reason == "stop_out"

    def _complete(self, cycle: CycleRecord) -> None:
        cycle.status = "closed"
        cycle.closed_at = self.exchange.clock.now().timestamp()
        cycle.reason = cycle.reason or ("every leg left" if cycle.legs else "the entry was refused")
        cycle.best, cycle.worst = max(cycle.best, cycle.net), min(cycle.worst, cycle.net)
        del self.open[cycle.number]

    # What is asked of the broker

    def open_cycle(self, symbol: str, side: Side, memory: Any) -> CycleRecord:
        """Write down a new cycle, before its first order is sent."""
        at = self.exchange.clock.now().timestamp()
        cycle = CycleRecord(len(self.cycles) + 1, symbol, str(side), at, memory=dict(memory))
        self.cycles.append(cycle)
        self.open[cycle.number] = cycle
        self.last_entry[symbol] = at
        return cycle

    def add(self, cycle: CycleRecord, action: AddLeg) -> Reply:
        """Send a leg's order, at the market or resting."""
        symbol, at = cycle.symbol, self.exchange.clock.now().timestamp()
        if action.kind is OrderKind.MARKET:
            request: Request = OpenPosition(symbol, action.side, action.volume, MAGIC, "", action.sl, action.tp)
        else:
            request = PlaceOrder(
                symbol, action.side, action.kind, action.volume, action.price, MAGIC, "", action.sl, action.tp
            )
        reply, ticket = self._send(request)
        if not reply.code:
            self._orders += 1
            self._entries.append(at)
            leg = LegRecord(self._orders, ticket, action.level, str(action.side), symbol, action.volume, "pending", at)
            leg.price_open = action.price
            cycle.legs.append(leg)
            cycle.memory = {**cycle.memory, **action.memory}
            self._legs[ticket] = (cycle, leg)
            self.sync()
        return reply

    def close(self, leg: Leg, symbol: str, volume: float) -> Reply:
        """Close a leg or a part of it, or take it back while it rests."""
        if leg.pending:
            request: Request = CancelOrder(symbol, leg.ticket, MAGIC)
        else:
            request = ClosePosition(symbol, leg.side, min(volume, leg.volume), leg.ticket, MAGIC, "")
        reply, _ = self._send(request)
        self.sync()
        return reply

    def close_whole(self, identifier: int) -> Reply:
        """Close a position, or take a resting order back, whoever asked for it."""
        position, resting = self.state.positions.get(identifier), self.state.orders.get(identifier)
        if resting is not None:
            return self._send(CancelOrder(resting.symbol, resting.ticket, resting.magic))[0]
        assert position is not None
        side = Side.BUY if position.type == BUY else Side.SELL
        return self._send(ClosePosition(position.symbol, side, position.volume, position.ticket, position.magic, ""))[0]

    def end_cycle_of(self, identifier: int, why: str) -> None:
        """Let the cycle of a leg take no more of them."""
        known = self._legs.get(identifier)
        if known is not None and known[0].status == "open":
            known[0].status, known[0].reason = "closing", why

    def change_stops(self, leg: Leg, symbol: str, sl: float, tp: float) -> Reply:
        """Set both stops of a leg."""
        return self._send(ChangeStops(symbol, leg.ticket, sl, tp, MAGIC))[0]

    def _send(self, request: Request) -> tuple[Reply, int]:
        """Let the broker carry a request out, and remember whether it did."""
        reply, ticket = self._answer(request)
        self._requests.append((self.exchange.clock.now(), not reply.code))
        return reply, ticket

    def _answer(self, request: Request) -> tuple[Reply, int]:
        """Check and build a request as the gateway does, and let the broker carry it out."""
        spec, quote = self.spec(request.symbol), self.quote(request.symbol)
        if quote is None:
            return Reply("no_prices"), 0
        problem = requests.objection(request, spec, quote)
        if problem is not None:
            return Reply(problem.code, problem.text), 0
        modes = requests.filling_candidates(spec)
        filling = self._filling.setdefault(request.symbol, modes[0])
        answer = handle(self.exchange, requests.build(request, request.symbol, spec, quote, filling), execute=True)
        meaning = meaning_of(answer.retcode)
        if meaning.verdict in DONE or meaning.verdict is Verdict.NO_CHANGES:
            return Reply(""), answer.order
        if meaning.name == "invalid_fill":
            self._filling[request.symbol] = modes[(modes.index(filling) + 1) % len(modes)]
        return Reply(meaning.name, answer.text), 0
