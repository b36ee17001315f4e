"""Scalping and TrendFollowing: the contract, and what they do by example."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from pydantic import ValidationError

from brokers.domain import Side
from strategies import registry
from strategies.builtin.scalping import ScalpingParams, scalping
from strategies.builtin.trend_following import TrendFollowingParams, trend_following
from strategies.domain import ChangeLeg, CloseCycle, Decision, OpenCycle, TimeReached
from tests.strategies.contract import check
from tests.strategies.views import NOW, cycle, leg, view

SCALPING = st.builds(
    ScalpingParams,
    lot_size=st.sampled_from([0.01, 0.005]),
    max_hold=st.sampled_from([60.0, 7200.0]),
    max_cycles=st.integers(1, 4),
    max_spread=st.sampled_from([None, 2.0]),
    entry_cooldown=st.sampled_from([0.0, 30.0]),
)
TREND = st.builds(
    TrendFollowingParams,
    risk_percent=st.sampled_from([0.001, 0.5, 5.0]),
    stop_atr=st.sampled_from([0.5, 3.0]),
    leave_on_turn=st.booleans(),
    max_cycles=st.integers(1, 4),
    max_spread=st.sampled_from([None, 2.0]),
    entry_cooldown=st.sampled_from([0.0, 30.0]),
)


@pytest.mark.requirement("S1-71")
def test_scalping_keeps_the_contract() -> None:
    check(registry.get("scalping"), SCALPING)


@pytest.mark.requirement("S1-71")
def test_trend_following_keeps_the_contract() -> None:
    check(registry.get("trend-following"), TREND)


def scalp(*cycles: Any, active: float = 1.0, **seen: Any) -> Decision:
    return scalping(view(*cycles, signals={"active": active}, **seen), ScalpingParams())


def test_scalping_enters_with_stops_at_the_broker() -> None:
    assert scalp().actions == (OpenCycle(Side.BUY, 0.01, "entry", tp=1.1009, sl=1.0995),)
    assert scalp(active=-0.4).actions == (OpenCycle(Side.SELL, 0.01, "entry", tp=1.0992, sl=1.1006),)
    assert {r.code for r in scalp(active=0.0).refusals} == {"active"}


def test_scalping_leaves_by_the_clock() -> None:
    young = cycle(leg(0, 1.1), opened_at=NOW - timedelta(seconds=119))
    assert TimeReached(NOW + timedelta(seconds=1), "longest hold") in scalp(young).watches
    assert scalp(cycle(leg(0, 1.1), opened_at=NOW - timedelta(seconds=120))).actions == (CloseCycle(1, "max_hold"),)


def test_scalping_refuses_a_spread_that_eats_the_profit() -> None:
    with pytest.raises(ValidationError, match="max_spread and take_profit"):
        ScalpingParams(max_spread=9.0)


def trend(*cycles: Any, move: float = 1.0, **seen: Any) -> Decision:
    found = view(*cycles, **{"signals": {"move": move}, "atr": 0.001, "equity": 10_000.0, **seen})
    return trend_following(found, TrendFollowingParams())


def test_the_volume_risks_the_same_share_of_equity() -> None:
    # 0.5 % of 10,000 is 50; a stop of 3 × 0.001 costs 300 a lot
    (action,) = trend().actions
    assert action == OpenCycle(Side.BUY, 0.16, "entry", sl=round(1.1001 - 0.003, 5))


def test_the_stop_follows_and_never_goes_back() -> None:
    held = cycle(leg(0, 1.1, sl=1.097))
    assert trend(held, bid=1.0995, move=1.0).actions == ()
    assert trend(held, bid=1.1020).actions == (ChangeLeg(1, 100, 1.099, 0.0, "trail"),)
    assert trend(cycle(leg(0, 1.1, sl=1.099)), bid=1.1010).actions == ()


def test_a_turn_closes() -> None:
    assert trend(cycle(leg(0, 1.1)), move=-0.2).actions == (CloseCycle(1, "turn"),)
