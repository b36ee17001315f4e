from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brokers.domain import AccountState, MarginMode, Quote, SymbolSpec
from risk.domain import Approved, Ask, Standing, Vetoed, retry_wait, review

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 100_000, 0.01, 100, 0.01, 0, 0, 100_000, "EUR", "USD", 1, 2, True, 1100.0)
ACCOUNT = AccountState(1, "Demo", "USD", 1e4, 0, 0, 1e4, 0, 1e4, 0, 100, MarginMode.HEDGING, True, True)
FINE = Standing(NOW, ACCOUNT, Quote("EURUSD", 1.1, 1.1001, NOW), SPEC, ())


def test_an_entry_is_approved_when_nothing_objects() -> None:
    assert isinstance(review(Ask(1, True, 0.1), FINE), Approved)


REASONS = [
    (replace(FINE, blocks=((None, "doctor", "wrong server"),)), "blocked"),
    (replace(FINE, blocks=((1, "strategy", "raised"),)), "blocked"),
    (replace(FINE, unknown_outcomes=1), "unknown_outcome"),
    (replace(FINE, account=replace(ACCOUNT, trade_allowed=False)), "trade_disabled"),
    (replace(FINE, spec=replace(SPEC, tradable=False)), "symbol_closed"),
    (replace(FINE, quote=Quote("EURUSD", 1.1, 1.1001, NOW - timedelta(seconds=6))), "stale_quote"),
    (replace(FINE, account=replace(ACCOUNT, margin_free=100.0)), "margin"),
]


@pytest.mark.parametrize(("standing", "code"), REASONS, ids=[f"{i}-{code}" for i, (_, code) in enumerate(REASONS)])
def test_an_entry_is_vetoed_with_a_code(standing: Standing, code: str) -> None:
    verdict = review(Ask(1, True, 0.1), standing)
    assert isinstance(verdict, Vetoed)
    assert verdict.code == code


@pytest.mark.parametrize(("standing", "code"), REASONS, ids=[f"{i}-{code}" for i, (_, code) in enumerate(REASONS)])
def test_closing_stays_possible_whatever_stands_against_entries(standing: Standing, code: str) -> None:
    assert isinstance(review(Ask(1, False, 0.1), standing), Approved)


def test_a_block_of_another_bot_does_not_concern_this_one() -> None:
    assert isinstance(review(Ask(1, True, 0.1), replace(FINE, blocks=((2, "strategy", "raised"),))), Approved)


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
