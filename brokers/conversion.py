"""What a unit of one currency is worth in another, through as few symbols as it takes."""

from collections.abc import Iterable
from dataclasses import dataclass

STEPS_MAX = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A symbol to convert with: one `base` costs `ask` and brings `bid` of `profit`."""

    base: str
    profit: str
    bid: float
    ask: float


def rate(currency: str, into: str, pairs: Iterable[Pair]) -> float | None:
    """Return how much of `into` a unit of `currency` brings; None when no chain of at most three pairs leads there.

    Each step sells at the bid or buys at the ask, the worse side. The shortest chain counts, whatever order the pairs
    come in; of chains of one length the one that brings most, which is the one with the narrowest spreads.
    """
    known, reached = tuple(pairs), {currency: 1.0}
    for _ in range(STEPS_MAX):
        if into in reached:
            break
        found: dict[str, float] = {}
        for pair in known:
            if pair.base in reached and pair.profit not in reached:
                found[pair.profit] = max(found.get(pair.profit, 0.0), reached[pair.base] * pair.bid)
            if pair.profit in reached and pair.base not in reached:
                found[pair.base] = max(found.get(pair.base, 0.0), reached[pair.profit] / pair.ask)
        reached |= found
    return reached.get(into)


def chain(currency: str, into: str, names: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return the (base, profit) of every pair that a shortest chain may use, so that only these are asked for.

    Empty when the currencies are one, or none leads there.
    """
    known = frozenset(names)
    near, far = _steps(currency, known), _steps(into, known)
    total = near.get(into)
    if total is None:
        return frozenset()
    return frozenset(
        (base, profit)
        for base, profit in known
        for one, other in ((base, profit), (profit, base))
        if one in near and other in far and near[one] + 1 + far[other] == total
    )


def _steps(currency: str, names: frozenset[tuple[str, str]]) -> dict[str, int]:
    """Return how many conversions lead from a currency to each other one, as far as counts."""
    steps = {currency: 0}
    for step in range(1, STEPS_MAX + 1):
        beside = {b if a in steps else a for a, b in names if (a in steps) != (b in steps)}
        steps |= dict.fromkeys(beside, step)
    return steps
