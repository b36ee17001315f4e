"""SignalTrader: trades the best sets of pseudo positions for real, and manages each trade in one of three ways."""

from typing import Literal

from pydantic import model_validator

from brokers.domain import Side
from strategies.domain import AddLeg, ChangeLeg, CloseCycle, CycleView, Decision, Leg, Setup, SetupsChanged, View
from strategies.params import StrategyParams, param
from strategies.registry import strategy
from strategies.toolkit import (
    Answer,
    average_entry,
    closing_touch,
    enter,
    finish,
    fitting_volume,
    leaves_by_money,
    opening_price,
    opening_touch,
    risk_lots,
)
from strategies.trailing import better, follow, move_stop


class SignalTraderParams(StrategyParams):
    """Parameters of SignalTrader."""

    sizing: Literal["risk", "fixed"] = param(
        "risk", group="Size", help="Volume by the equity at risk to the stop, or the same lots each time."
    )
    risk_percent: float = param(
        0.5, group="Size", unit="% of equity", help="Lost when the first stop is hit.", gt=0, le=10
    )
    lot_size: float = param(0.01, group="Size", unit="lots", help="Volume when the sizing is fixed.", gt=0, le=1000)
    indication: Literal["any", "direction", "move", "active", "optimal"] = param(
        "any", group="Entry", help="Follow the sets of one indication only."
    )
    min_profit_factor: float = param(
        1.2, group="Entry", help="Least profit factor of a set, over its last 50 pseudo positions.", ge=0, le=100
    )
    min_trades: int = param(20, group="Entry", help="Least pseudo positions of a set.", ge=1, le=50)
    max_cycles: int = param(2, group="Entry", help="Largest number of open cycles per symbol.", ge=1, le=1000)
    max_spread: float | None = param(
        3.0, group="Entry", unit="pips", help="No new cycle while the spread is wider.", gt=0, le=100_000
    )
    entry_cooldown: float = param(
        20.0, group="Entry", unit="seconds", help="Wait between two new cycles.", ge=0, le=86_400
    )
    manager: Literal["set", "trailing", "block", "dca"] = param(
        "set", group="Management", help="As the set did it, a trailing stop, pyramiding, or averaging."
    )
    stop_loss_money: float | None = param(
        None, group="Management", unit="account currency", help="Net loss that closes the cycle.", gt=0, le=1e9
    )
    trail_start: float = param(
        10.0, group="Trailing", unit="pips", help="Profit from which the stop follows.", ge=0, le=100_000
    )
    trail_distance: float = param(
        8.0, group="Trailing", unit="pips", help="Distance of the following stop.", gt=0, le=100_000
    )
    trail_step: float = param(1.0, group="Trailing", unit="pips", help="The stop moves in such steps.", gt=0, le=10_000)
    block_distance: float = param(
        10.0, group="Block", unit="pips", help="Profit from block to block.", gt=0, le=100_000
    )
    max_blocks: int = param(3, group="Block", help="Largest number of blocks, the first included.", ge=1, le=50)
    dca_distance: float = param(10.0, group="DCA", unit="pips", help="Loss from leg to leg.", gt=0, le=100_000)
    dca_factor: float = param(1.5, group="DCA", help="Each leg is this many times the one before.", ge=0.1, le=10)
    max_dca: int = param(3, group="DCA", help="Largest number of added legs.", ge=1, le=50)
    dca_take_profit: float = param(
        10.0, group="DCA", unit="pips", help="Take profit from the volume-weighted entry.", gt=0, le=100_000
    )

    @model_validator(mode="after")
    def _the_parts_fit(self) -> "SignalTraderParams":
        if self.manager == "trailing" and self.trail_step > self.trail_distance:
            raise ValueError(
                "trail_step and trail_distance: the stop could not follow in steps larger than its distance"
            )
        if self.manager == "dca" and self.stop_loss_money is None:
            raise ValueError("stop_loss_money and manager: averaging needs a money stop, its legs have no other")
        return self


@strategy(slug="signal-trader", version=1, params=SignalTraderParams, title="Signal trader")
def signal_trader(view: View, params: SignalTraderParams) -> Decision:
    """Open a cycle for each of the best sets whose results pass the limits and whose signal is valid now.

    Managed as the set did it, by a trailing stop, by blocks that pyramid, or by legs that average.
    """
    answer = Answer(view)
    for cycle in view.cycles:
        if not finish(cycle, answer) and not leaves_by_money(cycle, answer, stop=params.stop_loss_money):
            _manage(cycle, params, answer)
    answer.watches.append(SetupsChanged())
    _enter(params, answer)
    return answer.decision()


def _enter(params: SignalTraderParams, answer: Answer) -> None:
    """Open the best set that is not open yet; one entry a decision, each sized by the equity of its moment."""
    view = answer.view
    held = {cycle.memory.get("set") for cycle in view.cycles}
    worth = [
        setup
        for setup in view.setups
        if setup.key not in held
        and params.indication in ("any", setup.indication)
        and setup.trades >= params.min_trades
        and setup.profit_factor >= params.min_profit_factor
    ]
    if not worth:
        answer.refuse("setups", f"none of {len(view.setups)} sets with a valid signal is worth another trade")
        return
    best = worth[0]
    price = opening_price(best.side, view)
    averages = params.manager == "dca"
    stop = 0.0 if averages else price - best.side.sign * best.stop_loss
    enter(
        best.side,
        _lots(best, params, view),
        params,
        answer,
        reason=f"set {best.key}"[:60],
        sl=stop,
        tp=_first_target(best, price, params, view),
        memory={"set": best.key, "follow": 0.5 * best.take_profit if best.trailing else 0.0},
        change="risk_percent or lot_size",
        lots_follow_equity=params.sizing != "fixed",
    )


