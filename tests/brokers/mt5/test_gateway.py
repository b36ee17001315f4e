"""The gateway over the module's surface: what it trusts, what it refuses, and what it makes of every answer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers.domain import CancelOrder, ChangeStops, ClosePosition, OpenPosition, OrderKind, PlaceOrder, Side
from brokers.factory import needs_own_process, open_gateway
from brokers.gateway import ConnectError, ReadError, SymbolError
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.retcodes import Verdict, meaning_of
from brokers.mt5.server_clock import ServerClock
from brokers.simulator.account import SymbolSetup
from brokers.simulator.structs import make
from core.outcome import Accepted, Refused, Unknown
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, SERVER, START, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, symbols=(SymbolSetup("EURUSD"),))


def connect(rig: Rig, **given: Any) -> Mt5Gateway:
    options: dict[str, Any] = {"login": LOGIN, "password": PASSWORD, "server": SERVER, "path": None} | given
    gateway = Mt5Gateway(rig.mt5, clock=rig.clock, **options)
    gateway.connect()
    return gateway


@pytest.fixture
def gateway(rig: Rig) -> Mt5Gateway:
    return connect(rig)


BUY = OpenPosition("EURUSD", Side.BUY, 0.1, magic=7, comment="td:abcdefghjk")


def test_connecting_learns_the_servers_clock(gateway: Mt5Gateway) -> None:
    assert gateway.server_clock.offset == timedelta(hours=2)
    gateway.send(BUY)
    (position,) = gateway.book().positions
    assert position.opened_at == START
    assert [d.at for d in gateway.deals(START - timedelta(hours=1), START)] == [START, START]


def test_no_deal_is_told_with_a_time_that_nobody_knows(rig: Rig) -> None:
    """A deal is booked once and never changed: at a weekend it waits for the first price that arrives."""
    gateway = connect(rig)
    gateway.send(BUY)
    gateway.server_clock = ServerClock()
    rig.clock.advance((datetime(2026, 3, 7, 12, tzinfo=UTC) - rig.clock.now()).total_seconds())
    for read in (gateway.deals, gateway.order_history):
        with pytest.raises(ReadError, match="clock is not known yet"):
            read(START - timedelta(hours=1), rig.clock.now())
    with pytest.raises(ReadError, match="clock is not known yet"):
        gateway.deals_of(1)
    with pytest.raises(ReadError, match="clock is not known yet"):
        gateway.candles("EURUSD", 60, 3)
    with pytest.raises(ReadError, match="clock is not known yet"):
        gateway.candle_range("EURUSD", 60, START, rig.clock.now())
    gateway.server_clock.measure("EURUSD", (rig.clock.now() + timedelta(hours=2)).timestamp() + 1, rig.clock.now())
    assert [d.at for d in gateway.deals(START - timedelta(hours=1), rig.clock.now())] == [START, START]


def test_a_wrong_password_says_what_to_check(rig: Rig) -> None:
    with pytest.raises(ConnectError, match=r"Login 1001 at Sim-Server was refused.*Check login, server and password"):
        connect(rig, password="wrong")


def test_the_password_is_not_in_its_text(gateway: Mt5Gateway) -> None:
    assert PASSWORD not in repr(gateway)


def test_another_login_on_the_terminal_is_never_traded(rig: Rig, gateway: Mt5Gateway) -> None:
    rig.mt5.faults.login_changed(42)
    with pytest.raises(ReadError, match="logged in to 42"):
        gateway.book()
    assert isinstance(gateway.send(BUY), Refused)
    rig.mt5.faults.login_changed(None)
    assert gateway.book().positions == ()


@pytest.mark.parametrize("function", ["positions_get", "orders_get", "account_info", "positions_total", "orders_total"])
def test_none_is_a_failure_and_never_an_empty_book(rig: Rig, gateway: Mt5Gateway, function: str) -> None:
    gateway.send(BUY)
    rig.mt5.faults.none_from(function)
    with pytest.raises(ReadError, match=function):
        gateway.book()
    assert len(gateway.book().positions) == 1


def test_a_book_that_changed_while_it_was_read_is_read_again(
    rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between positions and orders a resting order fills: half of that must not be seen."""
    rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.095)
    read: Callable[[], Any] = rig.mt5.positions_get
    moves = [1.0948]

    def and_then_the_price_moves(*args: Any, **filters: Any) -> Any:
        found = read()
        if moves:
            rig.price(moves.pop())
        return found

    monkeypatch.setattr(rig.mt5, "positions_get", and_then_the_price_moves)
    book = gateway.book()
    assert (len(book.positions), len(book.orders)) == (1, 0)


