"""CycleTrader: the contract that all strategies keep, and its own rules by example (strategies.md)."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from pydantic import ValidationError

from brokers.domain import OrderKind, Side
from strategies import registry
from strategies.builtin.cycle_trader import CycleTraderParams, cycle_trader
from strategies.domain import AddLeg, CloseCycle, Decision, InFlight, NetReached, OpenCycle, PriceField, PriceTouch
from tests.strategies.contract import check
from tests.strategies.views import NOW, cycle, leg, view

PARAMS = st.builds(
    lambda trail, **given: CycleTraderParams(**given, **(trail or {})),
    trail=st.sampled_from([None, {"trail_start": 0.5, "trail_lock": 0.8}]),
    lot_size=st.sampled_from([0.01, 0.1, 0.33, 0.005, 40.0]),
    lot_mode=st.sampled_from(["fixed", "add", "multiply"]),
    distance=st.sampled_from([1.0, 10.0, 50.0]),
    distance_mode=st.sampled_from(["fixed", "atr"]),
    distance_growth=st.sampled_from([1.0, 1.5]),
    max_levels=st.integers(1, 6),
    pending=st.booleans(),
    target_profit=st.sampled_from([1.0, 10.0, 100.0]),
    take_profit=st.sampled_from([None, 20.0]),
    stop_loss_money=st.sampled_from([None, 50.0]),
    direction=st.sampled_from(["buy", "sell", "both", "signal"]),
    max_cycles=st.integers(1, 4),
    max_spread=st.sampled_from([None, 2.0]),
    entry_cooldown=st.sampled_from([0.0, 20.0]),
)


def ask(*cycles: Any, params: dict[str, Any] | None = None, **seen: Any) -> Decision:
    given = {"lot_size": 0.1, "distance": 10.0, "target_profit": 10.0, "direction": "buy"} | (params or {})
    return cycle_trader(view(*cycles, **seen), CycleTraderParams(**given))


@pytest.mark.requirement("S1-31")
def test_it_keeps_the_contract_of_all_strategies() -> None:
    check(registry.get("cycle-trader"), PARAMS)


def test_flat_it_opens_the_first_leg_at_market() -> None:
    (action,) = ask().actions
    assert action == OpenCycle(Side.BUY, 0.1, "entry")


def test_both_sides_open_one_after_the_other() -> None:
    decision = ask(params={"direction": "both", "entry_cooldown": 20.0})
    assert [a.side for a in decision.actions if isinstance(a, OpenCycle)] == [Side.BUY]
    at_once = ask(params={"direction": "both", "entry_cooldown": 0.0})
    assert [a.side for a in at_once.actions if isinstance(a, OpenCycle)] == [Side.BUY, Side.SELL]


def test_a_level_is_added_a_distance_against_the_newest_leg() -> None:
    held = cycle(leg(0, 1.1010))
    above = ask(held, bid=1.1)
    assert not above.actions
    assert PriceTouch(PriceField.ASK, 1.1, True, "level 1") in above.watches
    (action,) = ask(held, bid=1.0999).actions
    assert (type(action), getattr(action, "level", None)) == (AddLeg, 1)


@pytest.mark.parametrize(("growth", "levels", "expected"), [(1.0, 1, 1.0990), (2.0, 1, 1.0990), (2.0, 2, 1.0970)])
def test_further_levels_are_farther_by_the_growth(growth: float, levels: int, expected: float) -> None:
    legs = [leg(n, price) for n, price in enumerate([1.1, 1.099][:levels])]
    decision = ask(cycle(*legs), bid=1.0992, params={"distance_growth": growth})
    (touch,) = [w for w in decision.watches if isinstance(w, PriceTouch) and w.falling]
    assert touch.level == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mode", "factor", "volume"), [("fixed", 1.5, 0.1), ("add", 0.5, 0.2), ("multiply", 1.5, 0.22)]
)
def test_volume_grows_by_the_lot_mode_and_is_floored_to_the_step(mode: str, factor: float, volume: float) -> None:
    held = cycle(leg(0, 1.1), leg(1, 1.099))
    (action,) = ask(held, bid=1.0970, params={"lot_mode": mode, "lot_factor": factor}).actions
    assert isinstance(action, AddLeg)
    assert action.volume == volume


def test_the_target_closes_the_whole_cycle_and_counts_costs() -> None:
    held = cycle(leg(0, 1.1, commission=-0.35), realized=-2.0)
    due = 1.1 + (10.0 + 2.0 + 0.35) / 10_000
    assert not [a for a in ask(held, bid=due - 1e-5).actions if isinstance(a, CloseCycle)]
    assert ask(held, bid=due + 1e-5, params={"max_cycles": 1}).actions == (CloseCycle(1, "target"),)


def test_the_money_stop_closes_the_cycle() -> None:
    decision = ask(cycle(leg(0, 1.1)), bid=1.0949, params={"stop_loss_money": 50.0})
    assert decision.actions == (CloseCycle(1, "stop_money"),)


def test_trailing_replaces_the_target() -> None:
    trail = {"trail_start": 0.5, "trail_lock": 0.8, "max_cycles": 1}
    running = ask(cycle(leg(0, 1.1)), bid=1.1020, params=trail)
    assert not [a for a in running.actions if isinstance(a, CloseCycle)]
    assert not [w for w in running.watches if isinstance(w, NetReached)]
    fallen = ask(cycle(leg(0, 1.1), best_net=20.0), bid=1.1015, params=trail)
    assert fallen.actions == (CloseCycle(1, "trail"),)


def test_pending_places_the_next_level_as_a_limit_order_at_its_price() -> None:
    (action,) = ask(cycle(leg(0, 1.1)), bid=1.1, params={"pending": True}).actions
    assert isinstance(action, AddLeg)
    assert (action.kind, action.price) == (OrderKind.LIMIT, 1.099)
    resting = leg(1, 1.099, pending=True)
    assert not ask(cycle(leg(0, 1.1), resting), bid=1.1, params={"pending": True, "max_cycles": 1}).actions


def test_a_leg_under_way_is_waited_for() -> None:
    held = cycle(leg(0, 1.1), in_flight=(InFlight("open", 1, 1, Side.BUY, 0.1),))
    assert not ask(held, bid=1.09, params={"max_cycles": 1}).actions


def test_a_closing_cycle_is_finished_and_never_extended() -> None:
    held = cycle(leg(0, 1.1), leg(1, 1.099), closing=True)
    assert ask(held, bid=1.09, params={"max_cycles": 1}).actions == (CloseCycle(1, "closing"),)
    leaving = tuple(InFlight("close", 1, n, Side.BUY, 0.1, order_id=100 + n) for n in (0, 1))
    assert not ask(cycle(leg(0, 1.1), leg(1, 1.099), closing=True, in_flight=leaving), params={"max_cycles": 1}).actions


@pytest.mark.parametrize(
    ("params", "seen", "code"),
    [
        ({"max_cycles": 1}, {}, "max_cycles"),
        ({"max_levels": 1}, {}, "max_levels"),
        ({}, {"last_entry_at": NOW - timedelta(seconds=5)}, "cooldown"),
        ({"distance_mode": "atr"}, {}, "atr"),
        ({"direction": "signal"}, {"signals": {"direction": 0.0}}, "direction"),
    ],
)
def test_what_is_not_done_is_said(params: dict[str, Any], seen: dict[str, Any], code: str) -> None:
    assert code in {r.code for r in ask(cycle(leg(0, 1.1)), params=params, **seen).refusals}


@pytest.mark.parametrize(
    ("params", "seen", "code"),
    [
        ({"max_spread": 0.5}, {"spread_points": 10}, "spread"),
        ({}, {"entries_blocked": "paused"}, "blocked"),
        ({"lot_size": 0.005}, {}, "volume"),
        ({"lot_size": 100.0}, {}, "volume"),
    ],
)
def test_why_a_first_leg_is_not_opened(params: dict[str, Any], seen: dict[str, Any], code: str) -> None:
    decision = ask(params=params, **seen)
    assert not decision.actions
    assert code in {r.code for r in decision.refusals}


@pytest.mark.parametrize(
    "values",
    [
        {"lot_size": 0}, {"lot_size": float("nan")}, {"distance": -1}, {"max_levels": 0}, {"lot_mode": "triple"},
        {"trail_start": 0.5}, {"trail_lock": 0.5}, {"no_such": 1}, {"target_profit": float("inf")},
    ],
)  # fmt: skip
def test_unsound_parameters_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CycleTraderParams(**values)
