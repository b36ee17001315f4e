"""What a fill writes: the finished order, its deal, and the position that it opens, changes or ends."""

from dataclasses import dataclass

from brokers.simulator.books import BUY, SELL, Books
from brokers.simulator.state import Deal, OpenPosition, Order, State

IN, OUT = 0, 1
FILLED = 4


@dataclass(frozen=True, slots=True)
class Fill:
    """What came of a market order."""

    order: int
    deal: int
    price: float
    volume: float


def fill_open(state: State, books: Books, order: Order, price: float, at: float) -> Fill:
    """Fill an order into a new position, inside a change of the state."""
    setup = books.symbols[order.symbol]
    kind = order.type % 2
    order.state, order.done, order.position_id, order.volume_left = FILLED, at, order.ticket, 0.0
    state.finish_order(order)
    fee = -round(setup.commission_per_lot * order.volume, 2)
    deal = Deal(
        ticket=state.next("deal"), order=order.ticket, position_id=order.ticket, symbol=order.symbol, type=kind,
        entry=IN, reason=order.reason, volume=order.volume, price=price, profit=0.0, swap=0.0, commission=fee,
        magic=order.magic, comment=order.comment, at=at,
    )  # fmt: skip
    state.add_deal(deal)
    state.put_position(
        OpenPosition(
            identifier=order.ticket, ticket=order.ticket, symbol=order.symbol, type=kind, volume=order.volume,
            price_open=price, sl=order.sl, tp=order.tp, swap=0.0, magic=order.magic, comment=order.comment,
            opened=at, updated=at, reason=order.reason,
        )
    )  # fmt: skip
    return Fill(order.ticket, deal.ticket, price, order.volume)


def fill_close(
    state: State, books: Books, p: OpenPosition, volume: float, price: float, at: float, reason: int, magic: int,
    comment: str,
) -> Fill:  # fmt: skip
    """Close all or a part of a position, inside a change of the state; a part takes its share of the swap."""
    setup = books.symbols[p.symbol]
    other = SELL if p.type == BUY else BUY
    whole = volume >= p.volume - 1e-9
    swap = p.swap if whole else round(p.swap * volume / p.volume, 2)
    order = Order(
        ticket=state.next("order"), symbol=p.symbol, type=other, volume=volume, volume_left=0.0, price=0.0, sl=0.0,
        tp=0.0, magic=magic, comment=comment, placed=at, state=FILLED, done=at, position_id=p.identifier, reason=reason,
    )  # fmt: skip
    state.finish_order(order)
    deal = Deal(
        ticket=state.next("deal"), order=order.ticket, position_id=p.identifier, symbol=p.symbol, type=other, entry=OUT,
        reason=reason, volume=volume, price=price, profit=books.profit(setup, p.type, volume, p.price_open, price),
        swap=swap, commission=-round(setup.commission_per_lot * volume, 2), magic=magic, comment=comment, at=at,
    )  # fmt: skip
    state.add_deal(deal)
    if whole:
        state.drop_position(p.identifier)
    else:
        p.volume, p.swap, p.updated = round(p.volume - volume, 8), round(p.swap - swap, 2), at
        state.put_position(p)
    return Fill(order.ticket, deal.ticket, price, volume)
