"""Whatever OANDA's server says: a fact that can be kept, or a ReadError; nothing else escapes a parser."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.gateway import ReadError
from brokers.oanda import parse
from core.clock import VirtualClock
from tests.brokers.damage import ODD, damaged, places, unstorable
from tests.brokers.oanda.fake import FakeOanda
from tests.brokers.simulator.conftest import START

MARKED = {"id": "abcdefghjk", "tag": "7", "comment": "td:abcdefghjk"}
MARKET = {
    "type": "MARKET", "instrument": "EUR_USD", "units": "1000", "timeInForce": "FOK",
    "stopLossOnFill": {"price": "1.05"}, "clientExtensions": MARKED, "tradeClientExtensions": MARKED,
}  # fmt: skip
LIMIT = {"type": "LIMIT", "instrument": "EUR_USD", "units": "1000", "price": "1.0", "clientExtensions": MARKED}
PARSERS: dict[str, Callable[[Any], Any]] = {
    "account": lambda row: parse.account(row, 1, "practice"),
    "instrument": lambda row: parse.symbol(row["instrument"], "EURUSD", row["price"], 1.0),
    "price": lambda row: parse.quote(row, "EURUSD"),
    "trade": lambda row: parse.position(row, "EURUSD", 100_000.0, {}, 1.1),
    "order": lambda row: parse.pending(row, "EURUSD", 100_000.0),
    "ended order": lambda row: parse.historic_order(row, "EURUSD", 100_000.0),
    "opening fill": lambda row: parse.deals(row, "EURUSD", 100_000.0, {}),
    "closing fill": lambda row: parse.deals(row, "EURUSD", 100_000.0, {}),
    "candle": lambda row: parse.candle(row, 0.00001),
}


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    """Return a true answer of every kind."""
    fake = FakeOanda(VirtualClock(START))
    try:
        fake.price(1.1, 1.1001)
        fake.order(MARKET)
        fake.order(LIMIT)
        (trade,) = fake.open_trades()
        shown = fake.shown(trade)
        resting = next(dict(o) for o in fake.orders.values() if o["type"] == "LIMIT")
        _, instruments = fake.answer("GET", "instruments", {}, {})
        fake.close(trade["id"], "ALL")
        fills = [t for t in fake.transactions if t["type"] == "ORDER_FILL"]
        ended = next(o for o in fake.orders.values() if o["type"] == "MARKET" and o["state"] == "FILLED")
        return {
            "account": fake.summary(),
            "instrument": {"instrument": instruments["instruments"][0], "price": fake.price_row()},
            "price": fake.price_row(),
            "trade": shown,
            "order": resting,
            "ended order": ended,
            "opening fill": fills[0],
            "closing fill": fills[-1],
            "candle": fake.candles(1)[0],
        }
    finally:
        fake.stop()


def facts_in(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("kind", PARSERS)
def test_a_true_answer_is_read(kind: str, rows: dict[str, Any]) -> None:
    assert facts_in(parse.guarded(kind, PARSERS[kind], rows[kind]))


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_answer_is_a_fact_or_a_failed_read(kind: str, data: st.DataObject, rows: dict[str, Any]) -> None:
    row = rows[kind]
    for path in data.draw(st.lists(st.sampled_from(list(places(row))), min_size=1, max_size=3, unique=True)):
        row = damaged(row, path, data.draw(ODD))
    try:
        found = parse.guarded(kind, PARSERS[kind], row)
    except ReadError:
        return
    assert [unstorable(fact) for fact in facts_in(found) if unstorable(fact)] == []