def test_a_book_that_never_holds_still_is_no_book(
    rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = iter(range(100))
    monkeypatch.setattr(rig.mt5, "positions_total", lambda: next(totals))
    with pytest.raises(ReadError, match="changed during every read"):
        gateway.book()


def test_a_market_order_a_partial_and_a_whole_close(gateway: Mt5Gateway) -> None:
    opened = gateway.send(BUY)
    assert isinstance(opened, Accepted)
    assert (opened.filled, opened.price, opened.code) == (0.1, 1.1001, 10009)
    (position,) = gateway.book().positions
    assert (position.identifier, position.side, position.comment) == (opened.order, Side.BUY, BUY.comment)
    close = ClosePosition("EURUSD", Side.BUY, 0.04, magic=7, comment="c", ticket=position.ticket)
    assert isinstance(gateway.send(close), Accepted)
    (rest,) = gateway.book().positions
    assert rest.volume == 0.06
    whole = ClosePosition("EURUSD", Side.BUY, 0.06, magic=7, comment="c", ticket=position.ticket)
    assert isinstance(gateway.send(whole), Accepted)
    assert gateway.book().positions == ()
    assert [d.entry.value for d in gateway.deals_of(position.identifier)] == ["in", "out", "out"]
    again = gateway.send(whole)
    assert isinstance(again, Accepted)
    assert again.order == 0


def test_a_position_that_a_night_gave_another_ticket_is_still_closed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, symbols=(SymbolSetup("EURUSD", swap_mode=7),))
    gateway = connect(rig)
    opened = gateway.send(BUY)
    assert isinstance(opened, Accepted)
    rig.clock.advance(86_400)
    (position,) = gateway.book().positions
    assert position.ticket != position.identifier == opened.order
    assert isinstance(gateway.send(ChangeStops("EURUSD", opened.order, sl=1.05, tp=0.0, magic=7)), Accepted)
    assert gateway.book().positions[0].sl == 1.05
    closed = gateway.send(ClosePosition("EURUSD", Side.BUY, 0.1, magic=7, comment="c", ticket=opened.order))
    assert isinstance(closed, Accepted)
    assert closed.filled == 0.1
    assert gateway.book().positions == ()


def test_a_netted_position_that_turned_round_is_not_closed_by_an_old_request(tmp_path: Path) -> None:
    rig = Rig(tmp_path, symbols=(SymbolSetup("EURUSD"),), margin_mode=0)
    gateway = connect(rig)
    opened = gateway.send(BUY)
    assert isinstance(opened, Accepted)
    rig.sell(0.3)
    stale = ClosePosition("EURUSD", Side.BUY, 0.1, magic=7, comment="c", ticket=opened.order)
    refused = gateway.send(stale)
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid"
    (position,) = gateway.book().positions
    assert (position.side, position.volume) == (Side.SELL, 0.2)
    fresh = ClosePosition("EURUSD", Side.SELL, 0.2, magic=7, comment="c", ticket=opened.order)
    assert isinstance(gateway.send(fresh), Accepted)
    assert [d.entry.value for d in gateway.deals_of(opened.order)] == ["in", "inout", "out"]


def test_on_a_netting_account_nothing_is_opened_against_an_open_position_by_mistake(tmp_path: Path) -> None:
    rig = Rig(tmp_path, symbols=(SymbolSetup("EURUSD"),), margin_mode=0)
    gateway = connect(rig)
    assert isinstance(gateway.send(BUY), Accepted)
    assert isinstance(gateway.send(BUY), Accepted)
    against = OpenPosition("EURUSD", Side.SELL, 0.5, magic=8, comment="c")
    refused = gateway.send(against)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.text) == ("would_net", "the account nets: it would take from 0.2 lots of EURUSD")
    assert gateway.book().positions[0].volume == 0.2
    meant = gateway.send(replace(against, may_reduce=True))
    assert isinstance(meant, Accepted)
    assert (gateway.book().positions[0].side, gateway.book().positions[0].volume) == (Side.SELL, 0.3)


