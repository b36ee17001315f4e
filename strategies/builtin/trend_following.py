"""TrendFollowing: go with a run, and let a stop follow at a distance of the market's range."""

from strategies.domain import CandleClosed, CloseCycle, Decision, View
from strategies.params import StrategyParams, param
from strategies.registry import strategy
from strategies.toolkit import ATR_CANDLE_SECONDS, Answer, enter, finish, opening_price, risk_lots, signal_side
from strategies.trailing import follow


class TrendFollowingParams(StrategyParams):
    """Parameters of TrendFollowing."""

    risk_percent: float = param(
        0.5, group="Size", unit="% of equity", help="Lost when the first stop is hit; sets the volume.", gt=0, le=10
    )
    stop_atr: float = param(
        3.0, group="Exit", unit="× ATR", help="Distance of the stop, at first and following.", gt=0, le=100
    )
    leave_on_turn: bool = param(True, group="Exit", help="Close when the Move indication turns against the trade.")
    max_cycles: int = param(1, group="Entry", help="Largest number of open trades per symbol.", ge=1, le=1000)
    max_spread: float | None = param(
        3.0, group="Entry", unit="pips", help="No trade while the spread is wider.", gt=0, le=100_000
    )
    entry_cooldown: float = param(60.0, group="Entry", unit="seconds", help="Wait between two trades.", ge=0, le=86_400)


@strategy(slug="trend-following", version=1, params=TrendFollowingParams, title="Trend following")
def trend_following(view: View, params: TrendFollowingParams) -> Decision:
    """Enter with the Move indication at a fixed risk; a stop follows the price at `stop_atr` ranges, never back."""
    answer = Answer(view)
    answer.watches.append(CandleClosed(ATR_CANDLE_SECONDS, "the ATR moves"))
    side = signal_side("move", answer)
    distance = params.stop_atr * view.atr if view.atr else None
    for cycle in view.cycles:
        if finish(cycle, answer):
            continue
        if params.leave_on_turn and side is cycle.side.opposite:
            answer.actions.append(CloseCycle(cycle.id, "turn"))
        elif distance is not None:
            follow(cycle, answer, start=0.0, distance=distance, step=view.spec.pip)
    if side is not None and distance is None:
        answer.refuse("atr", "too few closed candles for the ATR", side)
    elif side is not None and distance is not None:
        lots = risk_lots(params.risk_percent, distance, view)
        stop = opening_price(side, view) - side.sign * distance
        enter(side, lots, params, answer, sl=stop, change="risk_percent or stop_atr", lots_follow_equity=True)
    return answer.decision()
