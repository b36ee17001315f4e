"""AdaptiveHedging: zone recovery with a zone that follows the market's range, for volatile markets (strategies.md).

The zone of a buy at P reaches from P down to P less its width. Each time the price comes to the other edge, the other
side is opened, with the volume that brings the whole cycle to its target once the price has run the exit distance
beyond that edge. The cycle's memory keeps `zone`, `exit` and `anchor` (P), in price units.
"""

from typing import Literal

from pydantic import model_validator

from brokers.domain import Quote, Side
from strategies.domain import (
    AddLeg,
    CandleClosed,
    CloseCycle,
    CloseLeg,
    CycleView,
    Decision,
    Leg,
    LegsReach,
    PriceTouch,
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
    opening_touch,
    signal_side,
)


class AdaptiveHedgingParams(StrategyParams):
    """Parameters of AdaptiveHedging, with the defaults of strategies.md."""

    lot_size: float = param(0.01, group="Size", unit="lots", help="Volume of a cycle's first leg.", gt=0, le=1000)
    max_volume: float = param(2.0, group="Size", unit="lots", help="Largest volume of one hedge.", gt=0, le=1000)
    zone_atr: float = param(
        1.5, group="Zone", unit="× ATR", help="Distance of the zone's edges, as a multiple of the ATR.", gt=0, le=100
    )
    min_zone: float = param(20.0, group="Zone", unit="pips", help="The zone is never narrower.", gt=0, le=100_000)
    exit_atr: float = param(
        2.0, group="Zone", unit="× ATR", help="How far beyond an edge a hedge reaches the target.", gt=0, le=100
    )
    max_hedge_levels: int = param(6, group="Zone", help="Largest number of hedges of a cycle.", ge=1, le=50)
    harvest_ratio: float = param(
        0.5,
        group="Exit",
        help="A leg that earned 2 × this share of the worst leg's loss is closed, and this share of its profit reduces "
        "the worst leg. 0: no harvest.",
        ge=0,
        le=1,
    )
    target_profit: float = param(
        100.0, group="Exit", unit="account currency", help="Net profit that closes the cycle.", gt=0, le=1e9
    )
    stop_loss_money: float | None = param(
        None, group="Exit", unit="account currency", help="Net loss that closes the cycle.", gt=0, le=1e9
    )
    direction: Literal["signal", "buy", "sell"] = param(
        "signal", group="Entry", help="Side of the first leg; signal follows the Direction indication."
    )
    max_cycles: int = param(3, group="Entry", help="Largest number of open cycles per symbol.", ge=1, le=1000)
    max_spread: float | None = param(
        None, group="Entry", unit="pips", help="No new cycle while the spread is wider.", gt=0, le=100_000
    )
    entry_cooldown: float = param(
        20.0, group="Entry", unit="seconds", help="Wait between two new cycles.", ge=0, le=86_400
    )

    @model_validator(mode="after")
    def _hedges_can_be_as_large_as_the_first_leg(self) -> "AdaptiveHedgingParams":
        if self.max_volume < self.lot_size:
            raise ValueError("max_volume and lot_size: a hedge must be allowed to be as large as the first leg")
        return self


@strategy(
    slug="adaptive-hedging",
    follows_signals=lambda params: params.direction == "signal",
    version=1,
    params=AdaptiveHedgingParams,
    title="Adaptive hedging (zone)",
    cycle_kind="HEDGE",
)
def adaptive_hedging(view: View, params: AdaptiveHedgingParams) -> Decision:
    """Open a leg, hedge it at the edge of a zone with the volume that reaches the target, and harvest winners.

    Zone and exit distance follow the average true range when a hedge is opened, and never get narrower. After the last
    level the cycle is closed when the price runs the exit distance against the newest hedge.
    """
    answer = Answer(view)
    for cycle in view.cycles:
        if finish(cycle, answer) or leaves_by_money(
            cycle, answer, target=params.target_profit, stop=params.stop_loss_money
        ):
            continue
        if not _harvest(cycle, params, answer):
            _hedge(cycle, params, answer)
    side = signal_side("direction", answer) if params.direction == "signal" else Side(params.direction)
    zone = _zone(view, params)
    answer.watches.append(CandleClosed(ATR_CANDLE_SECONDS, "the ATR moves"))
    if side is None:
        return answer.decision()
    if zone is None:
        answer.refuse("atr", "too few closed candles for the ATR", side)
        return answer.decision()
    enter(side, params.lot_size, params, answer, memory={"zone": zone[0], "exit": zone[1]})
    return answer.decision()


def _zone(view: View, params: AdaptiveHedgingParams) -> tuple[float, float] | None:
    """Return zone and exit distance by the ATR of now, in price units."""
    if not view.atr:
        return None
    return max(params.min_zone * view.spec.pip, params.zone_atr * view.atr), params.exit_atr * view.atr


def kept_zone(cycle: CycleView, view: View, params: AdaptiveHedgingParams) -> tuple[float, float]:
    """Return a cycle's zone and exit distance; an adopted cycle that remembers none gets the narrowest."""
    least = params.min_zone * view.spec.pip
    return float(cycle.memory.get("zone", least)), float(cycle.memory.get("exit", least))


def hedge_side(cycle: CycleView, level: int) -> Side:
    """Return the side of a level: odd ones are opposite to the first leg."""
    return cycle.side.opposite if level % 2 else cycle.side


