"""CycleTrader: a grid of cycles for range-bound markets (strategies.md)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from pydantic import model_validator

from brokers.domain import OrderKind, Side
from strategies.domain import (
    Action,
    AddLeg,
    CandleClosed,
    CloseCycle,
    CycleView,
    Decision,
    Leg,
    NetFallsFromBest,
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
from strategies.params import StrategyParams, param
from strategies.registry import strategy

CANDLE_SECONDS = 60


class CycleTraderParams(StrategyParams):
    """Parameters of CycleTrader, with the defaults of strategies.md."""

    lot_size: float = param(0.01, group="Size", unit="lots", help="Volume of a cycle's first order.", gt=0, le=1000)
    lot_mode: Literal["fixed", "add", "multiply"] = param(
        "fixed", group="Size", help="How volume grows: same, lot × (1 + factor × level), or lot × factor ^ level."
    )
    lot_factor: float = param(1.5, group="Size", help="Factor of the growing lot modes.", gt=0, le=10)
    distance: float = param(50.0, group="Grid", unit="pips", help="Distance between levels.", gt=0, le=100_000)
    distance_mode: Literal["fixed", "atr"] = param(
        "fixed", group="Grid", help="Fixed pips, or a multiple of the average true range of 14 closed M1 candles."
    )
    atr_multiple: float = param(1.0, group="Grid", help="Multiple of the ATR in ATR mode.", gt=0, le=100)
    distance_growth: float = param(
        1.0, group="Grid", help="Each further level is this many times as far as the one before.", ge=0.1, le=10
    )
    max_levels: int = param(8, group="Grid", help="Largest number of legs of a cycle.", ge=1, le=100)
    pending: bool = param(False, group="Grid", help="Place the next level as a limit order instead of watching for it.")
    target_profit: float = param(
        100.0, group="Exit", unit="account currency", help="Net profit that closes the cycle.", gt=0, le=1e9
    )
    take_profit: float | None = param(
        None, group="Exit", unit="pips", help="A leg's own take profit.", gt=0, le=100_000
    )
    stop_loss_money: float | None = param(
        None, group="Exit", unit="account currency", help="Net loss that closes the cycle.", gt=0, le=1e9
    )
    trail_start: float | None = param(
        None, group="Exit", unit="× target", help="Trailing starts at this share of the target.", gt=0, le=100
    )
    trail_lock: float | None = param(
        None,
        group="Exit",
        unit="× best",
        help="Trailing closes when net falls below this share of its best.",
        gt=0,
        le=1,
    )
    direction: Literal["buy", "sell", "both", "signal"] = param(
        "both", group="Entry", help="Sides to trade; signal follows the Direction indication."
    )
    max_cycles: int = param(5, group="Entry", help="Largest number of open cycles per symbol.", ge=1, le=1000)
    max_spread: float | None = param(
        None, group="Entry", unit="pips", help="No new cycle while the spread is wider.", gt=0, le=100_000
    )
    entry_cooldown: float = param(
        20.0, group="Entry", unit="seconds", help="Wait between two new cycles.", ge=0, le=86_400
    )

    @model_validator(mode="after")
    def _trailing_is_whole(self) -> "CycleTraderParams":
        if (self.trail_start is None) != (self.trail_lock is None):
            raise ValueError("trail_start and trail_lock: set both, or neither")
        return self


@dataclass(slots=True)
class _Answer:
    actions: list[Action] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, code: str, detail: str, side: Side | None = None) -> None:
        self.refusals.append(Refusal(code, detail, side))


@strategy(slug="cycle-trader", version=1, params=CycleTraderParams, title="Cycle trader (grid)")
def cycle_trader(view: View, params: CycleTraderParams) -> Decision:
    """Open the first leg when flat; add a leg every `distance` against us; close at the target.

    Another cycle of a side opens when its price is worse than the worst entry of the side's newest cycle by `distance`:
    above the highest entry for buys, below the lowest for sells. With trailing set, the best net decides the exit and
    the target only says where trailing starts.
    """
    answer = _Answer()
    for cycle in view.cycles:
        _manage(cycle, view, params, answer)
    for side in _sides(view, params, answer):
        _enter(side, view, params, answer)
    if params.distance_mode == "atr":
        answer.watches.append(CandleClosed(CANDLE_SECONDS, "the ATR moves"))
    return Decision(tuple(answer.actions), tuple(answer.watches), tuple(answer.refusals))


def _manage(cycle: CycleView, view: View, params: CycleTraderParams, answer: _Answer) -> None:
    """Close a cycle that is due; finish one that is closing; else add its next level."""
    if cycle.closing:
        closing = {f.order_id for f in cycle.in_flight if f.kind in ("close", "cancel")}
        if any(leg.order_id not in closing for leg in cycle.legs):
            answer.actions.append(CloseCycle(cycle.id, "closing"))
        return
    if not cycle.positions:
        return
    why = _exit(cycle, view, params, answer)
    if why is not None:
        answer.actions.append(CloseCycle(cycle.id, why))
        return
    _extend(cycle, view, params, answer)


def _exit(cycle: CycleView, view: View, params: CycleTraderParams, answer: _Answer) -> str | None:
    """Return why the cycle has to close now, or watch for it."""
    net = cycle.net(view.quote, view.spec)
    if params.trail_start is not None and params.trail_lock is not None:
        armed_at = params.trail_start * params.target_profit
        best = max(cycle.best_net if cycle.best_net is not None else net, net)
        if best >= armed_at and net < params.trail_lock * best:
            return "trail"
        answer.watches.append(NetFallsFromBest(cycle.id, armed_at, params.trail_lock, "trailing"))
    elif net >= params.target_profit:
        return "target"
    else:
        answer.watches.append(NetReached(cycle.id, params.target_profit, False, "target"))
    if params.stop_loss_money is not None:
        if net <= -params.stop_loss_money:
            return "stop_money"
        answer.watches.append(NetReached(cycle.id, -params.stop_loss_money, True, "money stop"))
    return None


def _extend(cycle: CycleView, view: View, params: CycleTraderParams, answer: _Answer) -> None:
    """Add the next level, or watch for its price."""
    if any(f.kind in ("open", "place") for f in cycle.in_flight) or any(leg.pending for leg in cycle.legs):
        return
    newest = max(cycle.positions, key=lambda leg: (leg.level, leg.opened_at))
    level = newest.level + 1
    if level >= params.max_levels:
        answer.refuse("max_levels", f"cycle has {level} of {params.max_levels} levels", cycle.side)
        return
    step = _distance(view, params)
    if step is None:
        answer.refuse("atr", "too few closed candles for the ATR", cycle.side)
        return
    price = level_price(newest, step * params.distance_growth ** (level - 1), view)
    touch = _touch(cycle.side, price, against=True, note=f"level {level}")
    if not params.pending and not _touched(touch, view):
        answer.watches.append(touch)
        return
    if view.entries_blocked is not None:
        answer.refuse("blocked", view.entries_blocked, cycle.side)
        return
    volume = _volume(level, cycle.side, view, params, answer)
    if volume is None:
        return
    kind = OrderKind.LIMIT if params.pending and not _touched(touch, view) else OrderKind.MARKET
    at = price if kind is OrderKind.LIMIT else 0.0
    tp = _take_profit(cycle.side, at or _entry_price(cycle.side, view), view, params)
    answer.actions.append(AddLeg(cycle.id, level, cycle.side, volume, f"level {level}", kind, at, tp))


def level_price(newest: Leg, step: float, view: View) -> float:
    """Return the price of the next level: `step` against the newest leg's entry."""
    return view.spec.price(newest.price_open - newest.side.sign * step)


