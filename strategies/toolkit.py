"""What decisions have in common: an answer that is filled step by step, touches, volumes, and the way to an entry.

Plug-ins may use all of it. Every function either says that something is due now, or adds the watch that will say so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from brokers.domain import Side
from strategies.domain import (
    Action,
    CloseCycle,
    CycleView,
    Decision,
    EveryTick,
    Leg,
    NetReached,
    OpenCycle,
    PriceField,
    PriceTouch,
    Refusal,
    SignalChanged,
    SpreadAtMost,
    TimeReached,
    View,
    Watch,
)

ATR_CANDLE_SECONDS = 60


class EntryLimits(Protocol):
    """The parameters that every entry here obeys: cycles per symbol, seconds between entries, spread in pips."""

    @property
    def max_cycles(self) -> int: ...
    @property
    def entry_cooldown(self) -> float: ...
    @property
    def max_spread(self) -> float | None: ...


@dataclass(slots=True)
class Answer:
    """A decision in the making."""

    view: View
    actions: list[Action] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, code: str, detail: str, side: Side | None = None) -> None:
        """Say why something that might have been done was not."""
        self.refusals.append(Refusal(code, detail, side))

    def decision(self) -> Decision:
        """Return what was collected."""
        return Decision(tuple(self.actions), tuple(self.watches), tuple(self.refusals))

    def touched(self, touch: PriceTouch) -> bool:
        """Tell whether a price is touched now; else watch for it."""
        price = self.view.quote.bid if touch.field is PriceField.BID else self.view.quote.ask
        if price <= touch.level if touch.falling else price >= touch.level:
            return True
        self.watches.append(touch)
        return False


def opening_touch(side: Side, level: float, *, falling: bool, note: str) -> PriceTouch:
    """Watch the price that `side` would be opened at: buys at ask, sells at bid."""
    return PriceTouch(PriceField.ASK if side is Side.BUY else PriceField.BID, level, falling, note)


def closing_touch(side: Side, level: float, *, falling: bool, note: str) -> PriceTouch:
    """Watch the price that `side` would be closed at: buys at bid, sells at ask."""
    return opening_touch(side.opposite, level, falling=falling, note=note)


def opening_price(side: Side, view: View) -> float:
    """Return what a leg of `side` would be opened at now."""
    return view.quote.ask if side is Side.BUY else view.quote.bid


def closing_price(side: Side, view: View) -> float:
    """Return what a leg of `side` would be closed at now."""
    return view.quote.bid if side is Side.BUY else view.quote.ask


def average_entry(legs: tuple[Leg, ...]) -> float:
    """Return the volume-weighted entry price of open legs."""
    return sum(leg.price_open * leg.volume for leg in legs) / sum(leg.volume for leg in legs)


def fitting_volume(
    lots: float, side: Side, answer: Answer, *, change: str = "lot_size", moves: bool = False
) -> float | None:
    """Floor a volume to the symbol's step; refuse, naming the parameter to change, what the broker would not take.

    A volume that `moves` with the price may fit at any next one, so after a refusal every price has to be looked at.
    """
    spec = answer.view.spec
    volume = spec.volume(lots)
    if spec.volume_min <= volume <= spec.volume_max:
        return volume
    detail = f"{lots:g} lots: {spec.name} takes {spec.volume_min:g} to {spec.volume_max:g}; change {change}"
    answer.refuse("volume", detail, side)
    if moves:
        answer.watches.append(EveryTick())
    return None


def risk_lots(percent: float, distance: float, view: View) -> float:
    """Return the lots whose loss over `distance` (price units) is `percent` of the account's equity."""
    at_risk = distance * view.spec.value_per_price
    return view.equity * percent / 100 / at_risk if at_risk > 0 else 0.0


def finish(cycle: CycleView, answer: Answer) -> bool:
    """Go on closing a cycle that is closing; tell whether there is nothing else to do with this cycle."""
    if cycle.closing:
        if any(leg.order_id not in cycle.under_way for leg in cycle.legs):
            answer.actions.append(CloseCycle(cycle.id, "closing"))
        return True
    return not cycle.positions


