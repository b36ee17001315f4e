"""Whatever an exchange says through ccxt: facts that can be kept, or a ReadError; nothing else escapes a read."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.crypto.gateway import CryptoGateway
from brokers.crypto.reading import CryptoReader, guarded
from brokers.domain import Book, OpenPosition, OrderKind, PlaceOrder, Side
from brokers.gateway import ReadError
from tests.brokers.conformance.crypto import CryptoBench
from tests.brokers.damage import ODD, damaged, places, unstorable
from tests.brokers.simulator.conftest import START

METHODS = (
    "fetch_balance", "fetch_positions", "fetch_open_orders", "fetch_my_trades", "fetch_order_book", "fetch_ohlcv",
    "fetch_orders", "fetch_closed_orders", "fetch_canceled_orders",
)  # fmt: skip
EVER = (START - timedelta(days=1), START + timedelta(days=1))
READS: dict[str, Callable[[CryptoGateway], Any]] = {
    "account": lambda gateway: gateway.account(),
    "book": lambda gateway: gateway.book(),
    "price": lambda gateway: gateway.quote("EURUSD"),
    "deals": lambda gateway: gateway.deals(*EVER),
    "orders": lambda gateway: gateway.order_history(*EVER),
    "candles": lambda gateway: gateway.candles("EURUSD", 60, 5),
}


class Listening:
    """A gateway whose exchange's answers are kept, and can be given again as they are or damaged."""

    def __init__(self, folder: Path) -> None:
        self.bench = CryptoBench(folder)
        self.bench.price(1.1, 1.1001)
        gateway = self.bench.connected()
        assert isinstance(gateway, CryptoGateway)
        self.gateway = gateway
        for request in (
            OpenPosition("EURUSD", Side.BUY, 0.2, 7, "td:abcdefghjk"),
            PlaceOrder("EURUSD", Side.BUY, OrderKind.LIMIT, 0.2, 1.0, 7, "td:abcdefghjm"),
        ):
            self.gateway.send(request, self.bench.permit(request.comment[3:]))
        self.bench.clock.advance(120)
        self.bench.price(1.1002, 1.1003)
        self.answers: dict[str, Any] = {}
        self.said: dict[str, Any] = {}
        self.asked: set[str] = set()
        for name in METHODS:
            setattr(self.gateway._exchange, name, self._kept(name, getattr(self.gateway._exchange, name)))
        for read in READS.values():
            read(self.gateway)

    def _kept(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*args: Any, **rest: Any) -> Any:
            self.asked.add(name)
            if name in self.said:
                return self.said[name]
            found = real(*args, **rest)
            self.answers.setdefault(name, found)
            return found

        return answer

    def read(self, kind: str, said: dict[str, Any]) -> tuple[Any, ...]:
        """Let a reader that knows nothing read from these answers."""
        self.said = said
        self.gateway._fills.clear()
        self.gateway._carried.clear()
        found = READS[kind](self.gateway)
        if isinstance(found, Book):
            return found.account, *found.positions, *found.orders
        return found if isinstance(found, tuple) else (found,)


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    made = Listening(tmp_path_factory.mktemp("exchange"))
    yield made
    made.bench.close()


@pytest.mark.parametrize("kind", READS)
def test_true_answers_are_read(kind: str, listening: Listening) -> None:
    assert all(map(dataclasses.is_dataclass, listening.read(kind, listening.answers)))


@pytest.mark.parametrize("kind", READS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_answers_are_facts_or_a_failed_read(kind: str, data: st.DataObject, listening: Listening) -> None:
    listening.asked.clear()
    listening.read(kind, listening.answers)
    name = data.draw(st.sampled_from(sorted(name for name in listening.asked if list(places(listening.answers[name])))))
    answer = listening.answers[name]
    for path in data.draw(st.lists(st.sampled_from(list(places(answer))), min_size=1, max_size=3, unique=True)):
        answer = damaged(answer, path, data.draw(ODD))
    try:
        found = listening.read(kind, {**listening.answers, name: answer})
    except ReadError:
        return
    assert [unstorable(fact) for fact in found if unstorable(fact)] == []


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_market_is_a_specification_or_a_failed_read(data: st.DataObject, listening: Listening) -> None:
    row = next(iter(listening.gateway._markets().values()))
    parts = {key: row[key] for key in ("precision", "limits", "contractSize", "base", "quote", "active")}
    for path in data.draw(st.lists(st.sampled_from(list(places(parts))), min_size=1, max_size=3, unique=True)):
        parts = damaged(parts, path, data.draw(ODD))
    try:
        found = guarded("market", CryptoReader._spec, parts, "EURUSD")
    except ReadError:
        return
    assert unstorable(found) == {}