def test_parts_of_an_order_are_told_as_they_are(tmp_path: Path) -> None:
    rig = Rig(tmp_path, symbols=(SymbolSetup("EURUSD", depth_lots=1.0, depth_steps=1, filling_mask=2),))
    gateway = connect(rig)
    part = gateway.send(OpenPosition("EURUSD", Side.BUY, 3.0, magic=7, comment="c"))
    assert isinstance(part, Accepted)
    assert part.partial
    assert 0 < part.filled < 3.0
    assert gateway.book().positions[0].volume == part.filled
    none = gateway.send(BUY)
    assert isinstance(none, Refused)
    assert none.reason == "reject"


def test_resting_orders_and_stops(gateway: Mt5Gateway) -> None:
    placed = gateway.send(
        PlaceOrder("EURUSD", Side.BUY, OrderKind.LIMIT, 0.1, 1.09, sl=1.08, tp=1.12, magic=7, comment="p")
    )
    assert isinstance(placed, Accepted)
    (resting,) = gateway.book().orders
    assert (resting.ticket, resting.kind, resting.price, resting.sl) == (placed.order, OrderKind.LIMIT, 1.09, 1.08)
    assert isinstance(gateway.send(CancelOrder("EURUSD", placed.order, 7)), Accepted)
    assert gateway.book().orders == ()
    opened = gateway.send(BUY)
    assert isinstance(opened, Accepted)
    stops = ChangeStops("EURUSD", opened.order, sl=1.09, tp=1.12, magic=7)
    assert isinstance(gateway.send(stops), Accepted)
    assert isinstance(gateway.send(stops), Accepted)
    assert gateway.book().positions[0].sl == 1.09


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (OpenPosition("EURUSD", Side.BUY, 0.001, 7, "c"), "volume"),
        (OpenPosition("EURUSD", Side.BUY, 0.015, 7, "c"), "volume"),
        (OpenPosition("EURUSD", Side.BUY, 500.0, 7, "c"), "volume"),
    ],
)
def test_what_cannot_pass_is_not_sent(rig: Rig, gateway: Mt5Gateway, request_: OpenPosition, code: str) -> None:
    outcome = gateway.send(request_)
    assert isinstance(outcome, Refused)
    assert code in outcome.reason
    assert rig.mt5._requests == 0


def test_no_reply_is_unknown_and_is_not_sent_again(rig: Rig, gateway: Mt5Gateway) -> None:
    rig.mt5.faults.reply_lost_after_execution()
    assert isinstance(gateway.send(BUY), Unknown)
    assert len(gateway.book().positions) == 1


