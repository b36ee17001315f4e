"""The broker's reports come in any order, twice, or are lost and told again: the books come out the same."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.domain import (
    Book,
    Deal,
    DealEntry,
    DealKind,
    HistoricOrder,
    OrderKind,
    OrderState,
    PendingOrder,
    Position,
    Reason,
    Side,
)
from brokers.gateway import ReadError
from orders.booking import book_figures, import_deals
from orders.comparing import compare, intent_of
from orders.domain import KnownIntent, KnownOrder, closure_of, comment_of, ended_of, fill_of, fill_of_ended
from orders.models import Deal as DealRow
from orders.models import Order
from reconciliation.domain import Expected, Finding, Thresholds, confirmed
from reconciliation.findings import leftover_findings, pair_findings
from reconciliation.matching import match
from tests.reconciliation.test_domain import ACCOUNT, EXAMPLES, Ledger, by_default
from tests.reconciliation.test_matching import AT, PIP, expected, position
from tests.world import World

T = TypeVar("T")
# What the database does to an example takes milliseconds
WITH_DATABASE = max(40, EXAMPLES // 50)
SYMBOLS = ("EURUSD", "eurusd", "GBPUSD")
TOKENS = ("aaaaaaaaaa", "bbbbbbbbbb", "")


def retold(rng: random.Random, rows: Iterable[T]) -> list[T]:
    """Tell the same in another order, and some of it twice."""
    told = list(rows)
    told += [row for row in told if rng.random() < 0.3]
    rng.shuffle(told)
    return told


def in_portions(rng: random.Random, rows: list[T]) -> list[list[T]]:
    """Tell it in portions that overlap, the last with all that was lost before."""
    portions = [retold(rng, (row for row in rows if rng.random() < 0.6)) for _ in range(rng.randint(0, 3))]
    return [*portions, retold(rng, rows)]


# Positions, resting orders and the intents that made them


@dataclass(frozen=True)
class Told:
    """Both books at one moment, and the intents whose end is not known."""

    known: list[KnownOrder]
    expected: list[Expected]
    positions: list[Position]
    resting: list[PendingOrder]
    intents: list[KnownIntent]
    dealt: dict[int, int]


PRICES = st.sampled_from([1.1, 1.1001, 1.1008])
STOPS = st.sampled_from([0.0, 1.05, 1.0505])
LOTS = st.sampled_from([0.1, 0.104, 0.2])
SIDES = st.sampled_from(list(Side))


@st.composite
def told(draw: st.DrawFn) -> Told:
    """Draw books where some is the same, some differs, and some is on one side only, under identities that overlap."""
    known, wanted, positions = [], [], []
    for number in range(1, draw(st.integers(1, 5))):
        wish = expected(
            number, symbol=draw(st.sampled_from(SYMBOLS)), side=draw(SIDES).value, volume=draw(LOTS),
            price=draw(PRICES), sl=draw(STOPS), token=draw(st.sampled_from(TOKENS)), volume_open=draw(st.booleans()),
        )  # fmt: skip
        wanted.append(wish)
        status = draw(st.sampled_from(["open", "open", "pending"]))
        known.append(
            KnownOrder(
                number, number, number, status, wish.symbol, wish.side, wish.volume, wish.sl, wish.tp, None, None, None,
                draw(st.booleans()),
            )
        )  # fmt: skip
    for number in range(1, draw(st.integers(1, 6))):
        token = draw(st.sampled_from(TOKENS))
        positions.append(
            position(
                draw(st.sampled_from([number, number + 10])), ticket=draw(st.sampled_from([number, number + 20])),
                symbol=draw(st.sampled_from(SYMBOLS)), side=draw(SIDES), volume=draw(LOTS), price_open=draw(PRICES),
                sl=draw(STOPS), magic=draw(st.sampled_from([0, 7])), comment=comment_of(token) if token else "",
            )
        )  # fmt: skip
    positions = list({p.identifier: p for p in positions}.values())
    resting = [
        PendingOrder(
            draw(st.sampled_from([number, number + 30])), draw(st.sampled_from(SYMBOLS)), draw(SIDES), OrderKind.LIMIT,
            draw(LOTS), draw(PRICES), draw(STOPS), 0.0, 7, comment_of(token) if token else "", AT,
        )
        for number, token in enumerate(draw(st.lists(st.sampled_from(TOKENS), max_size=5)), start=1)
    ]  # fmt: skip
    resting = list({o.ticket: o for o in resting}.values())
    intents = [
        KnownIntent(n, token, "unknown", "open", None, None, None, None, "EURUSD", "buy", 0.1, 7, 0, AT)
        for n, token in enumerate(TOKENS[:2])
    ]
    dealt = draw(st.dictionaries(st.integers(1, 5), st.integers(1, 15), max_size=3))
    return Told(known, wanted, positions, resting, intents, dealt)


def findings_of(wanted: list[Expected], positions: list[Position], dealt: dict[int, int]) -> list[Finding]:
    found = match(wanted, positions, positions_of_orders=dealt)
    limits = Thresholds()
    pairs = pair_findings(found, pip=lambda symbol: PIP, limits=lambda symbol: limits)
    return pairs + leftover_findings(found, pip=lambda symbol: PIP, limits=limits, magics={7})


def as_set(findings: Any) -> dict[str, set[Any]]:
    return {name: set(getattr(findings, name)) for name in findings.__dataclass_fields__}


@settings(max_examples=EXAMPLES, deadline=None)
@given(told(), st.integers(0, 2**32))
def test_an_orders_pass_finds_the_same_however_it_is_told(books: Told, seed: int) -> None:
    rng = random.Random(seed)
    straight = compare(books.known, Book(AT, ACCOUNT, tuple(books.positions), tuple(books.resting)))
    told_again = Book(AT, ACCOUNT, tuple(retold(rng, books.positions)), tuple(retold(rng, books.resting)))
    assert as_set(compare(retold(rng, books.known), told_again)) == as_set(straight)
    seen: list[tuple[int, str]] = [(p.identifier, p.comment) for p in books.positions]
    seen += [(o.ticket, o.comment) for o in books.resting]
    for identifier, comment in seen:
        found = intent_of(identifier, comment, books.intents)
        assert intent_of(identifier, comment, retold(rng, books.intents)) == found


@settings(max_examples=EXAMPLES, deadline=None)
@given(told(), st.integers(0, 2**32))
def test_the_ledger_of_divergences_is_the_same_however_it_is_told(books: Told, seed: int) -> None:
    rng = random.Random(seed)
    straight, other = Looks(), Looks()
    for _ in range(2):
        straight.look(findings_of(books.expected, books.positions, books.dealt))
    for positions in in_portions(rng, books.positions):
        other.look(findings_of(retold(rng, books.expected), positions, books.dealt))
    other.look(findings_of(books.expected, retold(rng, books.positions), books.dealt))
    assert other.open() == straight.open()
    assert not other.look(findings_of(retold(rng, books.expected), retold(rng, books.positions), books.dealt))


class Looks:
    """What passes remember between them: the ledger, and what waits for a second look."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.candidates: set[tuple[str, str]] = set()

    def look(self, findings: list[Finding]) -> bool:
        kept, self.candidates = confirmed(findings, before=self.candidates, held=set(self.ledger.open))
        return self.ledger.take(kept, by_default)

    def open(self) -> dict[str, Any]:
        return {key: replace(held, id=0) for key, held in self.ledger.open.items()}