def leaves_by_money(
    cycle: CycleView, answer: Answer, *, target: float | None = None, stop: float | None = None
) -> bool:
    """Close a cycle whose net reached `target` or fell to -`stop`; else watch for both. Account currency."""
    net = cycle.net(answer.view.quote, answer.view.spec)
    if target is not None:
        if net >= target:
            answer.actions.append(CloseCycle(cycle.id, "target"))
            return True
        answer.watches.append(NetReached(cycle.id, target, False, "target"))
    if stop is not None:
        if net <= -stop:
            answer.actions.append(CloseCycle(cycle.id, "stop_money"))
            return True
        answer.watches.append(NetReached(cycle.id, -stop, True, "money stop"))
    return False


def signal_side(name: str, answer: Answer) -> Side | None:
    """Return the side that an indication points to, and watch for its turn; refuse while it is silent."""
    answer.watches.append(SignalChanged(name, name.capitalize()))
    if name not in answer.view.signals:
        answer.refuse(name, "its history is still being loaded")
        return None
    sign = answer.view.signals[name]
    if sign == 0:
        answer.refuse(name, f"no {name.capitalize()} signal")
        return None
    return Side.BUY if sign > 0 else Side.SELL


def enter(
    side: Side,
    lots: float,
    limits: EntryLimits,
    answer: Answer,
    *,
    reason: str = "entry",
    sl: float = 0.0,
    tp: float = 0.0,
    memory: Mapping[str, Any] | None = None,
    near: Callable[[], bool] | None = None,
    change: str = "lot_size",
    lots_follow_equity: bool = False,
) -> bool:
    """Open a cycle when limits, cooldown, distance (`near`), spread, blocks and volume allow; else say why not."""
    if not _may_enter(side, limits, answer, near):
        return False
    volume = fitting_volume(lots, side, answer, change=change, moves=lots_follow_equity and bool(answer.view.cycles))
    if volume is None:
        return False
    spec = answer.view.spec
    stops = (spec.price(tp) if tp else 0.0, spec.price(sl) if sl else 0.0)
    answer.actions.append(OpenCycle(side, volume, reason, *stops, memory or {}))
    return True


def _may_enter(side: Side, limits: EntryLimits, answer: Answer, near: Callable[[], bool] | None) -> bool:
    view = answer.view
    opened = sum(isinstance(a, OpenCycle) for a in answer.actions)
    if len(view.cycles) + opened >= limits.max_cycles:
        answer.refuse("max_cycles", f"{len(view.cycles)} of {limits.max_cycles} cycles are open", side)
        return False
    if not _cooled_down(side, limits, answer, opened):
        return False
    if near is not None and not near():
        return False
    if limits.max_spread is not None and view.quote.spread > limits.max_spread * view.spec.pip:
        pips = view.quote.spread / view.spec.pip
        answer.refuse("spread", f"{pips:.1f} pips, at most {limits.max_spread:g}", side)
        answer.watches.append(SpreadAtMost(limits.max_spread * view.spec.pip, "spread"))
        return False
    if view.entries_blocked is not None:
        answer.refuse("blocked", view.entries_blocked, side)
        return False
    return True


def _cooled_down(side: Side, limits: EntryLimits, answer: Answer, opened: int) -> bool:
    view = answer.view
    if view.last_entry_at is not None:
        ready = view.last_entry_at + timedelta(seconds=limits.entry_cooldown)
        if view.now < ready:
            answer.refuse("cooldown", f"until {ready:%H:%M:%S} UTC", side)
            answer.watches.append(TimeReached(ready, "entry cooldown"))
            return False
    if opened and limits.entry_cooldown > 0:
        ready = view.now + timedelta(seconds=limits.entry_cooldown)
        answer.refuse("cooldown", "the other side enters now", side)
        answer.watches.append(TimeReached(ready, "entry cooldown"))
        return False
    return True
