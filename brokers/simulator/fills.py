"""What a fill writes: its deal, and the position that it opens, adds to, reduces, ends or reverses.

Netting: mql5.com, "Position properties", and the MetaTrader 5 help on stop levels: the identifier stays through a
reversal while the ticket becomes that of the reversing order; stop levels are those of the last order that added or
reversed, and stay on a reduction.
"""

from dataclasses import dataclass

from brokers.simulator.books import BUY, SELL, Books
from brokers.simulator.state import Deal, OpenPosition, Order, State

IN, OUT, INOUT, OUT_BY = range(4)
FILLED = 4
ROLLOVER = 7
ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Fill:
    """What came of an order: one of its deals, the last price, and how many lots in all."""

    order: int
    deal: int
    price: float
    volume: float


def position_of(state: State, order: Order, *, is_hedging: bool) -> OpenPosition | None:
    """Return the position that a fill of this order changes."""
    if is_hedging:
        return state.positions.get(order.position_id)
    return next((p for p in state.positions.values() if p.symbol == order.symbol), None)


def fill(state: State, books: Books, order: Order, price: float, lots: float, at: float) -> Deal:
    """Fill lots of an order at a price, inside a change of the state. The order itself is left to the caller."""
    position = position_of(state, order, is_hedging=books.account.is_hedging)
    kind = order.type % 2
    order.volume_left = round(order.volume_left - lots, 8)
    if position is None:
        order.position_id = order.position_id or order.ticket
        state.put_position(_opened(order, kind, lots, price, at))
        return _deal(state, books, order, IN, lots, price, at)
    order.position_id = position.identifier
    if position.type == kind:
        deal = _deal(state, books, order, IN, lots, price, at)
        _add(position, order, lots, price, at)
        state.put_position(position)
        return deal
    if lots > position.volume + ENOUGH:
        return _reverse(state, books, position, order, lots, price, at)
    profit = books.profit(books.symbols[order.symbol], position.type, lots, position.price_open, price)
    swap = _reduce(state, position, lots, at)
    return _deal(state, books, order, OUT, lots, price, at, profit=profit, swap=swap)


def close_by(
    state: State, books: Books, order: Order, position: OpenPosition, other: OpenPosition, at: float
) -> Deal:  # fmt: skip
    """Close two opposite positions against each other at the second one's opening price; the larger one keeps its rest.

    The result is booked on the first position's deal, the second one's has none; each pays its swap and commission.
    """
    setup, price = books.symbols[order.symbol], other.price_open
    profit = books.profit(setup, position.type, order.volume, position.price_open, price)
    kinds = {p.identifier: SELL if p.type == BUY else BUY for p in (position, other)}
    deals = []
    for p, own in ((position, profit), (other, 0.0)):
        identifier = p.identifier
        swap = _reduce(state, p, order.volume, at)
        deals.append(
            _deal(
                state, books, order, OUT_BY, order.volume, price, at, profit=own, swap=swap, position=identifier,
                kind=kinds[identifier],
            )
        )  # fmt: skip
    order.volume_left, order.state, order.done = 0.0, FILLED, at
    state.finish_order(order)
    return deals[0]


def _opened(order: Order, kind: int, lots: float, price: float, at: float) -> OpenPosition:
    return OpenPosition(
        identifier=order.position_id, ticket=order.ticket, symbol=order.symbol, type=kind, volume=lots,
        price_open=price, sl=order.sl, tp=order.tp, swap=0.0, magic=order.magic, comment=order.comment,
        opened=at, updated=at, reason=order.reason,
    )  # fmt: skip


def _add(p: OpenPosition, order: Order, lots: float, price: float, at: float) -> None:
    """Average the price by volume. Another order's stops, magic and comment take the place of the position's."""
    volume = round(p.volume + lots, 8)
    p.price_open = round((p.price_open * p.volume + price * lots) / volume, 8)
    p.volume, p.updated = volume, at
    if order.ticket != p.ticket:
        p.sl, p.tp, p.magic, p.comment = order.sl, order.tp, order.magic, order.comment


def _reduce(state: State, p: OpenPosition, lots: float, at: float) -> float:
    """Take lots from a position; return its swap, or the lots' share of it."""
    if lots >= p.volume - ENOUGH:
        state.drop_position(p.identifier)
        return p.swap
    swap = round(p.swap * lots / p.volume, 2)
    p.volume, p.swap, p.updated = round(p.volume - lots, 8), round(p.swap - swap, 2), at
    state.put_position(p)
    return swap


def _reverse(
    state: State, books: Books, p: OpenPosition, order: Order, lots: float, price: float, at: float
) -> Deal:  # fmt: skip
    profit = books.profit(books.symbols[order.symbol], p.type, p.volume, p.price_open, price)
    deal = _deal(state, books, order, INOUT, lots, price, at, profit=profit, swap=p.swap)
    p.ticket, p.type, p.volume, p.price_open = order.ticket, order.type % 2, round(lots - p.volume, 8), price
    p.sl, p.tp, p.swap, p.magic, p.comment, p.reason = order.sl, order.tp, 0.0, order.magic, order.comment, order.reason
    p.opened = p.updated = at
    state.put_position(p)
    return deal


def _deal(
    state: State, books: Books, order: Order, entry: int, lots: float, price: float, at: float, *,
    profit: float = 0.0, swap: float = 0.0, position: int = 0, kind: int | None = None,
) -> Deal:  # fmt: skip
    per_lot = 0.0 if order.reason == ROLLOVER else books.symbols[order.symbol].commission_per_lot
    fee = -round(per_lot * lots, 2) + 0.0
    deal = Deal(
        ticket=state.next("deal"), order=order.ticket, position_id=position or order.position_id, symbol=order.symbol,
        type=order.type % 2 if kind is None else kind, entry=entry, reason=order.reason, volume=lots, price=price,
        profit=profit, swap=swap, commission=fee, magic=order.magic, comment=order.comment, at=at,
    )  # fmt: skip
    state.add_deal(deal)
    return deal