# Deals


@st.composite
def histories(draw: st.DrawFn) -> list[Deal]:
    """Draw the deals of a netting account's position: opened, added to, reduced, turned round, and closed at last."""
    deals: list[Deal] = []
    side, held = draw(SIDES), 0

    def deal(kind: Side, entry: DealEntry, hundredths: int) -> None:
        number = len(deals) + 1
        deals.append(
            Deal(
                number, number, 77, "EURUSD", DealKind(kind.value), entry, draw(st.sampled_from(list(Reason))),
                hundredths / 100, 1.1 + number / 1000, 0.0 if entry is DealEntry.IN else number * 1.25, -0.01 * number,
                -0.07, 0.0, 7, draw(st.sampled_from([comment_of("aaaaaaaaaa"), ""])), at(number // 2),
            )
        )  # fmt: skip

    for _ in range(draw(st.integers(1, 6))):
        lots = draw(st.integers(1, 30))
        opposite = Side.SELL if side is Side.BUY else Side.BUY
        if held == 0 or draw(st.booleans()):
            deal(side, DealEntry.IN, lots)
            held += lots
        elif lots > held:
            deal(opposite, DealEntry.INOUT, lots)
            side, held = opposite, lots - held
        else:
            deal(opposite, DealEntry.OUT, lots)
            held -= lots
        if held == 0:
            break
    if held and draw(st.booleans()):
        deal(Side.SELL if side is Side.BUY else Side.BUY, DealEntry.OUT, held)
    return deals


def at(seconds: int) -> datetime:
    return AT + timedelta(seconds=seconds)


def exposure_of(deals: list[Deal]) -> float:
    """Add up a position's deals by their side alone: lots that are open, sold ones negative."""
    return round(sum(d.volume if d.kind is DealKind.BUY else -d.volume for d in deals), 8)


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories(), st.integers(0, 2**32))
def test_deals_prove_the_same_however_they_are_told(deals: list[Deal], seed: int) -> None:
    rng = random.Random(seed)
    closure = closure_of(tuple(deals), ours=True)
    assert (closure is not None) == (exposure_of(deals) == 0)
    assert closure_of(tuple(retold(rng, deals)), ours=True) == closure
    for side in Side:
        fill = fill_of(deals, side=side, token="aaaaaaaaaa")
        mine = [d for d in deals if d.kind.value == side.value and d.comment]
        assert (fill.volume if fill else 0.0) == pytest.approx(sum(d.volume for d in mine))
        assert fill_of(retold(rng, deals), side=side, token="aaaaaaaaaa") == fill
        assert fill is None or 0.0 <= fill.opened <= fill.volume


