"""Scalping: take a few pips of a burst, and leave by the clock when they do not come."""

from datetime import timedelta

from pydantic import model_validator

from strategies.domain import CloseCycle, Decision, TimeReached, View
from strategies.params import StrategyParams, param
from strategies.registry import strategy
from strategies.toolkit import Answer, enter, finish, opening_price, signal_side


class ScalpingParams(StrategyParams):
    """Parameters of Scalping."""

    lot_size: float = param(0.01, group="Size", unit="lots", help="Volume of a trade.", gt=0, le=1000)
    take_profit: float = param(8.0, group="Exit", unit="pips", help="Take profit at the broker.", gt=0, le=100_000)
    stop_loss: float = param(6.0, group="Exit", unit="pips", help="Stop loss at the broker.", gt=0, le=100_000)
    max_hold: float = param(120.0, group="Exit", unit="seconds", help="Close what is open longer.", ge=1, le=86_400)
    max_cycles: int = param(1, group="Entry", help="Largest number of open trades per symbol.", ge=1, le=1000)
    max_spread: float | None = param(
        1.5, group="Entry", unit="pips", help="No trade while the spread is wider.", gt=0, le=100_000
    )
    entry_cooldown: float = param(30.0, group="Entry", unit="seconds", help="Wait between two trades.", ge=0, le=86_400)

    @model_validator(mode="after")
    def _the_spread_leaves_something(self) -> "ScalpingParams":
        if self.max_spread is not None and self.max_spread >= self.take_profit:
            raise ValueError("max_spread and take_profit: the spread would eat the whole profit")
        return self


@strategy(slug="scalping", version=1, params=ScalpingParams, title="Scalping")
def scalping(view: View, params: ScalpingParams) -> Decision:
    """Trade with the Active indication, with stops at the broker; close what is still open after `max_hold` seconds."""
    answer = Answer(view)
    for cycle in view.cycles:
        if finish(cycle, answer):
            continue
        due = cycle.opened_at + timedelta(seconds=params.max_hold)
        if view.now >= due:
            answer.actions.append(CloseCycle(cycle.id, "max_hold"))
        else:
            answer.watches.append(TimeReached(due, "longest hold"))
    side = signal_side("active", answer)
    if side is not None:
        price, pip = opening_price(side, view), view.spec.pip * side.sign
        enter(
            side,
            params.lot_size,
            params,
            answer,
            sl=price - params.stop_loss * pip,
            tp=price + params.take_profit * pip,
        )
    return answer.decision()