def test_a_reply_to_another_request_is_unknown(rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    send = rig.mt5.order_send

    def crossed(request: dict[str, Any]) -> Any:
        result = send(request)
        assert result is not None
        return make("OrderSendResult", {**result._asdict(), "request": make("TradeRequest", {"symbol": "GBPUSD"})})

    monkeypatch.setattr(rig.mt5, "order_send", crossed)
    outcome = gateway.send(BUY)
    assert isinstance(outcome, Unknown)
    assert "another request" in outcome.cause


def test_an_exception_after_the_call_is_unknown(rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: dict[str, Any]) -> Any:
        raise ConnectionResetError("pipe")

    monkeypatch.setattr(rig.mt5, "order_send", broken)
    assert isinstance(gateway.send(BUY), Unknown)


CLASSES = {
    Verdict.DONE: [10009], Verdict.PARTIAL: [10010], Verdict.PLACED: [10008],
    Verdict.UNKNOWN: [10011, 10012, 10031, 10002, 10005, 10099, 0],
    Verdict.FRESH_PRICE: [10004, 10020, 10021],
}  # fmt: skip


@pytest.mark.parametrize(("verdict", "code"), [(v, c) for v, codes in CLASSES.items() for c in codes])
def test_return_codes_mean_what_the_reference_says(verdict: Verdict, code: int) -> None:
    assert meaning_of(code).verdict is verdict


@pytest.mark.parametrize("code", [10006, 10013, 10014, 10016, 10017, 10018, 10019, 10026, 10027, 10030, 10040, 10046])
def test_a_refusal_ends_the_intent(rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refused(request: dict[str, Any]) -> Any:
        return make("OrderSendResult", {"retcode": code, "request": make("TradeRequest", request)})

    monkeypatch.setattr(rig.mt5, "order_send", refused)
    outcome = gateway.send(BUY)
    assert isinstance(outcome, Refused)
    assert outcome.code == code


@pytest.mark.parametrize(("ours", "theirs"), [("EURUSD", "EURUSD"), ("EURUSD", "EURUSD.r"), ("EURUSD", "EURUSDm")])
def test_the_brokers_name_of_a_symbol_is_found(tmp_path: Path, ours: str, theirs: str) -> None:
    gateway = connect(Rig(tmp_path, symbols=(SymbolSetup(theirs),)))
    assert gateway.quote(ours).symbol == ours
    gateway.send(BUY)
    assert gateway.book().positions[0].symbol == ours


def test_an_unknown_or_ambiguous_symbol_is_said(tmp_path: Path) -> None:
    gateway = connect(Rig(tmp_path, symbols=(SymbolSetup("EURUSD.r"), SymbolSetup("EURUSDm"))))
    with pytest.raises(SymbolError, match=r"could be EURUSD\.r, EURUSDm"):
        gateway.quote("EURUSD")
    with pytest.raises(SymbolError, match="no symbol like XAUUSD"):
        gateway.quote("XAUUSD")


@pytest.mark.parametrize(
    ("field", "value"),
    [("volume", float("nan")), ("volume", 0.0), ("price_open", -1.0), ("ticket", 0), ("identifier", -5), ("type", 9),
     ("profit", float("inf")), ("time_msc", -1)],
)  # fmt: skip
def test_a_figure_that_is_none_is_a_failed_read(
    rig: Rig, gateway: Mt5Gateway, monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    gateway.send(BUY)
    (row,) = rig.mt5.positions_get() or ()
    broken = make("TradePosition", {**row._asdict(), field: value})
    monkeypatch.setattr(rig.mt5, "positions_get", lambda: (broken,))
    with pytest.raises(ReadError):
        gateway.book()


def test_candles_are_closed_ones(rig: Rig, gateway: Mt5Gateway) -> None:
    for n in range(300):
        rig.price(1.1 + n * 1e-5, after=1.0)
    candles = gateway.candles("EURUSD", 60, 3)
    assert [c.at for c in candles] == [START + timedelta(minutes=m) for m in (2, 3, 4)]
    with pytest.raises(ReadError, match="no candles of 7 s"):
        gateway.candles("EURUSD", 7, 3)


def test_candles_on_both_sides_of_a_summer_time_keep_their_own_offset(rig: Rig) -> None:
    """A range that spans the change is not moved as a whole by the offset of today."""
    begin = START
    gateway = connect(rig)
    rig.price(1.1, after=90.0)
    rig.price(1.1001, after=60.0)
    summer = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
    rig.clock.advance((summer - rig.clock.now()).total_seconds())
    for _ in range(10):
        rig.price(1.2, after=30.0)
        gateway.quote("EURUSD")
    assert gateway.clock_offset() is not None
    assert gateway.server_clock.offset == timedelta(hours=3)
    for seconds in (60, 30):
        found = gateway.candle_range("EURUSD", seconds, begin, rig.clock.now())
        times = [datetime.fromtimestamp(at, UTC) for at in found.at]
        assert {at for at in times if at < summer} <= {begin + timedelta(seconds=30 * n) for n in range(7)}
        assert next(at for at in times if at >= summer) < summer + timedelta(seconds=61)


def test_the_factory_says_what_is_missing(rig: Rig) -> None:
    given: dict[str, Any] = {
        "login": 1, "password": "x", "server": "s", "symbol_map": {}, "clock": rig.clock, "options": {}
    }  # fmt: skip
    with pytest.raises(ConnectError, match="no state file"):
        open_gateway("simulator", **given)
    with pytest.raises(ConnectError, match="no gateway for brokers of kind 'nobody'"):
        open_gateway("nobody", **given)
    assert needs_own_process("mt5")
    assert not needs_own_process("simulator")