def _enter(side: Side, view: View, params: CycleTraderParams, answer: _Answer) -> None:
    """Open a cycle of one side, or watch for the first condition that is missing."""
    opened = sum(isinstance(a, OpenCycle) for a in answer.actions)
    if len(view.cycles) + opened >= params.max_cycles:
        answer.refuse("max_cycles", f"{len(view.cycles)} of {params.max_cycles} cycles are open", side)
        return
    if view.last_entry_at is not None:
        ready = view.last_entry_at + timedelta(seconds=params.entry_cooldown)
        if view.now < ready:
            answer.refuse("cooldown", f"until {ready:%H:%M:%S} UTC", side)
            answer.watches.append(TimeReached(ready, "entry cooldown"))
            return
    if opened and params.entry_cooldown > 0:
        ready = view.now + timedelta(seconds=params.entry_cooldown)
        answer.refuse("cooldown", "the other side enters now", side)
        answer.watches.append(TimeReached(ready, "entry cooldown"))
        return
    if not _far_enough(side, view, params, answer):
        return
    if params.max_spread is not None and view.quote.spread > params.max_spread * view.spec.pip:
        pips = view.quote.spread / view.spec.pip
        answer.refuse("spread", f"{pips:.1f} pips, at most {params.max_spread:g}", side)
        answer.watches.append(SpreadAtMost(params.max_spread * view.spec.pip, "spread"))
        return
    if view.entries_blocked is not None:
        answer.refuse("blocked", view.entries_blocked, side)
        return
    volume = _volume(0, side, view, params, answer)
    if volume is not None:
        tp = _take_profit(side, _entry_price(side, view), view, params)
        answer.actions.append(OpenCycle(side, volume, "entry", tp=tp))


