"""Match our orders with the broker's positions: by identity; and what is left over by tolerance, as a suggestion only.

Identity is the position's identifier, else its ticket, else the token in its comment, else the position that the deal
of an order's ticket names (X-01). Suggestions are the assignment with the most pairs and, of those, the least distance.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from brokers.domain import Position
from orders.domain import token_in
from reconciliation.domain import Expected, Thresholds, pips_apart

# A person reads suggestions; beyond this many leftovers on one side of a symbol something else is wrong.
SUGGESTED_MAX = 200
EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Matched:
    """Pairs by identity, and what is left on either side."""

    pairs: tuple[tuple[Expected, Position], ...]
    orders: tuple[Expected, ...]
    positions: tuple[Position, ...]


def match(
    expected: Iterable[Expected], positions: Iterable[Position], *, positions_of_orders: Mapping[int, int]
) -> Matched:
    """Pair by identity, each at most once. `positions_of_orders` gives position ids by order ticket, from deals."""
    orders = {e.order_id: e for e in expected}
    places = {p.identifier: p for p in positions}
    pairs: list[tuple[Expected, Position]] = []

    def pair(order: Expected, position: Position) -> None:
        pairs.append((order, position))
        del orders[order.order_id], places[position.identifier]

    for order in list(orders.values()):
        if (position := places.get(order.identifier)) is not None:
            pair(order, position)
    if orders and places:
        # In the order of their numbers, so that the broker's order of telling decides nothing
        orders = dict(sorted(orders.items()))
        places = dict(sorted(places.items()))
        by_ticket = {p.ticket: p for p in places.values()}
        by_token = {token: p for p in places.values() if (token := token_in(p.comment)) is not None}
        for order in list(orders.values()):
            dealt = places.get(positions_of_orders.get(order.ticket, 0))
            for candidate in (by_ticket.get(order.ticket), by_token.get(order.token), dealt):
                if candidate is not None and candidate.identifier in places:
                    pair(order, candidate)
                    break
    return Matched(tuple(pairs), tuple(orders.values()), tuple(places.values()))


def distance(order: Expected, position: Position, *, pip: float, limits: Thresholds) -> float | None:
    """Return how far apart two are, from 0 (the same) to 2; None outside the tolerances or in another direction."""
    if order.symbol.casefold() != position.symbol.casefold() or order.side != position.side:
        return None
    volume = abs(order.volume - position.volume) / max(order.volume, EPSILON)
    price = 0.0 if order.price is None else pips_apart(order.price, position.price_open, pip)
    if volume > limits.match_volume_share + EPSILON or price > limits.match_pips + EPSILON:
        return None
    return volume / max(limits.match_volume_share, EPSILON) + price / max(limits.match_pips, EPSILON)


def suggest(
    orders: Sequence[Expected], positions: Sequence[Position], *, pips: Mapping[str, float], limits: Thresholds
) -> list[tuple[Expected, Position]]:
    """Suggest pairs among what identity left over, none twice: the most pairs, and of those the least total distance.

    `pips` gives a pip in price units by symbol in lower case. Above SUGGESTED_MAX on one side nothing is suggested.
    """
    groups: dict[tuple[str, str], tuple[list[Expected], list[Position]]] = defaultdict(lambda: ([], []))
    for order in sorted(orders, key=lambda o: o.order_id):
        groups[(order.symbol.casefold(), order.side)][0].append(order)
    for position in sorted(positions, key=lambda p: p.identifier):
        groups[(position.symbol.casefold(), position.side)][1].append(position)
    found: list[tuple[Expected, Position]] = []
    for (symbol, _), (left, right) in groups.items():
        if not left or not right or max(len(left), len(right)) > SUGGESTED_MAX or symbol not in pips:
            continue
        costs = {
            (i, j): cost
            for i, order in enumerate(left)
            for j, position in enumerate(right)
            if (cost := distance(order, position, pip=pips[symbol], limits=limits)) is not None
        }
        found += [(left[i], right[j]) for i, j in assign(len(left), costs)]
    return found


def assign(rows: int, costs: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Assign rows to columns along the pairs in `costs`: as many as possible, at the least total cost.

    Successive shortest augmenting paths (Bellman-Ford over the residual graph): each path adds one pair and keeps the
    assignment the cheapest of its size. O(pairs · rows · columns) at worst.
    """
    edges: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (i, j), cost in costs.items():
        edges[i].append((j, cost))
    of_row: dict[int, int] = {}
    of_column: dict[int, int] = {}
    while True:
        best: dict[int, float] = {i: 0.0 for i in range(rows) if i not in of_row and i in edges}
        reached: dict[int, tuple[float, int]] = {}
        queue = sorted(best)
        while queue:
            following: set[int] = set()
            for i in queue:
                for j, cost in edges[i]:
                    total = best[i] + cost
                    if of_row.get(i) != j and total < reached.get(j, (float("inf"), -1))[0] - EPSILON:
                        reached[j] = (total, i)
                        owner = of_column.get(j)
                        if owner is not None and total - costs[(owner, j)] < best.get(owner, float("inf")) - EPSILON:
                            best[owner] = total - costs[(owner, j)]
                            following.add(owner)
            queue = sorted(following)
        free = [(total, j) for j, (total, _) in reached.items() if j not in of_column]
        if not free:
            return sorted(of_row.items())
        column: int | None = min(free)[1]
        while column is not None:
            row = reached[column][1]
            previous = of_row.get(row)
            of_row[row], of_column[column] = column, row
            column = previous
