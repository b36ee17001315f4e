"""Whatever a terminal or its bridge says: a fact that can be kept, or a ReadError; nothing else escapes a parser."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.gateway import ClockOffset, ReadError
from brokers.mt5 import parse
from brokers.mt5.server_clock import ServerClock
from brokers.simulator.account import SymbolSetup
from tests.brokers.damage import GONE, ODD, unstorable
from tests.brokers.simulator.conftest import START, Rig

CLOCK = ServerClock([ClockOffset(timedelta(hours=2), START - timedelta(days=1), is_confirmed=True)])
PARSERS: dict[str, Callable[[Any], object]] = {
    "account": parse.account,
    "symbol": lambda row: parse.symbol(row, "EURUSD", 1000.0),
    "tick": lambda row: parse.quote(row, "EURUSD", CLOCK),
    "position": lambda row: parse.position(row, "EURUSD", CLOCK),
    "order": lambda row: parse.pending(row, "EURUSD", CLOCK),
    "historic order": lambda row: parse.historic_order(row, "EURUSD", CLOCK),
    "deal": lambda row: parse.deal(row, "EURUSD", CLOCK),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return a true row of every kind, by the names of its fields."""
    folder: Path = tmp_path_factory.mktemp("terminal")
    rig = Rig(folder, symbols=(SymbolSetup("EURUSD"),))
    rig.buy(magic=7, comment="td:abcdefghjk")
    rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.0)
    mt5, ever = rig.mt5, (0, START.timestamp() + 10**7)
    answers = {
        "account": mt5.account_info(),
        "symbol": mt5.symbol_info("EURUSD"),
        "tick": mt5.symbol_info_tick("EURUSD"),
        "position": (mt5.positions_get() or ())[0],
        "order": (mt5.orders_get() or ())[0],
        "historic order": (mt5.history_orders_get(*ever) or ())[-1],
        "deal": (mt5.history_deals_get(*ever) or ())[-1],
    }
    return {kind: dict(row._asdict()) for kind, row in answers.items() if row is not None}


@pytest.mark.parametrize("kind", PARSERS)
def test_a_true_row_is_read(kind: str, rows: dict[str, dict[str, Any]]) -> None:
    assert dataclasses.is_dataclass(parse.guarded(kind, PARSERS[kind], SimpleNamespace(**rows[kind])))


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=400)
@given(data=st.data())
def test_a_damaged_row_is_a_fact_or_a_failed_read(
    kind: str, data: st.DataObject, rows: dict[str, dict[str, Any]]
) -> None:
    row = dict(rows[kind])
    for name in data.draw(st.lists(st.sampled_from(sorted(row)), min_size=1, max_size=3, unique=True)):
        row[name] = data.draw(ODD)
    told = SimpleNamespace(**{name: value for name, value in row.items() if value is not GONE})
    try:
        fact = parse.guarded(kind, PARSERS[kind], told)
    except ReadError:
        return
    assert dataclasses.is_dataclass(fact)
    assert unstorable(fact) == {}
