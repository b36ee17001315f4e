"""Breakout: go with a move out of the range around the last entry, hedge a failure once, and let the stop follow.

It uses all that a strategy may use: typed parameters with groups, units, ranges and a rule across fields; signals, the
ATR, memory, hedges, resting stops, harvests of single legs, refusals, and every kind of watch but EVERY_TICK.
"""

from datetime import timedelta
from typing import Literal

from pydantic import model_validator

from brokers.domain import Side
from strategies.domain import (
    AddLeg,
    CandleClosed,
    CloseCycle,
    CloseLeg,
    CycleView,
    Decision,
    LegsReach,
    NetFallsFromBest,
    TimeReached,
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
from strategies.trailing import follow


class BreakoutParams(StrategyParams):
    """Parameters of Breakout."""

    lot_size: float = param(0.02, group="Size", unit="lots", help="Volume of the first leg.", gt=0, le=100)
    side: Literal["signal", "buy", "sell"] = param("signal", group="Entry", help="Signal follows Move.")
    max_cycles: int = param(1, group="Entry", help="Largest number of open cycles.", ge=1, le=100)
    max_spread: float | None = param(3.0, group="Entry", unit="pips", help="Widest spread.", gt=0, le=1000)
    entry_cooldown: float = param(10.0, group="Entry", unit="seconds", help="Wait between cycles.", ge=0, le=86_400)
    hedge_atr: float = param(2.0, group="Hedge", unit="× ATR", help="Distance of the one hedge.", gt=0, le=100)
    trail_atr: float = param(1.0, group="Exit", unit="× ATR", help="Distance of the stop.", gt=0, le=100)
    target_profit: float = param(20.0, group="Exit", unit="account currency", help="Closes the cycle.", gt=0, le=1e6)
    max_hours: float = param(8.0, group="Exit", unit="hours", help="Closes an older cycle.", gt=0, le=240)

    @model_validator(mode="after")
    def _the_stop_comes_before_the_hedge(self) -> "BreakoutParams":
        if self.trail_atr >= self.hedge_atr:
            raise ValueError("trail_atr and hedge_atr: the hedge must be farther than the stop")
        return self


@strategy(slug="breakout", version=1, params=BreakoutParams, title="Breakout (sample)", cycle_kind="HEDGE")
def breakout(view: View, params: BreakoutParams) -> Decision:
    """Enter with Move, hedge once at a distance, close at the target, by the clock, or by a stop that follows."""
    answer = Answer(view)
    answer.watches.append(CandleClosed(ATR_CANDLE_SECONDS, "the ATR moves"))
    for cycle in view.cycles:
        if not finish(cycle, answer) and not leaves_by_money(cycle, answer, target=params.target_profit):
            _look_after(cycle, params, answer)
    side = signal_side("move", answer) if params.side == "signal" else Side(params.side)
    if side is not None and view.atr:
        hedge_at = opening_price(side, view) - side.sign * params.hedge_atr * view.atr
        enter(side, params.lot_size, params, answer, memory={"hedge_at": hedge_at})
    return answer.decision()


def _look_after(cycle: CycleView, params: BreakoutParams, answer: Answer) -> None:
    view = answer.view
    old = cycle.opened_at + timedelta(hours=params.max_hours)
    best = max(cycle.best_net or 0.0, cycle.net(view.quote, view.spec))
    armed = params.target_profit / 2
    if view.now >= old or (best >= armed and cycle.net(view.quote, view.spec) < 0.5 * best):
        answer.actions.append(CloseCycle(cycle.id, "old" if view.now >= old else "fell back"))
        return
    answer.watches.append(TimeReached(old, "too old"))
    answer.watches.append(NetFallsFromBest(cycle.id, armed, 0.5, "falls back"))
    if len(cycle.positions) > 1:
        _take_winner(cycle, answer)
    elif not cycle.opening:
        if view.atr:
            follow(
                cycle,
                answer,
                start=params.trail_atr * view.atr,
                distance=params.trail_atr * view.atr,
                step=view.spec.pip,
            )
        _hedge(cycle, answer)


def _hedge(cycle: CycleView, answer: Answer) -> None:
    side, at = cycle.side.opposite, cycle.memory.get("hedge_at")
    if at is None or cycle.last_level > 0 or any(leg.level > 0 for leg in cycle.positions):
        return
    touch = opening_touch(side, answer.view.spec.price(float(at)), falling=side is Side.SELL, note="hedge")
    if not answer.touched(touch):
        return
    if answer.view.entries_blocked is not None:
        answer.refuse("blocked", answer.view.entries_blocked, side)
        return
    volume = fitting_volume(cycle.positions[0].volume, side, answer)
    if volume is not None:
        answer.actions.append(AddLeg(cycle.id, 1, side, volume, "hedge", memory={"hedged": True}))


def _take_winner(cycle: CycleView, answer: Answer) -> None:
    """Close a leg that earned as much as the other lost."""
    view = answer.view
    for leg in cycle.positions:
        if leg.order_id in cycle.under_way:
            continue
        others = tuple((other.order_id, 1.0) for other in cycle.positions if other is not leg)
        total = cycle.net(view.quote, view.spec) - cycle.realized
        if total >= 0 and leg.net(view.quote, view.spec) > 0:
            answer.actions.append(CloseLeg(cycle.id, leg.order_id, leg.volume, "winner"))
            return
        answer.watches.append(LegsReach(cycle.id, ((leg.order_id, 1.0), *others), 0.0, "winner"))
