"""AdaptiveHedging: the contract, and zone, hedge volume, harvest and exits by example (strategies.md)."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import ValidationError

from brokers.domain import Quote, Side
from strategies import registry
from strategies.builtin.adaptive_hedging import AdaptiveHedgingParams, adaptive_hedging, hedge_volume
from strategies.domain import AddLeg, CloseCycle, CloseLeg, Decision, OpenCycle, PriceField, PriceTouch
from tests.strategies.contract import check
from tests.strategies.views import NOW, SPEC, cycle, leg, prices, view

PARAMS = st.builds(
    AdaptiveHedgingParams,
    lot_size=st.sampled_from([0.01, 0.1, 0.005]),
    max_volume=st.sampled_from([0.1, 2.0]),
    zone_atr=st.sampled_from([0.5, 1.5]),
    min_zone=st.sampled_from([5.0, 20.0]),
    harvest_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    max_hedge_levels=st.integers(1, 4),
    target_profit=st.sampled_from([5.0, 50.0]),
    stop_loss_money=st.sampled_from([None, 80.0]),
    direction=st.sampled_from(["signal", "buy", "sell"]),
    max_cycles=st.integers(1, 4),
    max_spread=st.sampled_from([None, 2.0]),
    entry_cooldown=st.sampled_from([0.0, 20.0]),
)
ZONE = {"zone": 0.002, "exit": 0.003}


def ask(*cycles: Any, params: dict[str, Any] | None = None, **seen: Any) -> Decision:
    given_params = {"lot_size": 0.1, "target_profit": 10.0, "direction": "buy", "max_cycles": 1} | (params or {})
    return adaptive_hedging(view(*cycles, **{"atr": 0.001, **seen}), AdaptiveHedgingParams(**given_params))


@pytest.mark.requirement("S1-32")
def test_it_keeps_the_contract_of_all_strategies() -> None:
    check(registry.get("adaptive-hedging"), PARAMS)


def test_the_first_leg_remembers_zone_and_exit_of_its_moment() -> None:
    (action,) = ask(params={"zone_atr": 3.0, "exit_atr": 2.0}).actions
    assert action == OpenCycle(Side.BUY, 0.1, "entry", memory={"zone": 0.003, "exit": 0.002})
    (narrow,) = ask(params={"min_zone": 40.0}).actions
    assert isinstance(narrow, OpenCycle)
    assert narrow.memory["zone"] == pytest.approx(0.004)


def test_without_an_atr_it_does_not_enter() -> None:
    assert "atr" in {r.code for r in ask(atr=None).refusals}
    assert not ask(atr=None).actions


def test_the_first_hedge_opens_at_the_far_edge() -> None:
    held = cycle(leg(0, 1.1), memory=ZONE)
    waiting = ask(held, bid=1.0981)
    assert not waiting.actions
    assert PriceTouch(PriceField.BID, 1.098, True, "hedge level 1") in waiting.watches
    (hedge,) = ask(held, bid=1.0979).actions
    assert isinstance(hedge, AddLeg)
    assert (hedge.level, hedge.side, hedge.memory["anchor"]) == (1, Side.SELL, 1.1)


def test_the_second_hedge_opens_back_over_the_first_entry() -> None:
    held = cycle(leg(0, 1.1), leg(1, 1.098, Side.SELL, 0.2), memory=ZONE)
    assert PriceTouch(PriceField.ASK, 1.1, False, "hedge level 2") in ask(held, bid=1.099).watches
    (hedge,) = ask(held, bid=1.1, params={"harvest_ratio": 0}).actions
    assert isinstance(hedge, AddLeg)
    assert (hedge.level, hedge.side) == (2, Side.BUY)


@pytest.mark.parametrize("atr", [0.0001, 0.004])
def test_zone_and_exit_widen_with_the_atr_and_never_narrow(atr: float) -> None:
    held = cycle(leg(0, 1.1), memory=ZONE)
    (hedge,) = ask(held, bid=1.0979, atr=atr, params={"zone_atr": 1.0, "exit_atr": 1.0}).actions
    assert isinstance(hedge, AddLeg)
    assert (hedge.memory["zone"], hedge.memory["exit"]) == (max(0.002, atr), max(0.003, atr))


@given(prices, st.floats(0.0005, 0.01), st.integers(1, 200), st.sampled_from(Side), st.integers(-300, 0))
def test_the_hedge_reaches_the_target_at_the_exit_with_all_costs(
    price: float, beyond: float, target: int, side: Side, commission: int
) -> None:
    held = cycle(leg(0, 1.1, side.opposite, 0.1, commission=commission / 100), memory=ZONE)
    seen = view(held, bid=price, spread_points=4)
    lots = hedge_volume(held, side, beyond, float(target), seen)
    if not 0 < lots < SPEC.volume_max:
        return
    per_lot = -commission / 100 / 0.1
    entry = seen.quote.ask if side is Side.BUY else seen.quote.bid
    hedge = leg(1, entry, side, lots, commission=-per_lot * lots)
    move = side.sign * beyond
    there = Quote("EURUSD", seen.quote.bid + move, seen.quote.ask + move, NOW)
    closing_costs = per_lot * (0.1 + lots)
    assert cycle(*held.legs, hedge).net(there, SPEC) - closing_costs == pytest.approx(target, abs=1e-6)


def test_the_hedge_is_capped_and_a_cap_below_the_first_leg_is_refused() -> None:
    held = cycle(leg(0, 1.1), memory=ZONE)
    (hedge,) = ask(held, bid=1.0979, params={"max_volume": 0.12}).actions
    assert isinstance(hedge, AddLeg)
    assert hedge.volume == 0.12
    with pytest.raises(ValidationError, match="max_volume and lot_size"):
        AdaptiveHedgingParams(lot_size=0.5, max_volume=0.1)


def test_a_winner_is_harvested_and_pays_for_a_part_of_the_worst_leg() -> None:
    held = cycle(leg(0, 1.1, volume=0.1), leg(1, 1.098, Side.SELL, 0.3), memory=ZONE)
    # At 1.0960/1.0961: the buy has lost 40, the sell has earned 57
    winner, part = ask(held, bid=1.0960, params={"target_profit": 1000.0}).actions
    assert winner == CloseLeg(1, 101, 0.3, "harvest")
    assert part == CloseLeg(1, 100, 0.07, "harvested for")


def test_the_end_after_the_last_level_is_an_exit_further() -> None:
    held = cycle(leg(0, 1.1), leg(1, 1.098, Side.SELL, 0.2), memory=ZONE)
    only_one = {"max_hedge_levels": 1, "harvest_ratio": 0.0, "target_profit": 1000.0}
    waiting = ask(held, bid=1.1, params=only_one)
    assert not waiting.actions
    assert PriceTouch(PriceField.ASK, 1.103, False, "the end") in waiting.watches
    assert ask(held, bid=1.1031, params=only_one).actions == (CloseCycle(1, "last_level"),)


def test_a_harvested_level_is_not_opened_again() -> None:
    held = cycle(leg(0, 1.1), memory=ZONE | {"anchor": 1.1}, last_level=1)
    assert not ask(held, bid=1.0979).actions
    (hedge,) = ask(held, bid=1.1, params={"target_profit": 1000.0}).actions
    assert isinstance(hedge, AddLeg)
    assert hedge.level == 2


def test_target_and_money_stop_close_all() -> None:
    held = cycle(leg(0, 1.1), leg(1, 1.098, Side.SELL, 0.3), memory=ZONE)
    assert ask(held, bid=1.0950).actions == (CloseCycle(1, "target"),)
    assert ask(held, bid=1.1050, params={"stop_loss_money": 50.0}).actions == (CloseCycle(1, "stop_money"),)
