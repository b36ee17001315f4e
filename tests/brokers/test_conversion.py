"""Conversion to the account's currency: through crosses, always at the worse side, whatever order prices come in."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.conversion import Pair, chain, rate

CURRENCIES = ("USD", "EUR", "GBP", "CHF", "JPY", "AUD")
EVERY_PAIR = tuple(combinations(CURRENCIES, 2))


@st.composite
def markets(draw: st.DrawFn) -> tuple[dict[str, float], list[Pair]]:
    """What each currency is worth, and pairs whose prices agree with it, each with a spread of its own."""
    worth = {c: draw(st.floats(0.01, 100)) for c in CURRENCIES}
    pairs = []
    for base, profit in draw(st.lists(st.sampled_from(EVERY_PAIR), unique=True)):
        middle, half = worth[base] / worth[profit], draw(st.floats(0, 0.01))
        pairs.append(Pair(base, profit, middle * (1 - half), middle * (1 + half)))
    return worth, pairs


@pytest.mark.requirement("S2-53")
def test_eurjpy_on_an_account_in_francs_is_converted_through_dollars() -> None:
    pairs = [Pair("USD", "JPY", 149.99, 150.01), Pair("USD", "CHF", 0.8999, 0.9001), Pair("EUR", "USD", 1.1, 1.1001)]
    found = rate("JPY", "CHF", pairs)
    assert found == pytest.approx(0.8999 / 150.01)
    assert rate("JPY", "CHF", [*pairs, Pair("CHF", "JPY", 160.0, 160.1)]) == pytest.approx(1 / 160.1)
    assert rate("JPY", "NOK", pairs) is None
    assert rate("JPY", "JPY", []) == 1.0


def test_of_two_ways_of_one_length_the_narrower_spread_counts() -> None:
    narrow = [Pair("EUR", "USD", 1.1, 1.1001), Pair("EUR", "CHF", 0.95, 0.9501)]
    wide = [Pair("GBP", "USD", 1.3, 1.4), Pair("GBP", "CHF", 1.1, 1.15)]
    assert rate("USD", "CHF", [*wide, *narrow]) == pytest.approx(0.95 / 1.1001)


@given(markets(), st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES), st.permutations(range(len(EVERY_PAIR))))
def test_the_order_of_prices_changes_nothing(
    market: tuple[dict[str, float], list[Pair]], one: str, other: str, places: list[int]
) -> None:
    pairs = market[1]
    mixed = [pairs[n] for n in places if n < len(pairs)]
    assert rate(one, other, mixed) == rate(one, other, pairs)


@given(markets(), st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES))
def test_conversion_costs_the_spread_and_never_earns(
    market: tuple[dict[str, float], list[Pair]], one: str, other: str
) -> None:
    worth, pairs = market
    there, back = rate(one, other, pairs), rate(other, one, pairs)
    assert (there is None) == (back is None)
    if there is None or back is None:
        return
    assert there <= worth[one] / worth[other] * (1 + 1e-9)
    assert there >= worth[one] / worth[other] * 0.99**3 / 1.01**3
    assert there * back <= 1 + 1e-9


@given(markets(), st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES))
def test_the_chain_names_all_that_the_rate_needs(
    market: tuple[dict[str, float], list[Pair]], one: str, other: str
) -> None:
    pairs = market[1]
    needed = chain(one, other, [(p.base, p.profit) for p in pairs])
    assert rate(one, other, [p for p in pairs if (p.base, p.profit) in needed]) == rate(one, other, pairs)
    if rate(one, other, pairs) is not None and one != other:
        assert needed
