"""The virtual-position ledger (S2: OrderWrapper): many bots' legs on an account that has one position a symbol.

A broker that nets knows one signed position. Each bot keeps legs of its own; the broker's position is balanced to
their sum, plus what people traded by hand. Everything here is pure and counts in whole volume steps, so sums are exact.

Rules:
* A batch of wishes leaves as one order: buys and sells of the batch cross inside, at one price for both sides, so
  that what one bot gains by it another loses, and all bots together have exactly the broker's result.
* What the order filled goes to the wishes of the larger side in the order in which they were asked for.
* What a person trades against the net closes the oldest legs of the net's side; anything more is nobody's.
* A wish that was not filled is gone: whoever still wants it asks again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from brokers.domain import Side
from core.numbers import floor_to_step


class LedgerError(ValueError):
    """A fill or a wish can't belong to this ledger; it is left as it was."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One bot's virtual position; `number` grows with age, `price` is the average of what was filled."""

    number: int
    owner: int
    side: Side
    steps: int
    price: float

    @property
    def signed(self) -> int:
        """Steps, above zero when long."""
        return self.steps * self.side.sign


@dataclass(frozen=True, slots=True)
class Open:
    """A bot wants a new leg."""

    owner: int
    side: Side
    steps: int


@dataclass(frozen=True, slots=True)
class Close:
    """A bot wants to close so many steps of one of its legs."""

    number: int
    steps: int


Wish = Open | Close


@dataclass(frozen=True, slots=True)
class Booking:
    """What became of a leg: `steps` were opened, or closed with a `gain` in price units times steps."""

    owner: int
    number: int
    is_open: bool
    steps: int
    price: float
    gain: float = 0.0
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """The legs of one symbol of one account, oldest first. `foreign` is what people hold, signed."""

    legs: tuple[Leg, ...] = ()
    foreign: int = 0
    next_number: int = 1

    @property
    def net(self) -> int:
        """The signed sum of all legs."""
        return sum(leg.signed for leg in self.legs)

    @property
    def target(self) -> int:
        """What the broker's position should be."""
        return self.net + self.foreign

    def leg(self, number: int) -> Leg:
        """Return a leg. Raises LedgerError."""
        found = next((leg for leg in self.legs if leg.number == number), None)
        if found is None:
            raise LedgerError(f"there is no leg {number}")
        return found

    def of(self, owner: int) -> tuple[Leg, ...]:
        """Return a bot's legs, oldest first."""
        return tuple(leg for leg in self.legs if leg.owner == owner)


def steps_of(lots: float, step: float) -> int:
    """Return lots as whole steps, rounded down; what is left over can't be traded."""
    return round(floor_to_step(lots, step) / step)


def oldest_first(legs: Iterable[Leg], side: Side, steps: int) -> tuple[Close, ...]:
    """Return the closings of so many steps of one side in the order that FIFO rules ask for (NFA 2-43b)."""
    closings: list[Close] = []
    for leg in sorted((leg for leg in legs if leg.side is side), key=lambda leg: leg.number):
        if steps <= 0:
            break
        closings.append(Close(leg.number, min(steps, leg.steps)))
        steps -= closings[-1].steps
    return tuple(closings)


def order_for(ledger: Ledger, wishes: Sequence[Wish], real: int) -> int:
    """Return the one order that carries out a batch, signed steps; 0 when it crosses inside.

    Raises LedgerError when the broker's position is not what the ledger says: reconcile first.
    """
    if real != ledger.target:
        raise LedgerError(f"the broker has {real} steps and not {ledger.target}: reconcile first")
    return sum(_wanted(ledger, wishes))


def settle(
    ledger: Ledger, wishes: Sequence[Wish], *, filled: int, price: float, cross_price: float
) -> tuple[Ledger, tuple[Booking, ...]]:
    """Attribute what the order of a batch filled, signed steps at a price; the rest of the batch crosses inside.

    Raises LedgerError when more was filled than ordered, or on the other side.
    """
    wanted = _wanted(ledger, wishes)
    order = sum(wanted)
    if filled * order < 0 or abs(filled) > abs(order):
        raise LedgerError(f"{filled} steps were filled of an order of {order}")
    larger = 1 if order >= 0 else -1
    inside = sum(-w * larger for w in wanted if w * larger < 0)
    pools = {larger: [(inside, cross_price), (abs(filled), price)], -larger: [(inside, cross_price)]}
    bookings: list[Booking] = []
    for wish, signed in zip(wishes, wanted, strict=True):
        sign = 1 if signed > 0 else -1
        now: Wish | _More = wish
        for steps, at in _take(pools[sign], abs(signed)):
            ledger, booking = _book(ledger, now, steps, at)
            bookings.append(booking)
            if isinstance(wish, Open):
                # The rest of the same wish belongs to the leg that it just made
                now = _More(booking.number)
    return ledger, tuple(bookings)