def _far_enough(side: Side, view: View, params: CycleTraderParams, answer: _Answer) -> bool:
    """Tell whether the price is a distance beyond the worst entry of the side's newest cycle; else watch for it."""
    own = [c for c in view.cycles if c.side is side]
    if not own:
        return True
    entries = [leg.price_open for leg in own[-1].positions]
    if not entries:
        answer.refuse("in_flight", "the newest cycle has no leg yet", side)
        return False
    step = _distance(view, params)
    if step is None:
        answer.refuse("atr", "too few closed candles for the ATR", side)
        return False
    worst = max(entries) if side is Side.BUY else min(entries)
    touch = _touch(side, view.spec.price(worst + side.sign * step), against=False, note="next cycle")
    if _touched(touch, view):
        return True
    answer.watches.append(touch)
    return False


def _sides(view: View, params: CycleTraderParams, answer: _Answer) -> Iterator[Side]:
    if params.direction == "signal":
        answer.watches.append(SignalChanged("direction", "Direction"))
        sign = view.signals.get("direction", 0.0)
        if sign == 0:
            answer.refuse("direction", "no Direction signal")
            return
        yield Side.BUY if sign > 0 else Side.SELL
        return
    if params.direction in ("buy", "both"):
        yield Side.BUY
    if params.direction in ("sell", "both"):
        yield Side.SELL


def _touch(side: Side, level: float, *, against: bool, note: str) -> PriceTouch:
    """Watch the price that `side` would be opened at: buys at ask, sells at bid."""
    falling = (side is Side.BUY) == against
    return PriceTouch(PriceField.ASK if side is Side.BUY else PriceField.BID, level, falling, note)


def _touched(touch: PriceTouch, view: View) -> bool:
    price = view.quote.bid if touch.field is PriceField.BID else view.quote.ask
    return price <= touch.level if touch.falling else price >= touch.level


def _entry_price(side: Side, view: View) -> float:
    return view.quote.ask if side is Side.BUY else view.quote.bid


def _distance(view: View, params: CycleTraderParams) -> float | None:
    """Return the grid's distance in price units."""
    if params.distance_mode == "fixed":
        return params.distance * view.spec.pip
    return params.atr_multiple * view.atr if view.atr else None


def _volume(level: int, side: Side, view: View, params: CycleTraderParams, answer: _Answer) -> float | None:
    """Return a level's volume, floored to the symbol's step; refuse what the broker would not take."""
    lots = params.lot_size
    if params.lot_mode == "add":
        lots *= 1 + params.lot_factor * level
    elif params.lot_mode == "multiply":
        lots *= params.lot_factor**level
    volume = view.spec.volume(lots)
    if volume < view.spec.volume_min or volume > view.spec.volume_max:
        answer.refuse(
            "volume",
            f"{lots:g} lots: {view.spec.name} takes {view.spec.volume_min:g} to {view.spec.volume_max:g}; "
            "change lot_size, or how it grows",
            side,
        )
        return None
    return volume


def _take_profit(side: Side, entry: float, view: View, params: CycleTraderParams) -> float:
    if params.take_profit is None:
        return 0.0
    return view.spec.price(entry + side.sign * params.take_profit * view.spec.pip)