@st.composite
def endings(draw: st.DrawFn) -> tuple[list[HistoricOrder], list[Deal]]:
    """Draw the history and the deals of a resting order that was filled in parts, or not at all, and then ended."""
    parts = draw(st.lists(st.integers(1, 20), max_size=4))
    rest = draw(st.integers(0, 20)) if parts else 10
    state = draw(st.sampled_from([OrderState.CANCELLED, OrderState.EXPIRED])) if rest else OrderState.FILLED
    lots = (sum(parts) + rest) / 100

    def told(state: OrderState, left: float, seconds: int) -> HistoricOrder:
        return HistoricOrder(
            9, 77 if parts else 0, "EURUSD", Side.BUY, OrderKind.LIMIT, state, Reason.EXPERT, lots, left, 1.1, 7,
            comment_of("aaaaaaaaaa"), AT, at(seconds),
        )  # fmt: skip

    # What others did at the same time, and the order's own way through the book
    history = [replace(told(OrderState.FILLED, 0.0, 5), ticket=8), told(OrderState.WORKING, lots, 0)]
    is_told_between, is_closed = draw(st.booleans()), draw(st.booleans())
    history += [told(OrderState.PARTIAL, rest / 100, len(parts))] if parts and is_told_between else []
    history.append(told(state, rest / 100, len(parts) + 1))
    deals = [
        Deal(
            n, 9, 77, "EURUSD", DealKind.BUY, DealEntry.IN, Reason.EXPERT, part / 100, 1.1 + n / 1000, 0.0, 0.0, -0.07,
            0.0, 7, comment_of("aaaaaaaaaa"), at(n),
        )
        for n, part in enumerate(parts, start=1)
    ]  # fmt: skip
    if parts and is_closed:
        deals.append(
            replace(deals[0], ticket=99, order=10, kind=DealKind.SELL, entry=DealEntry.OUT, volume=parts[0] / 100,
                    at=at(len(parts) + 1))
        )  # fmt: skip
    return history, deals


