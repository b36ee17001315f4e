"""The module's surface: constants, structs, conventions, arguments and errors, as MetaTrader5 5.0.6231 has them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from brokers.simulator.constants import CONSTANTS
from brokers.simulator.module import as_module
from brokers.simulator.structs import FIELDS, RATES_DTYPE, TICKS_DTYPE, TYPES, make
from brokers.simulator.terminal import SimulatedTerminal
from tests.brokers.simulator.conftest import START, Rig

STRUCT_SIZES = {
    "AccountInfo": 28, "TerminalInfo": 22, "SymbolInfo": 96, "Tick": 8, "TradeOrder": 24, "TradePosition": 19,
    "TradeDeal": 18, "TradeRequest": 17, "OrderSendResult": 11, "OrderCheckResult": 9, "BookInfo": 4,
}  # fmt: skip


def test_all_constants_are_there_with_their_values(rig: Rig) -> None:
    assert len(CONSTANTS) == 223
    known = {
        "TIMEFRAME_M1": 1, "TIMEFRAME_H1": 16385, "TIMEFRAME_H4": 16388, "TIMEFRAME_D1": 16408, "TIMEFRAME_MN1": 49153,
        "TRADE_ACTION_DEAL": 1, "TRADE_ACTION_PENDING": 5, "TRADE_ACTION_SLTP": 6, "TRADE_ACTION_REMOVE": 8,
        "ORDER_TYPE_BUY": 0, "ORDER_TYPE_SELL_LIMIT": 3, "ORDER_FILLING_FOK": 0, "ORDER_FILLING_IOC": 1,
        "TRADE_RETCODE_DONE": 10009, "TRADE_RETCODE_NO_MONEY": 10019, "DEAL_REASON_SL": 4, "DEAL_REASON_SO": 6,
        "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING": 2, "RES_S_OK": 1, "RES_E_INTERNAL_FAIL_CONNECT": -10004,
        "COPY_TICKS_ALL": -1,
    }  # fmt: skip
    for name, value in known.items():
        assert getattr(rig.mt5, name) == value, name
    with pytest.raises(AttributeError, match="has no attribute 'NO_SUCH'"):
        _ = rig.mt5.NO_SUCH


@pytest.mark.parametrize(("name", "size"), STRUCT_SIZES.items())
def test_structs_are_struct_sequences(name: str, size: int) -> None:
    struct = make(name, {})
    assert len(FIELDS[name].split()) == len(struct) == struct.n_fields == size
    assert not hasattr(struct, "_fields")
    assert not hasattr(struct, "_replace")
    assert list(struct._asdict().values()) == list(struct)
    first = FIELDS[name].split(":", maxsplit=1)[0]
    assert getattr(struct, first) == struct[0]
    assert repr(struct).startswith(f"{name}({first}=")
    with pytest.raises(TypeError, match=f"takes a {size}-sequence"):
        TYPES[name]([1])


def test_a_call_before_initialize_fails_with_no_connection(rig: Rig) -> None:
    fresh = SimulatedTerminal(rig.file, clock=rig.clock)
    for call in (fresh.account_info, fresh.positions_get, fresh.symbols_total, fresh.orders_total, fresh.version):
        assert call() is None
        assert fresh.last_error() == (-10004, "No IPC connection")
    assert fresh.symbol_select("EURUSD", True) is False
    assert fresh.order_send({"action": 1}) is None
    assert fresh.last_error()[0] == -10004


@pytest.mark.parametrize(
    "given",
    [
        {"login": 1001, "password": "wrong", "server": "Sim-Server"},
        {"login": 1002, "password": "pw", "server": "Sim-Server"},
        {"login": 1001, "password": "pw", "server": "Other"},
    ],
)
def test_a_wrong_login_is_refused(rig: Rig, given: dict[str, Any]) -> None:
    fresh = SimulatedTerminal(rig.file, clock=rig.clock)
    assert fresh.initialize(**given) is False
    assert fresh.last_error() == (-6, "Terminal: Authorization failed")
    assert fresh.account_info() is None


def test_shutdown_ends_the_connection_and_initialize_makes_it_again(rig: Rig) -> None:
    rig.mt5.shutdown()
    assert rig.mt5.account_info() is None
    assert rig.mt5.initialize() is True
    assert rig.mt5.account_info() is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("volume", 1), ("volume", np.float32(1)), ("volume", "1"), ("volume", None), ("price", 1), ("sl", 1), ("tp", 1),
        ("magic", -1), ("magic", 1.0), ("magic", np.int64(7)), ("magic", 2**64), ("position", -5), ("deviation", 2.5),
        ("type", "0"), ("expiration", START), ("symbol", 7), ("comment", "x" * 30), ("comment", None),
        ("comment", "🙂" * 15),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused_by_name(rig: Rig, field: str, value: Any) -> None:
    request = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, field: value}
    assert rig.mt5.order_send(request) is None
    assert rig.mt5.last_error() == (-2, f'Invalid "{field}" argument')
    assert rig.mt5.positions_total() == 0


def test_good_types_unknown_keys_and_a_comment_of_29_characters_pass(rig: Rig) -> None:
    result = rig.buy(np.float64(0.1), magic=2**64 - 1, comment="x" * 29, no_such_key=object())
    assert result.retcode == 10009
    (position,) = rig.mt5.positions_get() or ()
    assert (position.magic, position.comment) == (2**64 - 1, "x" * 29)


def test_calling_conventions(rig: Rig) -> None:
    mt5: Any = rig.mt5
    with pytest.raises(TypeError):
        mt5.account_info(1)
    with pytest.raises(TypeError):
        mt5.symbol_info(symbol="EURUSD")
    with pytest.raises(TypeError):
        mt5.last_error(1)
    assert mt5.positions_get("EURUSD") is None
    assert mt5.last_error()[0] == -2
    assert mt5.positions_get(name="EURUSD") is None
    assert mt5.history_deals_get() is None
    assert mt5.history_deals_get(date_from=1, date_to=2) is None
    assert mt5.last_error() == (-2, "Invalid arguments")
    assert mt5.history_deals_get(0, date(2026, 3, 3)) is None
    assert mt5.order_send({"action": 1}, symbol="EURUSD") is None


def test_nothing_is_an_empty_tuple_and_failure_is_none(rig: Rig) -> None:
    assert rig.mt5.positions_get() == ()
    assert rig.mt5.positions_get(ticket=99) == ()
    assert rig.mt5.orders_get(symbol="EURUSD") == ()
    rig.mt5.faults.none_from("positions_get")
    assert rig.mt5.positions_get() is None
    assert rig.mt5.last_error()[0] == -10002
    assert rig.mt5.positions_get() == ()
    assert rig.mt5.last_error() == (1, "Success")


@pytest.mark.parametrize(
    ("group", "found"),
    [("*", 2), ("EUR*", 1), ("*USD*", 1), ("*,!EUR*", 1), ("!EUR*,*", 2), ("GBPJPY", 1), ("nothing", 0), ("*JPY", 1)],
)
def test_groups(make_rig: Any, group: str, found: int) -> None:
    from brokers.simulator.account import SymbolSetup

    rig = make_rig(SymbolSetup("EURUSD"), SymbolSetup("GBPJPY", digits=3, currency_base="GBP", currency_profit="USD"))
    assert len(rig.mt5.symbols_get(group)) == len(rig.mt5.symbols_get(group=group)) == found


def test_unknown_symbols(rig: Rig) -> None:
    assert rig.mt5.symbol_info("NOPE") is None
    assert rig.mt5.last_error()[0] == -4
    assert rig.mt5.symbol_info_tick("NOPE") is None
    assert rig.mt5.symbol_select("NOPE", True) is False
    assert rig.mt5.copy_rates_from_pos("NOPE", 1, 0, 5) is None
    assert rig.send(action=1, symbol="NOPE", volume=0.1, type=0).retcode == 10013


def test_symbol_info_tells_what_sizing_needs(rig: Rig) -> None:
    info = rig.mt5.symbol_info("EURUSD")
    assert info is not None
    assert (info.digits, info.point, info.trade_contract_size) == (5, 1e-5, 100_000.0)
    assert (info.volume_min, info.volume_max, info.volume_step, info.filling_mode) == (0.01, 100.0, 0.01, 3)
    assert info.trade_tick_value == pytest.approx(1.0)
    assert info.spread == 10


def test_times_are_the_servers_wall_clock(rig: Rig) -> None:
    rig.buy()
    (position,) = rig.mt5.positions_get() or ()
    nine = int(datetime(2026, 3, 3, 9, 0, tzinfo=UTC).timestamp())
    assert position.time == nine
    assert position.time_msc == nine * 1000
    assert len(rig.mt5.history_deals_get(nine, nine) or ()) == 2
    assert rig.mt5.history_deals_get(nine - 7200, nine - 3600) == ()
    assert rig.mt5.history_deals_total(nine - 10, nine + 10) == 2


def test_charts_have_the_modules_dtypes_and_closed_arithmetic(rig: Rig) -> None:
    for n in range(1, 200):
        rig.price(1.1 + (n % 7) * 0.0001, after=1.0)
    rates = rig.mt5.copy_rates_from_pos("EURUSD", rig.mt5.TIMEFRAME_M1, 0, 10)
    assert rates is not None
    assert rates.dtype == RATES_DTYPE
    assert (rates["high"] >= rates["low"]).all()
    assert (np.diff(rates["time"]) == 60).all()
    assert rates["tick_volume"].sum() == 200
    ticks = rig.mt5.copy_ticks_from("EURUSD", int(rates["time"][0]), 50, rig.mt5.COPY_TICKS_ALL)
    assert ticks is not None
    assert ticks.dtype == TICKS_DTYPE
    assert len(ticks) == 50
    assert rig.mt5.copy_rates_from_pos("EURUSD", 999, 0, 10) is None
    assert rig.mt5.copy_rates_from_pos("EURUSD", 1, 0, 0) is None
    again = rig.mt5.copy_rates_range("EURUSD", 1, int(rates["time"][0]), int(rates["time"][1]))
    assert again is not None
    assert list(again["time"]) == list(rates["time"][:2])


def test_a_programs_threads_take_turns(rig: Rig) -> None:
    """Frameworks call the module from pools of threads: no call meets another's half-done one."""
    mt5 = as_module(rig.mt5)
    request = {"action": 1, "symbol": "EURUSD", "volume": 0.01, "type": 0, "type_filling": 1}

    def trade(magic: int) -> tuple[int, int]:
        rates = mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 1)
        return mt5.order_send({**request, "magic": magic}).retcode, len(rates)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(trade, range(40))) == {(10009, 1)}
    assert sorted(p.magic for p in mt5.positions_get()) == list(range(40))


@pytest.mark.parametrize(("start", "count", "found"), [(np.int64(0), np.uint8(1), 1), (0, 1.0, None), ("0", 1, None)])
def test_counts_of_bars_are_integers_of_any_kind(rig: Rig, start: Any, count: Any, found: int | None) -> None:
    rates = rig.mt5.copy_rates_from_pos("EURUSD", 1, start, count)
    assert (None if rates is None else len(rates)) == found
    assert (rig.mt5.last_error()[0] == 1) is (found is not None)
