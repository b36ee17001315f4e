"""Matching by identity, suggestions by tolerance, and S3's named behaviours of both."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.domain import Position, Side
from reconciliation.domain import Expected, Thresholds
from reconciliation.matching import SUGGESTED_MAX, assign, distance, match, suggest

AT = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
PIP = 0.0001
LIMITS = Thresholds()


def position(identifier: int = 1, **fields: Any) -> Position:
    values: dict[str, Any] = {
        "ticket": identifier,
        "symbol": "EURUSD",
        "side": Side.BUY,
        "volume": 0.1,
        "price_open": 1.1,
        "price_current": 1.1,
        "sl": 0.0,
        "tp": 0.0,
        "profit": 0.0,
        "swap": 0.0,
        "magic": 0,
        "comment": "",
        "opened_at": AT,
    }
    return Position(identifier, **{**values, **fields})


def expected(order_id: int = 1, **fields: Any) -> Expected:
    values: dict[str, Any] = {
        "identifier": order_id,
        "ticket": order_id,
        "token": "",
        "symbol": "EURUSD",
        "side": "buy",
        "volume": 0.1,
        "price": 1.1,
        "sl": 0.0,
        "tp": 0.0,
    }
    return Expected(order_id, **{**values, **fields})


def suggested(orders: Sequence[Expected], positions: Sequence[Position]) -> list[tuple[int, int]]:
    found = suggest(orders, positions, pips={"eurusd": PIP}, limits=LIMITS)
    return [(o.order_id, p.identifier) for o, p in found]


@pytest.mark.requirement("S3-08", "S3-20", "S3-34", "S3-37")
def test_find_matching_trade_success_whatever_the_case_of_the_symbol() -> None:
    assert suggested([expected(1, symbol="eurusd")], [position(9)]) == [(1, 9)]


@pytest.mark.requirement("S3-08", "S3-37")
def test_find_matching_trade_another_symbol() -> None:
    assert suggested([expected(1)], [position(9, symbol="GBPUSD")]) == []


@pytest.mark.requirement("S3-21", "S3-37")
def test_find_matching_trade_another_direction() -> None:
    assert suggested([expected(1)], [position(9, side=Side.SELL)]) == []
    assert suggested([expected(1, side="sell")], [position(9, side=Side.SELL)]) == [(1, 9)]


@pytest.mark.requirement("S3-22", "S3-37")
@pytest.mark.parametrize(("volume", "found"), [(0.105, True), (0.095, True), (0.106, False), (0.094, False)])
def test_find_matching_trade_volume_within_five_percent(volume: float, found: bool) -> None:
    assert bool(suggested([expected(1)], [position(9, volume=volume)])) is found


@pytest.mark.requirement("S3-23")
@pytest.mark.parametrize(("price", "found"), [(1.1002, True), (1.0998, True), (1.10021, False), (1.09979, False)])
def test_find_matching_trade_entry_within_two_pips(price: float, found: bool) -> None:
    assert bool(suggested([expected(1)], [position(9, price_open=price)])) is found


@pytest.mark.requirement("S3-24", "S3-37")
def test_find_matching_trade_already_matched() -> None:
    orders = [expected(1), expected(2)]
    assert suggested(orders, [position(9)]) in ([(1, 9)], [(2, 9)])
    matched = match(orders, [position(1), position(9)], positions_of_orders={})
    assert [(o.order_id, p.identifier) for o, p in matched.pairs] == [(1, 1)]
    assert suggested(matched.orders, matched.positions) == [(2, 9)]


def test_the_best_assignment_is_not_first_come_first_served() -> None:
    """Taking the nearest first would leave the second order without a position."""
    orders = [expected(1, price=1.10000), expected(2, price=1.10030)]
    positions = [position(8, price_open=1.10014), position(9, price_open=1.09985)]
    assert suggested(orders, positions) == [(1, 9), (2, 8)]


def test_identity_comes_before_any_tolerance() -> None:
    """X-01: ticket, then the comment's token, then the deal's position; volume and price do not matter."""
    matched = match(
        [
            expected(1, identifier=10),
            expected(2, identifier=77, ticket=20),
            expected(3, identifier=78, ticket=78, token="abcdefghjk"),
            expected(4, identifier=79, ticket=79),
            expected(5, identifier=80, ticket=80),
        ],
        [
            position(10, volume=9.0),
            position(21, ticket=20, symbol="other"),
            position(30, comment="td:abcdefghjk", price_open=9.0),
            position(40, side=Side.SELL),
            position(50),
        ],
        positions_of_orders={79: 40},
    )
    assert [(o.order_id, p.identifier) for o, p in matched.pairs] == [(1, 10), (2, 21), (3, 30), (4, 40)]
    assert [o.order_id for o in matched.orders] == [5]
    assert [p.identifier for p in matched.positions] == [50]


def test_too_many_leftovers_are_not_guessed_at() -> None:
    orders = [expected(i) for i in range(SUGGESTED_MAX + 1)]
    assert suggested(orders, [position(9999)]) == []


COSTS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(0, 20).map(lambda n: n / 10), max_size=25
)


def best_by_trying_all(rows: int, columns: int, costs: dict[tuple[int, int], float]) -> tuple[int, float]:
    """Return (pairs, total) of the best assignment by brute force."""
    best = (0, 0.0)
    free = [-1] * rows
    for order in permutations([*range(columns), *free], rows):
        pairs = [(i, j) for i, j in enumerate(order) if (i, j) in costs]
        total = round(sum(costs[pair] for pair in pairs), 9)
        best = min(best, (-len(pairs), total))
    return -best[0], best[1]


@settings(max_examples=150, deadline=None)
@given(COSTS)
def test_the_assignment_is_the_best_there_is(costs: dict[tuple[int, int], float]) -> None:
    small = {(i % 4, j % 4): cost for (i, j), cost in costs.items()}
    found = assign(4, small)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    assert (len(found), round(sum(small[pair] for pair in found), 9)) == best_by_trying_all(4, 4, small)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["EURUSD", "eurusd"]), st.integers(0, 6), st.integers(8, 12)), max_size=8),
    st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(0, 6), st.integers(8, 12)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_suggestions_are_within_tolerance_never_twice_and_of_any_order(
    ours: list[tuple[str, int, int]], theirs: list[tuple[Side, int, int]], shuffler: Any
) -> None:
    orders = [
        expected(i, symbol=symbol, price=1.1 + pips * PIP, volume=lots / 10)
        for i, (symbol, pips, lots) in enumerate(ours)
    ]
    positions = [
        position(100 + i, side=side, price_open=1.1 + pips * PIP, volume=lots / 10)
        for i, (side, pips, lots) in enumerate(theirs)
    ]

    def total(pairs: list[tuple[Expected, Position]]) -> tuple[int, float]:
        costs = [distance(o, p, pip=PIP, limits=LIMITS) for o, p in pairs]
        assert None not in costs
        return len(pairs), round(sum(cost for cost in costs if cost is not None), 6)

    found = suggest(orders, positions, pips={"eurusd": PIP}, limits=LIMITS)
    assert len({o.order_id for o, _ in found}) == len({p.identifier for _, p in found}) == len(found)
    shuffler.shuffle(orders)
    shuffler.shuffle(positions)
    assert total(suggest(orders, positions, pips={"eurusd": PIP}, limits=LIMITS)) == total(found)