def _lots(setup: Setup, params: SignalTraderParams, view: View) -> float:
    if params.sizing == "fixed":
        return params.lot_size
    return risk_lots(params.risk_percent, setup.stop_loss, view)


def _first_target(setup: Setup, price: float, params: SignalTraderParams, view: View) -> float:
    match params.manager:
        case "set":
            return price + setup.side.sign * setup.take_profit
        case "dca":
            return price + setup.side.sign * params.dca_take_profit * view.spec.pip
        case _:
            return 0.0


def _manage(cycle: CycleView, params: SignalTraderParams, answer: Answer) -> None:
    pip = answer.view.spec.pip
    match params.manager:
        case "set":
            distance = float(cycle.memory.get("follow", 0.0))
            if distance > 0:
                follow(cycle, answer, start=distance, distance=distance, step=pip)
        case "trailing":
            follow(
                cycle,
                answer,
                start=params.trail_start * pip,
                distance=params.trail_distance * pip,
                step=params.trail_step * pip,
            )
        case "block":
            _block(cycle, params, answer)
        case "dca":
            _average(cycle, params, answer)


def _block(cycle: CycleView, params: SignalTraderParams, answer: Answer) -> None:
    """Add a block each `block_distance` in profit; from the second on, the common stop is the volume-weighted entry."""
    if cycle.opening:
        return
    newest = _newest(cycle)
    common = answer.view.spec.price(average_entry(cycle.positions))
    if len(cycle.positions) > 1:
        for leg in cycle.positions:
            if leg.order_id not in cycle.under_way and better(leg, common, answer.view):
                move_stop(cycle, leg, common, answer, "block")
    if newest.level + 1 >= params.max_blocks:
        answer.refuse("max_blocks", f"cycle has {newest.level + 1} of {params.max_blocks} blocks", cycle.side)
        return
    level = newest.price_open + cycle.side.sign * params.block_distance * answer.view.spec.pip
    touch = opening_touch(
        cycle.side, answer.view.spec.price(level), falling=cycle.side is Side.SELL, note=f"block {newest.level + 1}"
    )
    first = min(cycle.positions, key=lambda leg: (leg.level, leg.opened_at))
    if answer.touched(touch):
        _add(cycle, newest.level + 1, first.volume, "block", answer)


def _average(cycle: CycleView, params: SignalTraderParams, answer: Answer) -> None:
    """Add a larger leg each `dca_distance` in loss, and set every take profit from the volume-weighted entry."""
    if cycle.opening:
        return
    spec = answer.view.spec
    common = spec.price(average_entry(cycle.positions) + cycle.side.sign * params.dca_take_profit * spec.pip)
    astray = [leg for leg in cycle.positions if abs(leg.tp - common) > spec.point / 2]
    if astray and answer.touched(
        closing_touch(cycle.side, common, falling=cycle.side is Side.SELL, note="the average target")
    ):
        answer.actions.append(CloseCycle(cycle.id, "average_target"))
        return
    for leg in astray:
        if leg.order_id not in cycle.under_way:
            _move_target(cycle, leg, common, answer)
    newest = _newest(cycle)
    if newest.level >= params.max_dca:
        answer.refuse("max_dca", f"cycle has {newest.level} of {params.max_dca} added legs", cycle.side)
        return
    level = newest.price_open - cycle.side.sign * params.dca_distance * spec.pip
    touch = opening_touch(
        cycle.side, spec.price(level), falling=cycle.side is Side.BUY, note=f"average {newest.level + 1}"
    )
    if answer.touched(touch):
        _add(cycle, newest.level + 1, newest.volume * params.dca_factor, "average", answer)


def _move_target(cycle: CycleView, leg: Leg, target: float, answer: Answer) -> None:
    """Set a leg's take profit; while the price is beyond it, or too near for the broker, watch for more room."""
    spec = answer.view.spec
    least = (spec.stops_level_points + 1) * spec.point
    room = closing_touch(
        leg.side, target - leg.side.sign * least, falling=leg.side is Side.BUY, note="room for a take profit"
    )
    if answer.touched(room):
        answer.actions.append(ChangeLeg(cycle.id, leg.order_id, leg.sl, target, "average"))


def _add(cycle: CycleView, level: int, lots: float, why: str, answer: Answer) -> None:
    if answer.view.entries_blocked is not None:
        answer.refuse("blocked", answer.view.entries_blocked, cycle.side)
        return
    volume = fitting_volume(lots, cycle.side, answer, change="lot_size, risk_percent or dca_factor")
    if volume is not None:
        newest = _newest(cycle)
        answer.actions.append(AddLeg(cycle.id, level, cycle.side, volume, f"{why} {level}", sl=newest.sl, tp=newest.tp))


def _newest(cycle: CycleView) -> Leg:
    return max(cycle.positions, key=lambda leg: (leg.level, leg.opened_at))
