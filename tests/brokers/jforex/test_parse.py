"""Whatever a bridge says: a fact that can be kept, or a ReadError; nothing else escapes a parser."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.gateway import ReadError
from brokers.jforex import parse
from core.clock import VirtualClock
from tests.brokers.damage import ODD, damaged, places, unstorable
from tests.brokers.jforex.fake import FakeBridge, ms
from tests.brokers.simulator.conftest import START

PARSERS: dict[str, Callable[[Any], Any]] = {
    "account": parse.account,
    "instrument": lambda row: parse.symbol(row["instrument"], "EURUSD", row["price"], 1.0, 100),
    "price": lambda row: parse.quote(row, "EURUSD"),
    "position": lambda row: parse.position(row, "EURUSD", 100_000.0),
    "resting order": lambda row: parse.pending(row, "EURUSD", 100_000.0),
    "ended order": lambda row: parse.historic_order(row, "EURUSD", 100_000.0),
    "deals": lambda row: tuple(parse.deals(row, "EURUSD", 100_000.0)),
    "money": parse.money,
    "candle": lambda row: parse.candle(row, 0.00001),
}


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    """Return a true answer of every kind."""
    clock = VirtualClock(START)
    fake = FakeBridge(clock)
    wanted = {"label": "td_abcdefghjk", "comment": "7 td:abcdefghjk", "instrument": "EUR/USD", "units": 1000.0}
    try:
        fake.price(1.1, 1.1001)
        held = fake.submit({**wanted, "command": "BUY", "price": 0.0, "sl": 1.05, "tp": 1.2})
        resting = fake.submit({**wanted, "command": "BUYLIMIT", "price": 1.0, "sl": 0.0, "tp": 0.0})
        gone = fake.submit({**wanted, "command": "SELL", "price": 0.0, "sl": 1.1, "tp": 0.0})
        clock.advance(61)
        fake.price(1.1002, 1.1003)
        return {
            "account": fake.account(),
            "instrument": {"instrument": fake.instruments()[0], "price": fake.price_row()},
            "price": fake.price_row(),
            "position": fake.shown(held),
            "resting order": fake.shown(resting),
            "ended order": gone,
            "deals": gone,
            "money": {"id": 5, "amount": 100.0, "text": "deposit", "at": ms(START)},
            "candle": fake.candles(1)[0],
        }
    finally:
        fake.stop()


def facts_in(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else () if found is None else (found,)


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
