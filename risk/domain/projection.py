"""The worst case of grids and hedges: what is left if the price runs to the last level, and where the stop-out is.

The strategy itself says what it would do: its own decision function is asked along a falling and a rising price, from
one of its watches to the next, so that the projection holds for every strategy that names its watches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from brokers.domain import OrderKind, Quote, Side, SymbolSpec
from strategies.domain import (
    AddLeg,
    CloseCycle,
    CloseLeg,
    CycleView,
    Decide,
    Leg,
    NetReached,
    OpenCycle,
    PriceField,
    PriceTouch,
    View,
    Watch,
)

STEPS_MAX = 80
# Cooldowns of any strategy are over after it
STEP_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Point:
    """A price that the market may run to, and what a bot would hold there.

    `realized` is the net of the legs closed on the way.
    """

    quote: Quote
    cycles: tuple[CycleView, ...]
    realized: float = 0.0

    def net(self, spec: SymbolSpec) -> float:
        """Net of everything the bot holds there and has closed on the way."""
        return self.realized + sum(leg.net(self.quote, spec) for leg in self.legs)

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for cycle in self.cycles for leg in cycle.positions)


def lots_of(legs: Iterable[Leg]) -> tuple[float, float]:
    """Return the lots of buys and of sells."""
    sides = {Side.BUY: 0.0, Side.SELL: 0.0}
    for leg in legs:
        sides[leg.side] += leg.volume
    return sides[Side.BUY], sides[Side.SELL]


def walk(decide: Decide, params: Any, view: View, *, falling: bool) -> tuple[Point, ...]:
    """Let the price run one way and the strategy add what it would, until it adds no more; new cycles are left out."""
    points = [Point(view.quote, view.cycles)]
    here, realized = replace(view, entries_blocked=None), 0.0
    for _ in range(STEPS_MAX):
        decision = decide(here, params)
        cycles, closed = _carry_out(decision.actions, here)
        if cycles != here.cycles:
            here, realized = replace(here, cycles=cycles, in_flight=(), now=here.now + STEP_TIME), realized + closed
            points.append(Point(here.quote, cycles, realized))
            continue
        bid = _next_bid(decision.watches, here, falling=falling)
        if bid is None:
            break
        here = replace(here, quote=_at(here.quote, bid), now=here.now + STEP_TIME)
        cycles, closed = _broker(here)
        here, realized = replace(here, cycles=cycles), realized + closed
        points.append(Point(here.quote, cycles, realized))
    return tuple(points)


def _at(quote: Quote, bid: float) -> Quote:
    return Quote(quote.symbol, bid, bid + quote.spread, quote.at)


def _carry_out(actions: Sequence[object], view: View) -> tuple[tuple[CycleView, ...], float]:
    """Return the cycles as they would be after the actions, and the net of the legs that they close."""
    cycles, realized = {cycle.id: cycle for cycle in view.cycles}, 0.0
    for action in actions:
        match action:
            case AddLeg() if action.cycle_id in cycles:
                cycle = cycles[action.cycle_id]
                cycles[cycle.id] = replace(cycle, legs=(*cycle.legs, _leg(action, view)), in_flight=())
            case CloseCycle() if action.cycle_id in cycles:
                realized += sum(leg.net(view.quote, view.spec) for leg in cycles.pop(action.cycle_id).positions)
            case CloseLeg() if action.cycle_id in cycles:
                cycle = cycles[action.cycle_id]
                leg = next((one for one in cycle.legs if one.order_id == action.order_id), None)
                if leg is not None:
                    part = min(1.0, action.volume / leg.volume)
                    realized += leg.net(view.quote, view.spec) * part
                    rest = replace(
                        leg, volume=leg.volume * (1 - part), swap=leg.swap * (1 - part),
                        commission=leg.commission * (1 - part),
                    )  # fmt: skip
                    legs = tuple(rest if one is leg else one for one in cycle.legs if one is not leg or part < 1)
                    cycles[cycle.id] = replace(cycle, legs=legs)
    return tuple(cycles.values()), realized


def _leg(action: AddLeg, view: View) -> Leg:
    market = action.kind is OrderKind.MARKET
    price = (view.quote.ask if action.side is Side.BUY else view.quote.bid) if market else action.price
    # Hypothetical legs have numbers below zero, which no order of the books has
    number = -1 - sum(len(cycle.legs) for cycle in view.cycles)
    return Leg(
        number, number, action.level, action.side, action.volume, price, action.sl, action.tp, 0.0, 0.0, view.now,
        pending=not market,
    )  # fmt: skip


def _next_bid(watches: Sequence[Watch], view: View, *, falling: bool) -> float | None:
    """Return the nearest price in the direction at which something happens."""
    quote, found = view.quote, list[float]()
    for watch in watches:
        if isinstance(watch, PriceTouch):
            found.append(watch.level if watch.field is PriceField.BID else watch.level - quote.spread)
        if isinstance(watch, NetReached):
            # A point beyond it, so that rounding can't hide it
            found += [bid - view.spec.point if falling else bid + view.spec.point for bid in _bid_of_net(watch, view)]
    for leg in (leg for cycle in view.cycles for leg in cycle.legs):
        shift = 0.0 if (leg.side is Side.BUY) != leg.pending else quote.spread
        levels = (leg.price_open,) if leg.pending else (leg.sl, leg.tp)
        found += [level - shift for level in levels if level > 0]
    least = view.spec.point / 2
    ahead = [b for b in found if b > 0 and ((b < quote.bid - least) if falling else (b > quote.bid + least))]
    return (max(ahead) if falling else min(ahead)) if ahead else None


def _bid_of_net(watch: NetReached, view: View) -> list[float]:
    """Return the bid at which a cycle's net is what the watch waits for: net is linear in the price."""
    cycle = next((c for c in view.cycles if c.id == watch.cycle_id), None)
    slope = sum(leg.side.sign * leg.volume for leg in cycle.positions) * view.spec.value_per_price if cycle else 0.0
    if cycle is None or abs(slope) < 1e-9:
        return []
    return [view.quote.bid + (watch.amount - cycle.net(view.quote, view.spec)) / slope]


