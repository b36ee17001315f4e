"""SignalTrader: the contract, which set it takes, and its position managers by example (strategies.md)."""

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from pydantic import ValidationError

from brokers.domain import Side
from strategies import registry
from strategies.builtin.signal_trader import SignalTraderParams, signal_trader
from strategies.domain import AddLeg, ChangeLeg, CloseCycle, Decision, OpenCycle, PriceField, PriceTouch, SetupsChanged
from tests.strategies.contract import check
from tests.strategies.views import SETUP, cycle, leg, view

PARAMS = st.builds(
    SignalTraderParams,
    sizing=st.sampled_from(["risk", "fixed"]),
    lot_size=st.sampled_from([0.01, 0.005]),
    indication=st.sampled_from(["any", "direction", "optimal"]),
    min_trades=st.sampled_from([20, 50]),
    max_cycles=st.integers(1, 4),
    max_spread=st.sampled_from([None, 2.0]),
    manager=st.sampled_from(["set", "trailing", "block", "dca"]),
    stop_loss_money=st.just(80.0),
    trail_start=st.sampled_from([0.0, 10.0]),
    block_distance=st.sampled_from([1.0, 10.0]),
    max_blocks=st.integers(1, 5),
    dca_distance=st.sampled_from([1.0, 10.0]),
    dca_factor=st.sampled_from([0.5, 1.5]),
)


@pytest.mark.requirement("S4-13", "S4-14", "S4-15")
def test_it_keeps_the_contract_of_all_strategies() -> None:
    check(registry.get("signal-trader"), PARAMS)


def ask(*cycles: Any, params: dict[str, Any] | None = None, **seen: Any) -> Decision:
    given = view(*cycles, **{"equity": 10_000.0, **seen})
    return signal_trader(given, SignalTraderParams(**{"max_cycles": 1, **(params or {})}))


def test_the_best_set_opens_with_its_stops_at_the_set_risk() -> None:
    worse = replace(SETUP, key="worse", side=Side.SELL, profit_factor=1.3)
    (action,) = ask(setups=(SETUP, worse)).actions
    # 0.5 % of 10,000 is 50; a stop of 0.001 costs 100 a lot
    assert action == OpenCycle(
        Side.BUY, 0.5, "set direction buy 1/1", tp=1.1021, sl=1.0991, memory={"set": SETUP.key, "follow": 0.0}
    )


def test_a_set_is_traded_once_at_a_time() -> None:
    held = cycle(leg(0, 1.1), memory={"set": SETUP.key})
    decision = ask(held, setups=(SETUP,), params={"max_cycles": 3})
    assert not decision.actions
    assert "setups" in {r.code for r in decision.refusals}
    other = replace(SETUP, key="other")
    assert [type(a) for a in ask(held, setups=(SETUP, other), params={"max_cycles": 3}).actions] == [OpenCycle]


@pytest.mark.parametrize(
    ("setup", "params"),
    [
        ({"trades": 19}, {}),
        ({"profit_factor": 1.19}, {}),
        ({}, {"indication": "optimal"}),
        ({}, {"min_profit_factor": 2.0}),
    ],
)
def test_a_set_that_fails_a_limit_is_not_traded(setup: dict[str, Any], params: dict[str, Any]) -> None:
    decision = ask(setups=(replace(SETUP, **setup),), params=params)
    assert not decision.actions
    assert SetupsChanged() in decision.watches


@pytest.mark.requirement("S4-13")
def test_trailing_follows_in_steps_and_not_back() -> None:
    trailing = {"manager": "trailing", "trail_start": 10.0, "trail_distance": 8.0, "trail_step": 2.0}
    held = cycle(leg(0, 1.1, sl=1.099))
    assert not ask(held, bid=1.10099, params=trailing).actions
    assert ask(held, bid=1.1010, params=trailing).actions == (ChangeLeg(1, 100, 1.1002, 0.0, "trail"),)
    moved = cycle(leg(0, 1.1, sl=1.1002))
    assert not ask(moved, bid=1.1011, params=trailing).actions
    assert ask(moved, bid=1.1012, params=trailing).actions == (ChangeLeg(1, 100, 1.1004, 0.0, "trail"),)
    assert not ask(moved, bid=1.1005, params=trailing).actions


@pytest.mark.requirement("S4-14")
def test_blocks_pyramid_and_share_a_stop_at_the_average_entry() -> None:
    block = {"manager": "block", "block_distance": 10.0, "max_blocks": 2}
    held = cycle(leg(0, 1.1, sl=1.098))
    waiting = ask(held, bid=1.1005, params=block)
    assert PriceTouch(PriceField.ASK, 1.101, False, "block 1") in waiting.watches
    (added,) = ask(held, bid=1.1010, params=block).actions
    assert isinstance(added, AddLeg)
    assert (added.level, added.volume, added.sl) == (1, 0.1, 1.098)
    both = cycle(leg(0, 1.1, sl=1.098), leg(1, 1.101, sl=1.098))
    decision = ask(both, bid=1.1012, params=block)
    assert decision.actions == tuple(ChangeLeg(1, 100 + n, 1.1005, 0.0, "block") for n in (0, 1))
    assert "max_blocks" in {r.code for r in decision.refusals}


@pytest.mark.requirement("S4-15")
def test_dca_averages_and_sets_the_target_from_the_average_entry() -> None:
    dca = {
        "manager": "dca", "dca_distance": 10.0, "dca_factor": 2.0, "max_dca": 1, "dca_take_profit": 5.0,
        "stop_loss_money": 500.0,
    }  # fmt: skip
    held = cycle(leg(0, 1.1, tp=1.1005))
    (added,) = ask(held, bid=1.0989, params=dca).actions
    assert isinstance(added, AddLeg)
    assert (added.level, added.side, added.volume) == (1, Side.BUY, 0.2)
    both = cycle(leg(0, 1.1, tp=1.1005), leg(1, 1.0985, volume=0.2, tp=1.1005))
    decision = ask(both, bid=1.0984, params=dca)
    assert decision.actions == tuple(ChangeLeg(1, 100 + n, 0.0, 1.0995, "average") for n in (0, 1))
    assert "max_dca" in {r.code for r in decision.refusals}
    assert ask(both, bid=1.0996, params=dca).actions == (CloseCycle(1, "average_target"),)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"manager": "trailing", "trail_step": 20.0}, "trail_step and trail_distance"),
        ({"manager": "dca"}, "stop_loss_money and manager"),
        ({"risk_percent": 11.0}, "risk_percent"),
    ],
)
def test_parameters_are_judged_together(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        SignalTraderParams(**values)