@settings(max_examples=EXAMPLES, deadline=None)
@given(endings(), st.integers(0, 2**32))
def test_a_resting_order_ends_the_same_however_it_is_told(
    told: tuple[list[HistoricOrder], list[Deal]], seed: int
) -> None:  # fmt: skip
    history, deals = told
    rng = random.Random(seed)
    now = at(30)
    ended = ended_of(history, 9)
    assert ended is not None
    right = fill_of_ended(ended, deals, side="buy", at=now)
    assert right is not None
    assert right.volume == right.opened == pytest.approx(ended.volume - ended.volume_left)
    assert ended_of(retold(rng, history), 9) == ended
    for portion in in_portions(rng, deals):
        # A report that lacks something never tells another end: the order waits for the rest of it
        assert fill_of_ended(ended, portion, side="buy", at=now) in (right, None)
    assert fill_of_ended(ended, retold(rng, deals), side="buy", at=now) == right


@settings(max_examples=WITH_DATABASE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deals=histories(), seed=st.integers(0, 2**32))
def test_deals_are_booked_the_same_however_they_are_told(deals: list[Deal], seed: int, world: World) -> None:
    rng = random.Random(seed)
    with transaction.atomic():
        Order.objects.create(
            account=world.account, ticket=77, identifier=77, symbol="EURUSD", side="buy", status="open", volume=1,
            volume_initial=1, price_open=1, opened_at=AT,
        )  # fmt: skip
        for portion in in_portions(rng, deals):
            book_figures(world.account.pk, import_deals(world.account.pk, portion))
        order = Order.objects.get(identifier=77)
        assert DealRow.objects.count() == len(deals)
        assert float(order.profit) == pytest.approx(sum(round(d.profit, 2) for d in deals))
        assert float(order.swap) == pytest.approx(sum(round(d.swap, 2) for d in deals))
        assert float(order.commission) == pytest.approx(sum(round(d.commission, 2) for d in deals))
        told_before = DealRow.objects.count()
        assert import_deals(world.account.pk, retold(rng, deals)) == []
        assert DealRow.objects.count() == told_before
        transaction.set_rollback(True)


# The whole chain


class Mumbling:
    """A gateway that tells everything in another order, twice, and now and then not at all."""

    def __init__(self, gateway: Any, seed: int) -> None:
        self._gateway = gateway
        self._rng = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def book(self) -> Book:
        self._lose()
        book: Book = self._gateway.book()
        return replace(
            book, positions=tuple(retold(self._rng, book.positions)), orders=tuple(retold(self._rng, book.orders))
        )

    def deals(self, since: datetime, until: datetime) -> tuple[Deal, ...]:
        self._lose()
        return tuple(retold(self._rng, self._gateway.deals(since, until)))

    def deals_of(self, position_id: int) -> tuple[Deal, ...]:
        self._lose()
        return tuple(retold(self._rng, self._gateway.deals_of(position_id)))

    def order_history(self, since: datetime, until: datetime) -> tuple[Any, ...]:
        self._lose()
        return tuple(retold(self._rng, self._gateway.order_history(since, until)))

    def _lose(self) -> None:
        if self._rng.random() < 0.15:
            raise ReadError("the report was lost")


@pytest.mark.parametrize("pending", [False, True])
def test_a_broker_that_mumbles_ends_in_the_same_books(world: World, pending: bool) -> None:
    world.bot(
        max_levels=4, target_profit=100_000.0, max_cycles=1, entry_cooldown=86400, take_profit=25.0, pending=pending
    )
    session = world.session
    mumbling: Any = Mumbling(session.gateway, 1)
    for part in (session.orders, session.orders._unknowns, session.reconciler):
        part.gateway = mumbling
    world.run(3)
    for pips in (-11, 45):
        world.move(pips, run=3)
    world.run(12)
    world.assert_equal()
    assert Order.objects.filter(status="closed").count() == 2
    for part in (session.orders, session.orders._unknowns, session.reconciler):
        part.gateway = mumbling._gateway
    rows = Order.objects.order_by("pk").values()
    before = list(rows)
    assert session.reconciler.run().quiet
    assert list(rows) == before