def _broker(view: View) -> tuple[tuple[CycleView, ...], float]:
    """Let the broker fill resting legs and stops that the price has reached."""
    cycles, realized = [], 0.0
    for cycle in view.cycles:
        legs = []
        for leg in cycle.legs:
            price = view.quote.bid if (leg.side is Side.BUY) != leg.pending else view.quote.ask
            near = view.spec.point / 2
            if leg.pending and abs(price - leg.price_open) <= near:
                legs.append(replace(leg, pending=False))
            elif not leg.pending and any(level > 0 and abs(price - level) <= near for level in (leg.sl, leg.tp)):
                realized += leg.net(view.quote, view.spec)
            else:
                legs.append(leg)
        if legs:
            cycles.append(replace(cycle, legs=tuple(legs)))
    return tuple(cycles), realized


def coming(points: Iterable[Point]) -> tuple[Leg, ...]:
    """Return the legs that the strategy would add on a walk, in the order of adding."""
    found: dict[tuple[int, Side, float], Leg] = {}
    for point in points:
        for leg in (leg for cycle in point.cycles for leg in cycle.legs if leg.order_id < 0):
            found.setdefault((leg.level, leg.side, leg.price_open), leg)
    return tuple(found.values())


def awaited(watches: Iterable[Watch], view: View) -> tuple[tuple[str, float], ...]:
    """Return what a decision waits for as (what, price); of a net, the bid that gives it."""
    found = []
    for watch in watches:
        if isinstance(watch, NetReached):
            found += [(watch.note, view.spec.price(bid)) for bid in _bid_of_net(watch, view) if bid > 0]
        elif isinstance(watch, PriceTouch):
            found.append((watch.note, watch.level))
    return tuple(found)


def opened(view: View, action: OpenCycle) -> View:
    """Return the view as it would be with a new cycle opened now."""
    price = view.quote.ask if action.side is Side.BUY else view.quote.bid
    leg = Leg(0, 0, 0, action.side, action.volume, price, action.sl, action.tp, 0.0, 0.0, view.now)
    cycle = CycleView(0, view.spec.name, action.side, view.now, (leg,), (), 0.0, None, False, action.memory)
    return replace(view, cycles=(*view.cycles, cycle), last_entry_at=view.now)


@dataclass(frozen=True, slots=True)
class Run:
    """What a bot's symbol would come to if the price ran one way: changes of equity and margin, and the last price."""

    symbol: str
    falling: bool
    levels: int
    last_bid: float
    equity_change: float
    margin_change: float


def run_of(points: Sequence[Point], spec: SymbolSpec, *, falling: bool) -> Run:
    """Sum a walk up. Margin is that of the larger side: hedged lots need none of their own."""
    first, last = points[0], points[-1]
    before, after = (max(lots_of(p.legs)) * spec.margin_per_lot for p in (first, last))
    return Run(
        symbol=spec.name,
        falling=falling,
        levels=max(0, len(last.legs) - len(first.legs)),
        last_bid=last.quote.bid,
        equity_change=last.net(spec) - first.net(spec),
        margin_change=max(0.0, after - before),
    )


@dataclass(frozen=True, slots=True)
class WorstCase:
    """What an account would be left with; `margin_level` in percent, None without margin."""

    equity: float
    margin: float
    stop_out: float

    @property
    def margin_level(self) -> float | None:
        return self.equity / self.margin * 100 if self.margin > 0 else None

    @property
    def is_stop_out(self) -> bool:
        """Tell whether the broker would have closed positions by then."""
        return self.margin > 0 and self.equity <= self.margin * self.stop_out / 100


def worst_case(equity: float, margin: float, runs: Iterable[Run], stop_out: float) -> WorstCase:
    """Add the worse run of each symbol: symbols may be correlated, so all of them run against the account at once.

    Bots on the same symbol share its price, so their runs are added by direction first.
    """
    by_direction: dict[tuple[str, bool], list[float]] = {}
    for run in runs:
        sums = by_direction.setdefault((run.symbol, run.falling), [0.0, 0.0])
        sums[0] += run.equity_change
        sums[1] += run.margin_change
    for symbol in sorted({symbol for symbol, _ in by_direction}):
        change, more = min(by_direction.get((symbol, falling), [0.0, 0.0]) for falling in (True, False))
        equity, margin = equity + min(0.0, change), margin + more
    return WorstCase(equity, margin, stop_out)


def stop_out_bid(
    equity: float, margin: float, lots: tuple[float, float], quote: Quote, spec: SymbolSpec, stop_out: float
) -> float | None:
    """Return the bid at which the margin level meets the stop-out if only this symbol moves and nothing is added.

    None: no price of it does, because nothing net is open.
    """
    slope = (lots[0] - lots[1]) * spec.value_per_price
    if margin <= 0 or abs(slope) < 1e-9:
        return None
    bid = quote.bid - (equity - margin * stop_out / 100) / slope
    return spec.price(bid) if bid > 0 else None
