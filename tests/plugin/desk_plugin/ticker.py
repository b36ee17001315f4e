"""Ticker: cannot name what it waits for, so it is asked at every tick. It trades the same and backtests slower."""

from brokers.domain import Side
from strategies.domain import EVERY_TICK, CloseCycle, Decision, OpenCycle, View
from strategies.params import StrategyParams, param
from strategies.registry import strategy


class TickerParams(StrategyParams):
    """Parameters of Ticker."""

    lot_size: float = param(0.02, group="Size", unit="lots", help="Volume of a trade.", gt=0, le=100)
    last_digit: int = param(0, group="Entry", help="Buys when the bid ends with this digit.", ge=0, le=9)
    target_profit: float = param(2.0, group="Exit", unit="account currency", help="Closes a trade.", gt=0, le=1e6)


@strategy(slug="ticker", version=1, params=TickerParams, title="Ticker (sample)")
def ticker(view: View, params: TickerParams) -> Decision:
    """Buy when the bid's last digit is the wanted one; close at the target."""
    if view.cycles:
        due = [c for c in view.cycles if c.closing or c.net(view.quote, view.spec) >= params.target_profit]
        closing = [c for c in due if any(leg.order_id not in c.under_way for leg in c.legs)]
        return Decision(tuple(CloseCycle(c.id, "target") for c in closing), EVERY_TICK)
    digit = round(view.quote.bid / view.spec.point) % 10
    volume = view.spec.volume(params.lot_size)
    fits = view.spec.volume_min <= volume <= view.spec.volume_max
    if view.entries_blocked is not None or digit != params.last_digit or not fits:
        return Decision((), EVERY_TICK)
    return Decision((OpenCycle(Side.BUY, volume, "digit"),), EVERY_TICK)
