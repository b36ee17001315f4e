from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brokers.domain import AccountState, MarginMode, Quote, Side, SymbolSpec
from risk.domain import Approved, Ask, Load, Standing, Vetoed, retry_wait, review
from risk.domain.settings import GuardSettings

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 100_000, 0.01, 100, 0.01, 0, 0, 100_000, "EUR", "USD", 1, 2, True, 1100.0)
ACCOUNT = AccountState(1, "Demo", "USD", 1e4, 0, 0, 1e4, 0, 1e4, 0, 100, MarginMode.HEDGING, True, True)
FINE = Standing(NOW, ACCOUNT, Quote("EURUSD", 1.1, 1.1001, NOW), SPEC, (), guarded_at=NOW)


def test_an_entry_is_approved_when_nothing_objects() -> None:
    assert isinstance(review(Ask(1, True, 0.1), FINE), Approved)


REASONS = [
    (replace(FINE, blocks=((None, "doctor", "wrong server", ""),)), "blocked"),
    (replace(FINE, blocks=((1, "strategy", "raised", ""),)), "blocked"),
    (replace(FINE, unknown_outcomes=1), "unknown_outcome"),
    (replace(FINE, account=replace(ACCOUNT, trade_allowed=False)), "trade_disabled"),
    (replace(FINE, spec=replace(SPEC, tradable=False)), "symbol_closed"),
    (replace(FINE, quote=Quote("EURUSD", 1.1, 1.1001, NOW - timedelta(seconds=6))), "stale_quote"),
    (replace(FINE, account=replace(ACCOUNT, margin_free=100.0)), "margin"),
    (replace(FINE, account=replace(ACCOUNT, margin=6_600.0)), "margin_after"),
    (replace(FINE, guarded_at=None), "unguarded"),
    (replace(FINE, guarded_at=NOW - timedelta(seconds=11)), "unguarded"),
    (replace(FINE, blocks=((None, "guard spread", "wide", "EURUSD"),)), "blocked"),
    (replace(FINE, no_new_cycles=((None, "stop"),)), "kill_switch"),
    (replace(FINE, load=Load(cycles=100)), "max_cycles"),
    (replace(FINE, load=Load(orders=200)), "max_orders"),
    (replace(FINE, settings=GuardSettings(max_order_lots=0.05)), "max_order_lots"),
    (replace(FINE, load=Load(lots={"EURUSD": 49.95})), "max_symbol_lots"),
    (replace(FINE, load=Load(lots={"GBPUSD": 99.95})), "max_lots"),
    (replace(FINE, load=Load(entries_minute=30)), "order_rate"),
    (replace(FINE, load=Load(entries_day=1000)), "order_rate"),
    (replace(FINE, load=Load(margin_under_way=9_900.0)), "margin"),
    (replace(FINE, load=Load(exposure={"EUR": 995_000.0})), "exposure"),
    (replace(FINE, spread_max=0.00005), "spread"),
    (replace(FINE, worst_case="it would meet the stop-out"), "worst_case"),
]


@pytest.mark.parametrize(("standing", "code"), REASONS, ids=[f"{i}-{code}" for i, (_, code) in enumerate(REASONS)])
def test_an_entry_is_vetoed_with_a_code(standing: Standing, code: str) -> None:
    verdict = review(Ask(1, True, 0.1, opens_cycle=True), standing)
    assert isinstance(verdict, Vetoed)
    assert verdict.code == code


@pytest.mark.parametrize(("standing", "code"), REASONS, ids=[f"{i}-{code}" for i, (_, code) in enumerate(REASONS)])
def test_closing_stays_possible_whatever_stands_against_entries(standing: Standing, code: str) -> None:
    assert isinstance(review(Ask(1, False, 0.1), standing), Approved)


@pytest.mark.requirement("S4-34")
def test_a_set_has_one_position_and_waits_after_its_close() -> None:
    ask = Ask(1, True, 0.1, opens_cycle=True, config_set="direction buy 1.5:1")
    codes = []
    for load in (
        Load(sets_open={"direction buy 1.5:1": 1}),
        Load(sets_closed={"direction buy 1.5:1": NOW - timedelta(seconds=19)}),
        Load(sets_open={"other": 1}, sets_closed={"direction buy 1.5:1": NOW - timedelta(seconds=20)}),
    ):
        verdict = review(ask, replace(FINE, load=load))
        codes.append(verdict.code if isinstance(verdict, Vetoed) else "approved")
    assert codes == ["max_per_set", "set_cooldown", "approved"]
    level = replace(ask, opens_cycle=False)
    assert isinstance(review(level, replace(FINE, load=Load(sets_open={"direction buy 1.5:1": 1}))), Approved)


def test_a_block_of_another_bot_does_not_concern_this_one() -> None:
    assert isinstance(review(Ask(1, True, 0.1), replace(FINE, blocks=((2, "strategy", "raised", ""),))), Approved)


def test_what_holds_for_another_symbol_or_for_new_cycles_does_not_concern_a_level() -> None:
    other = replace(FINE, blocks=((None, "guard spread", "wide", "GBPUSD"),), no_new_cycles=((None, "stop"),))
    assert isinstance(review(Ask(1, True, 0.1), other), Approved)


def test_what_makes_an_exposure_smaller_passes_its_limit() -> None:
    heavy = replace(FINE, load=Load(exposure={"EUR": 2_000_000.0, "USD": -2_000_000.0}))
    assert isinstance(review(Ask(1, True, 0.1, side=Side.SELL), heavy), Approved)


def test_the_same_is_asked_again_only_after_a_growing_wait() -> None:
    waits = [retry_wait(n).total_seconds() for n in range(1, 9)]
    assert waits == sorted(waits)
    assert waits[0] == 2
    assert waits[-1] == 60
    early = Ask(1, False, 0.1, refused_times=1, refused_at=NOW - timedelta(seconds=1))
    verdict = review(early, FINE)
    assert isinstance(verdict, Vetoed)
    assert verdict.code == "retry_wait"
    assert isinstance(review(replace(early, refused_at=NOW - timedelta(seconds=3)), FINE), Approved)
