"""The algebra of virtual positions: exact sums, fair attribution, FIFO, zero crossing, and people's hands."""

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.domain import Side
from brokers.netting import (
    Booking,
    Close,
    Ledger,
    LedgerError,
    Open,
    Wish,
    oldest_first,
    order_for,
    reconcile,
    settle,
    steps_of,
)

EXAMPLES = int(os.environ.get("NETTING_EXAMPLES", "300"))
BUY, SELL = Side.BUY, Side.SELL


@dataclass
class Broker:
    """A broker that nets: one signed position, and the cash that its fills brought (price units times steps)."""

    position: int = 0
    cash: float = 0.0

    def trade(self, steps: int, price: float) -> None:
        self.position += steps
        self.cash -= steps * price


@dataclass
class Desk:
    """A ledger and its broker. `foreign_cash` is what people's own trades brought."""

    ledger: Ledger = field(default_factory=Ledger)
    broker: Broker = field(default_factory=Broker)
    booked: list[Booking] = field(default_factory=list)

    def batch(self, *wishes: Wish, share: float = 1.0, price: float = 100.0, cross: float = 100.0) -> None:
        order = order_for(self.ledger, wishes, self.broker.position)
        filled = int(order * share)
        self.broker.trade(filled, price)
        self.ledger, bookings = settle(self.ledger, wishes, filled=filled, price=price, cross_price=cross)
        self.booked += bookings

    def hand(self, steps: int, price: float = 100.0) -> None:
        self.broker.trade(steps, price)
        self.ledger, bookings = reconcile(self.ledger, self.broker.position, price)
        self.booked += bookings

    def shape(self) -> list[tuple[int, int]]:
        return [(leg.owner, leg.signed) for leg in self.ledger.legs]


def test_each_bot_keeps_its_leg_and_the_broker_has_their_sum() -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 5))
    desk.batch(Open(2, SELL, 2))
    assert desk.shape() == [(1, 5), (2, -2)]
    assert desk.broker.position == 3


def test_the_position_crosses_zero_and_reverses_without_touching_another_leg() -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 3))
    desk.batch(Open(2, SELL, 5), price=101.0)
    assert (desk.broker.position, desk.shape()) == (-2, [(1, 3), (2, -5)])
    desk.batch(Close(1, 3), price=99.0)
    assert (desk.broker.position, desk.shape()) == (-5, [(2, -5)])
    assert desk.booked[-1].gain == pytest.approx(-3.0)


def test_opposite_wishes_of_a_batch_cross_inside_at_one_price() -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 3), Open(2, SELL, 3), cross=100.5)
    assert desk.broker == Broker()
    assert [leg.price for leg in desk.ledger.legs] == [100.5, 100.5]
    desk.batch(Open(1, BUY, 4), Open(2, SELL, 1), price=101.0, cross=100.5)
    assert desk.ledger.leg(3).price == pytest.approx((100.5 + 3 * 101.0) / 4)
    assert desk.broker.position == 3


def test_a_part_that_was_filled_goes_to_the_wishes_in_their_order() -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 4), Open(2, BUY, 4), Open(3, SELL, 2), share=0.5)
    assert desk.shape() == [(1, 4), (2, 1), (3, -2)]
    assert desk.broker.position == 3


def test_closings_take_the_oldest_legs_first() -> None:
    desk = Desk()
    for owner, side in ((1, BUY), (2, SELL), (1, BUY), (1, BUY)):
        desk.batch(Open(owner, side, 2))
    assert oldest_first(desk.ledger.of(1), BUY, 5) == (Close(1, 2), Close(3, 2), Close(4, 1))
    assert oldest_first(desk.ledger.of(1), SELL, 5) == ()
    assert oldest_first(desk.ledger.legs, BUY, 99) == (Close(1, 2), Close(3, 2), Close(4, 2))


def test_a_hand_against_the_net_closes_the_oldest_and_a_hand_with_it_is_nobodys() -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 2))
    desk.batch(Open(2, BUY, 2))
    desk.hand(-3, price=102.0)
    assert desk.shape() == [(2, 1)]
    assert [(b.owner, b.steps, b.gain, b.by_hand) for b in desk.booked[2:]] == [(1, 2, 4.0, True), (2, 1, 2.0, True)]
    desk.hand(4)
    assert (desk.ledger.foreign, desk.ledger.net, desk.broker.position) == (4, 1, 5)
    desk.hand(-4)
    assert (desk.ledger.foreign, desk.ledger.net) == (0, 1)
    desk.hand(-3)
    assert (desk.ledger.foreign, desk.shape(), desk.broker.position) == (-2, [], -2)