@dataclass(frozen=True, slots=True)
class _More:
    """More of a leg that this batch has just opened."""

    number: int


def _wanted(ledger: Ledger, wishes: Sequence[Wish]) -> list[int]:
    """Return the signed steps of each wish. Raises LedgerError for one that its legs don't hold."""
    closing: dict[int, int] = {}
    wanted = []
    for wish in wishes:
        if wish.steps < 1:
            raise LedgerError("a wish has at least one step")
        if isinstance(wish, Open):
            wanted.append(wish.steps * wish.side.sign)
            continue
        leg = ledger.leg(wish.number)
        closing[leg.number] = closing.get(leg.number, 0) + wish.steps
        if closing[leg.number] > leg.steps:
            raise LedgerError(f"leg {leg.number} has {leg.steps} steps, {closing[leg.number]} shall be closed")
        wanted.append(-wish.steps * leg.side.sign)
    return wanted


def _take(pool: list[tuple[int, float]], steps: int) -> list[tuple[int, float]]:
    """Take up to so many steps out of a pool, in its order, and leave the rest in it."""
    taken = []
    while steps and pool:
        there, price = pool.pop(0)
        part = min(there, steps)
        if part:
            taken.append((part, price))
        if there > part:
            pool.insert(0, (there - part, price))
        steps -= part
    return taken


def _book(ledger: Ledger, wish: Wish | _More, steps: int, price: float) -> tuple[Ledger, Booking]:
    match wish:
        case Open(owner, side):
            leg = Leg(ledger.next_number, owner, side, steps, price)
            grown = replace(ledger, legs=(*ledger.legs, leg), next_number=leg.number + 1)
            return grown, Booking(owner, leg.number, is_open=True, steps=steps, price=price)
        case _More(number):
            leg = ledger.leg(number)
            whole = leg.steps + steps
            average = (leg.price * leg.steps + price * steps) / whole
            grown = _with(ledger, replace(leg, steps=whole, price=average))
            return grown, Booking(leg.owner, number, is_open=True, steps=steps, price=price)
        case Close(number):
            return _close(ledger, ledger.leg(number), steps, price, by_hand=False)


def _close(ledger: Ledger, leg: Leg, steps: int, price: float, *, by_hand: bool) -> tuple[Ledger, Booking]:
    gain = (price - leg.price) * steps * leg.side.sign
    booking = Booking(leg.owner, leg.number, is_open=False, steps=steps, price=price, gain=gain, by_hand=by_hand)
    return _with(ledger, replace(leg, steps=leg.steps - steps)), booking


def _with(ledger: Ledger, changed: Leg) -> Ledger:
    legs = (changed if leg.number == changed.number else leg for leg in ledger.legs)
    return replace(ledger, legs=tuple(leg for leg in legs if leg.steps))


def reconcile(ledger: Ledger, real: int, price: float) -> tuple[Ledger, tuple[Booking, ...]]:
    """Follow the broker after somebody traded by hand at about `price`; afterwards `target` is what the broker has.

    Only for a difference that no order of ours explains: while an outcome is unknown, it must wait. What was traded
    against what people hold reduces that first; against the net it closes the oldest legs of the net's side, as the
    broker did; the rest is nobody's.
    """
    difference = real - ledger.target
    if difference * ledger.foreign < 0:
        taken = min(abs(difference), abs(ledger.foreign)) * (1 if difference > 0 else -1)
        ledger, difference = replace(ledger, foreign=ledger.foreign + taken), difference - taken
    bookings: list[Booking] = []
    net = ledger.net
    if difference * net < 0:
        side = Side.BUY if net > 0 else Side.SELL
        for closing in oldest_first(ledger.legs, side, min(abs(difference), abs(net))):
            ledger, booking = _close(ledger, ledger.leg(closing.number), closing.steps, price, by_hand=True)
            bookings.append(booking)
            difference += closing.steps * side.sign
    return replace(ledger, foreign=ledger.foreign + difference), tuple(bookings)
