"""CycleTrader: a grid of cycles for range-bound markets (strategies.md)."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from pydantic import model_validator

from brokers.domain import OrderKind, Side
from strategies.domain import (
    AddLeg,
    CandleClosed,
    CloseCycle,
    CycleView,
    Decision,
    Leg,
    NetFallsFromBest,
    View,
)
from strategies.params import StrategyParams, param
from strategies.registry import strategy
from strategies.toolkit import (
    ATR_CANDLE_SECONDS,
    Answer,
    enter,
    finish,
    fitting_volume,
    leaves_by_money,
    opening_price,
    opening_touch,
    signal_side,
)

HOW_LOTS_GROW = "lot_size, or how it grows"


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


@strategy(
    slug="cycle-trader",
    version=1,
    params=CycleTraderParams,
    title="Cycle trader (grid)",
    follows_signals=lambda params: params.direction == "signal",
)
def cycle_trader(view: View, params: CycleTraderParams) -> Decision:
    """Open the first leg when flat; add a leg every `distance` against us; close at the target.

    Another cycle of a side opens when its price is worse than the worst entry of the side's newest cycle by `distance`:
    above the highest entry for buys, below the lowest for sells. With trailing set, the best net decides the exit and
    the target only says where trailing starts.
    """
    answer = Answer(view)
    for cycle in view.cycles:
        if not finish(cycle, answer) and not _leaves(cycle, params, answer):
            _extend(cycle, params, answer)
    for side in _sides(params, answer):
        tp = _take_profit(side, opening_price(side, view), view, params)
        near = partial(_far_enough, side, params, answer)
        enter(side, params.lot_size, params, answer, tp=tp, near=near, change=HOW_LOTS_GROW)
    if params.distance_mode == "atr":
        answer.watches.append(CandleClosed(ATR_CANDLE_SECONDS, "the ATR moves"))
    return answer.decision()


def _leaves(cycle: CycleView, params: CycleTraderParams, answer: Answer) -> bool:
    """Close a cycle at target, trailing floor or money stop; else watch for them."""
    view = answer.view
    if params.trail_start is None or params.trail_lock is None:
        return leaves_by_money(cycle, answer, target=params.target_profit, stop=params.stop_loss_money)
    net = cycle.net(view.quote, view.spec)
    armed_at = params.trail_start * params.target_profit
    best = max(cycle.best_net if cycle.best_net is not None else net, net)
    if best >= armed_at and net < params.trail_lock * best:
        answer.actions.append(CloseCycle(cycle.id, "trail"))
        return True
    answer.watches.append(NetFallsFromBest(cycle.id, armed_at, params.trail_lock, "trailing"))
    return leaves_by_money(cycle, answer, stop=params.stop_loss_money)


def _extend(cycle: CycleView, params: CycleTraderParams, answer: Answer) -> None:
    """Add the next level, or watch for its price."""
    view = answer.view
    if cycle.opening or any(leg.pending for leg in cycle.legs):
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
    touch = opening_touch(cycle.side, price, falling=cycle.side is Side.BUY, note=f"level {level}")
    there = Answer(view).touched(touch) if params.pending else answer.touched(touch)
    if not there and not params.pending:
        return
    if view.entries_blocked is not None:
        answer.refuse("blocked", view.entries_blocked, cycle.side)
        return
    volume = fitting_volume(_lots(level, params), cycle.side, answer, change=HOW_LOTS_GROW)
    if volume is None:
        return
    kind = OrderKind.MARKET if there else OrderKind.LIMIT
    at = 0.0 if there else price
    tp = _take_profit(cycle.side, at or opening_price(cycle.side, view), view, params)
    answer.actions.append(AddLeg(cycle.id, level, cycle.side, volume, f"level {level}", kind, at, tp))


def level_price(newest: Leg, step: float, view: View) -> float:
    """Return the price of the next level: `step` against the newest leg's entry."""
    return view.spec.price(newest.price_open - newest.side.sign * step)


def _far_enough(side: Side, params: CycleTraderParams, answer: Answer) -> bool:
    """Tell whether the price is a distance beyond the worst entry of the side's newest cycle; else watch for it."""
    view = answer.view
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
    level = view.spec.price(worst + side.sign * step)
    return answer.touched(opening_touch(side, level, falling=side is Side.SELL, note="next cycle"))


def _sides(params: CycleTraderParams, answer: Answer) -> Iterator[Side]:
    if params.direction == "signal":
        side = signal_side("direction", answer)
        if side is not None:
            yield side
        return
    if params.direction in ("buy", "both"):
        yield Side.BUY
    if params.direction in ("sell", "both"):
        yield Side.SELL


def _distance(view: View, params: CycleTraderParams) -> float | None:
    """Return the grid's distance in price units."""
    if params.distance_mode == "fixed":
        return params.distance * view.spec.pip
    return params.atr_multiple * view.atr if view.atr else None


def _lots(level: int, params: CycleTraderParams) -> float:
    if params.lot_mode == "add":
        return params.lot_size * (1 + params.lot_factor * level)
    if params.lot_mode == "multiply":
        return float(params.lot_size * params.lot_factor**level)
    return params.lot_size


def _take_profit(side: Side, entry: float, view: View, params: CycleTraderParams) -> float:
    if params.take_profit is None:
        return 0.0
    return view.spec.price(entry + side.sign * params.take_profit * view.spec.pip)