@pytest.mark.parametrize(
    "wishes",
    [(Open(1, BUY, 0),), (Close(1, 3),), (Close(1, 1), Close(1, 2)), (Close(9, 1),), (Open(1, BUY, -1),)],
)
def test_a_wish_that_does_not_hold_changes_nothing(wishes: tuple[Wish, ...]) -> None:
    desk = Desk()
    desk.batch(Open(1, BUY, 2))
    before = desk.ledger
    with pytest.raises(LedgerError):
        desk.batch(*wishes)
    assert (desk.ledger, desk.broker.position) == (before, 2)


@pytest.mark.parametrize("filled", [-1, 3])
def test_a_fill_that_was_not_ordered_is_refused(filled: int) -> None:
    with pytest.raises(LedgerError, match="filled"):
        settle(Ledger(), (Open(1, BUY, 2),), filled=filled, price=1.0, cross_price=1.0)


def test_nothing_is_ordered_while_the_broker_has_something_else() -> None:
    with pytest.raises(LedgerError, match="reconcile first"):
        order_for(Ledger(), (Open(1, BUY, 1),), 1)


@pytest.mark.parametrize(("lots", "step", "steps"), [(0.3, 0.1, 3), (0.29, 0.1, 2), (1.0, 0.01, 100), (0.0, 0.1, 0)])
def test_lots_are_whole_steps(lots: float, step: float, steps: int) -> None:
    assert steps_of(lots, step) == steps


PRICES = st.floats(50, 150).map(lambda value: round(value, 2))
OPENS = st.builds(Open, st.integers(1, 4), st.sampled_from(Side), st.integers(1, 9))
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.lists(st.one_of(OPENS, st.integers(0, 99)), min_size=1, max_size=6),
                  st.sampled_from([0.0, 0.3, 0.5, 1.0]), PRICES, PRICES),
        st.tuples(st.just("hand"), st.integers(-12, 12), PRICES),
    ),
    max_size=15,
)  # fmt: skip


def wishes_of(desk: Desk, drawn: list[Open | int]) -> list[Wish]:
    """Turn numbers into closings of legs that exist, each leg once."""
    free = list(desk.ledger.legs)
    wishes: list[Wish] = []
    for item in drawn:
        if isinstance(item, Open):
            wishes.append(item)
        elif free:
            leg = free.pop(item % len(free))
            wishes.append(Close(leg.number, 1 + item % leg.steps))
    return wishes


@pytest.mark.requirement("S2-39", "S2-40")
@settings(max_examples=EXAMPLES, deadline=None)
@given(moves=MOVES, last=PRICES)
def test_whatever_happens_sums_are_exact_and_all_bots_together_have_the_brokers_result(
    moves: list[tuple[object, ...]], last: float
) -> None:
    desk, people = Desk(), 0.0
    for move in moves:
        before, booked = desk.ledger, len(desk.booked)
        if move[0] == "batch":
            _, drawn, share, price, cross = move
            wishes = wishes_of(desk, drawn)  # type: ignore[arg-type]
            desk.batch(*wishes, share=share, price=price, cross=cross)  # type: ignore[arg-type]
            touched = {b.owner for b in desk.booked[booked:]}
            untouched = {leg.owner for leg in before.legs} - touched
            assert all(desk.ledger.of(owner) == before.of(owner) for owner in untouched)
            assert not any(b.by_hand for b in desk.booked[booked:])
        else:
            _, steps, price = move
            desk.hand(steps, price)  # type: ignore[arg-type]
            ours = sum(b.steps * (1 if before.leg(b.number).side is SELL else -1) for b in desk.booked[booked:])
            people -= (steps - ours) * price  # type: ignore[operator]
        assert desk.broker.position == desk.ledger.target
        assert all(leg.steps > 0 for leg in desk.ledger.legs)
        assert [leg.number for leg in desk.ledger.legs] == sorted({leg.number for leg in desk.ledger.legs})
    gains = sum(b.gain for b in desk.booked)
    floating = sum((last - leg.price) * leg.signed for leg in desk.ledger.legs)
    theirs = people + desk.ledger.foreign * last
    assert gains + floating + theirs == pytest.approx(desk.broker.cash + desk.broker.position * last, abs=1e-6)