def edge(cycle: CycleView, level: int, zone: float, view: View) -> PriceTouch:
    """Return the edge that opens a level: the far edge for odd levels, back over the first entry for even ones."""
    side = hedge_side(cycle, level)
    price = _anchor(cycle) - (cycle.side.sign * zone if level % 2 else 0.0)
    return opening_touch(side, view.spec.price(price), falling=side is Side.SELL, note=f"hedge level {level}")


def _anchor(cycle: CycleView) -> float:
    """Return the first leg's entry; the memory keeps it for when that leg was harvested."""
    first = min(cycle.positions, key=lambda leg: (leg.level, leg.opened_at))
    return float(cycle.memory.get("anchor", first.price_open))


def _hedge(cycle: CycleView, params: AdaptiveHedgingParams, answer: Answer) -> None:
    """Open the next hedge, or watch for its edge; after the last one, watch for the end of the cycle."""
    view = answer.view
    if cycle.opening:
        return
    level = max(cycle.last_level, *(leg.level for leg in cycle.positions)) + 1
    zone, beyond = kept_zone(cycle, view, params)
    touch = edge(cycle, level, zone, view)
    if level > params.max_hedge_levels:
        sign = hedge_side(cycle, level).sign
        last = opening_touch(
            hedge_side(cycle, level),
            view.spec.price(touch.level + sign * beyond),
            falling=touch.falling,
            note="the end",
        )
        answer.refuse("max_levels", f"cycle has {level - 1} of {params.max_hedge_levels} hedges", cycle.side)
        if answer.touched(last):
            answer.actions.append(CloseCycle(cycle.id, "last_level"))
        return
    if not answer.touched(touch):
        return
    side = hedge_side(cycle, level)
    if view.entries_blocked is not None:
        answer.refuse("blocked", view.entries_blocked, side)
        return
    now = _zone(view, params) or (zone, beyond)
    zone, beyond = max(zone, now[0]), max(beyond, now[1])
    lots = hedge_volume(cycle, side, beyond, params.target_profit, view)
    lots = min(lots, params.max_volume)
    volume = fitting_volume(lots, side, answer, change="lot_size, target_profit or exit_atr", moves=True)
    if volume is not None:
        memory = {"zone": zone, "exit": beyond, "anchor": _anchor(cycle)}
        answer.actions.append(AddLeg(cycle.id, level, side, volume, f"hedge level {level}", memory=memory))


def hedge_volume(cycle: CycleView, side: Side, beyond: float, target: float, view: View) -> float:
    """Return the lots of `side` with which the cycle nets `target` when the price is `beyond` past the opening price.

    V = (target - net of the existing legs there + costs) / (X × value per price): costs are the commissions still to
    come, at the rate of the existing legs: closing those, and opening and closing the new one.
    """
    move = side.sign * beyond
    there = Quote(view.quote.symbol, view.quote.bid + move, view.quote.ask + move, view.quote.at)
    # The new leg opens at today's opening price and has to pay the spread on its way
    earned_per_lot = (beyond - view.quote.spread) * view.spec.value_per_price
    per_lot = max((-leg.commission / leg.volume for leg in cycle.positions), default=0.0)
    existing = sum(leg.volume for leg in cycle.positions)
    earned_per_lot -= 2 * max(0.0, per_lot)
    if earned_per_lot <= 0:
        return view.spec.volume_max
    return max(0.0, (target - cycle.net(there, view.spec) + max(0.0, per_lot) * existing) / earned_per_lot)


def _harvest(cycle: CycleView, params: AdaptiveHedgingParams, answer: Answer) -> bool:
    """Close a leg that earned enough and let it pay for a part of the worst one; else watch each winner."""
    if params.harvest_ratio <= 0 or len(cycle.positions) < 2 or cycle.under_way:
        return bool(cycle.under_way)
    view = answer.view
    nets = {leg.order_id: leg.net(view.quote, view.spec) for leg in cycle.positions}
    worst = min(cycle.positions, key=lambda leg: (nets[leg.order_id], leg.order_id))
    weight = 2 * params.harvest_ratio
    for leg in cycle.positions:
        if leg is worst:
            continue
        if nets[worst.order_id] < 0 and nets[leg.order_id] >= -weight * nets[worst.order_id]:
            answer.actions.append(CloseLeg(cycle.id, leg.order_id, leg.volume, "harvest"))
            part = affordable_part(worst, nets[worst.order_id], params.harvest_ratio * nets[leg.order_id], view)
            if part > 0:
                answer.actions.append(CloseLeg(cycle.id, worst.order_id, part, "harvested for"))
            return True
        pair = ((leg.order_id, 1.0), (worst.order_id, weight))
        answer.watches.append(LegsReach(cycle.id, pair, 0.0, f"harvest level {leg.level}"))
    return False


def affordable_part(leg: Leg, net: float, money: float, view: View) -> float:
    """Return how many lots of a losing leg `money` pays for: the whole leg, or a part that leaves the minimum open."""
    lots = view.spec.volume(leg.volume * money / -net) if net < 0 else 0.0
    if lots >= leg.volume:
        return leg.volume
    lots = min(lots, view.spec.volume(leg.volume - view.spec.volume_min))
    return lots if lots >= view.spec.volume_min else 0.0
