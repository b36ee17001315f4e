"""What is JForex's own: labels, listed refusals, deadlines and holders, pages, the WebSocket, the bridge's address."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers.domain import CancelOrder, ChangeStops, ClosePosition, DealEntry, OpenPosition, Reason, Side
from brokers.gateway import ConnectError, Permit, ReadError
from brokers.jforex import client
from brokers.jforex.client import parse_address
from brokers.jforex.gateway import JForexGateway
from core.clock import SystemClock
from core.outcome import Refused, Unknown
from marketdata.quotes import Market
from tests.brokers.conformance.behaviours import BUY, opened
from tests.brokers.conformance.jforex import JForexBench
from tests.brokers.jforex.fake import LOGIN, TOKEN
from tests.brokers.simulator.conftest import START


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[JForexBench]:
    made = JForexBench(tmp_path)
    yield made
    made.close()


def answer_next(bench: JForexBench, status: int, body: Any) -> None:
    bench.fake.faults.append("answer " + json.dumps([status, body if isinstance(body, str) else json.dumps(body)]))


def test_an_order_bears_intent_and_magic_and_a_stranger_with_our_comment_is_nobodys(bench: JForexBench) -> None:
    gateway = bench.connected()
    position = opened(bench, gateway)
    (order,) = bench.fake.orders.values()
    assert (order["label"], order["comment"]) == ("td_intent0001", "7 td:abcdefghjk")
    bench.fake.submit({**order, "label": "Hand", "units": 1000.0})
    ours, theirs = gateway.book().positions
    assert (ours.identifier, ours.magic, ours.comment) == (position.identifier, 7, "td:abcdefghjk")
    assert (theirs.magic, theirs.comment) == (0, "7 td:abcdefghjk")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, {"error": "no_margin"}, Refused),
        (503, {"error": "not_connected"}, Refused),
        (401, {"error": "unauthorised"}, Refused),
        (409, {"error": "duplicate_label"}, Unknown),
        (409, {"error": "something_new"}, Unknown),
        (409, {"error": ["no_margin"]}, Unknown),
        (409, "<html>", Unknown),
        (503, "", Unknown),
        (202, {"order": {"id": 5, "label": "td_x", "state": "CREATED", "fills": []}}, Unknown),
        (200, {"order": {"id": 5, "label": "td_x", "state": "CREATED", "fills": []}}, Unknown),
        (200, {"order": {"id": 5, "label": "td_y", "state": "FILLED", "fills": [{"units": 1, "price": 1}]}}, Unknown),
        (200, {"order": {"id": 5, "label": "td_x", "state": "FILLED", "fills": []}}, Unknown),
        (200, {"order": {"id": "5", "label": "td_x", "state": "OPENED", "fills": []}}, Unknown),
        (200, {}, Unknown),
    ],
)
def test_only_a_listed_code_is_a_refusal_and_only_our_order_an_answer(
    bench: JForexBench, status: int, body: Any, kind: type
) -> None:
    gateway = bench.connected()
    answer_next(bench, status, body)
    assert isinstance(gateway.send(BUY, bench.permit("x")), kind)


def test_answers_about_another_order_are_unknown(bench: JForexBench) -> None:
    gateway = bench.connected()
    position = opened(bench, gateway)
    other = {"order": {"id": position.ticket + 1, "state": "CANCELED", "sl": 1.0, "tp": None}, "close": 0}
    left = {"order": {"id": position.ticket, "state": "OPENED", "sl": 1.05, "tp": None}}
    close = ClosePosition("EURUSD", Side.BUY, 0.2, position.ticket, 7, "c")
    cancel, stops = CancelOrder("EURUSD", position.ticket, 7), ChangeStops("EURUSD", position.ticket, 1.04, 0.0, 7)
    for request, body in ((close, other), (cancel, other), (cancel, left), (stops, other), (stops, left)):
        answer_next(bench, 200, body)
        assert isinstance(gateway.send(request, bench.permit()), Unknown)
    assert bench.open_lots() == pytest.approx(0.2)


def test_an_older_holder_and_a_late_request_do_nothing(bench: JForexBench) -> None:
    old = bench.connected()
    bench.gateway().connect(2)
    outcome = old.send(BUY, bench.permit())
    assert isinstance(outcome, Refused)
    assert outcome.reason == "stale_fence"
    late = bench.gateway()
    with pytest.raises(ConnectError, match="fencing token 1"):
        late.connect(1)
    ask = late._client.ask

    def slow(*args: Any, **rest: Any) -> Any:
        if args[0] == "POST":
            bench.clock.advance(11)
        return ask(*args, **rest)

    late._client.ask = slow  # type: ignore[method-assign]
    outcome = late.send(BUY, Permit("a1", 2, bench.clock.now() + timedelta(seconds=10)))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, bench.executed()) == ("expired", 0)
    assert isinstance(late.send(BUY, None), Refused)
    assert isinstance(late.send(BUY, Permit("a-b", 2, bench.clock.now() + timedelta(seconds=10))), Refused)
    assert bench.executed() == 0


def test_a_price_that_ran_away_is_refused_and_may_be_tried_afresh(bench: JForexBench) -> None:
    gateway = bench.connected()
    post = bench.fake.post

    def moved(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bench.fake.price(1.2, 1.2001)
        return post(path, body)

    bench.fake.post = moved  # type: ignore[method-assign]
    outcome = gateway.send(BUY, bench.permit())
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fresh_price) == ("price_moved", True)


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "{}"), (200, "[]"), (200, "no json"), (500, "{}"), (200, '{"orders": []}'),
     (200, '{"account": {}, "orders": []}')],
)  # fmt: skip
def test_what_is_not_a_whole_book_is_none(bench: JForexBench, status: int, text: str) -> None:
    gateway = bench.connected()
    bench.fake.faults.append("read " + json.dumps([status, text]))
    with pytest.raises(ReadError):
        gateway.book()


def test_a_figure_that_is_none_and_another_account_are_read_errors(bench: JForexBench) -> None:
    gateway = bench.connected()
    for said in ({"equity": "NaN"}, {"login": LOGIN + 1}, {"demo": False}, {"demo": "yes"}):
        bench.fake.said_of_account = said
        with pytest.raises(ReadError):
            gateway.book()


@pytest.mark.parametrize(
    ("said", "told", "words"),
    [
        ({"login": 5}, {}, "serves account 5"),
        ({"demo": False}, {}, "at live"),
        ({"hedging": False}, {}, "nets"),
        ({"connected": False}, {}, "no connection to Dukascopy"),
        ({}, {"protocol": 2}, "protocol 2"),
    ],
)
def test_a_bridge_that_serves_something_else_is_refused(
    bench: JForexBench, said: dict[str, Any], told: dict[str, Any], words: str
) -> None:
    bench.fake.said_of_account = said
    bench.fake.told |= told
    with pytest.raises(ConnectError, match=words) as caught:
        bench.connected()
    assert caught.value.fix


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:7080", "http://", "ftp://127.0.0.1", "http://10.0.0.5:7080", "http://127.0.0.1:7080/v1",
     "https://user:secret@bridge", "http://127.0.0.1:99999", "http://localhost.example"],
)  # fmt: skip
def test_the_token_goes_to_this_machine_or_over_tls(address: str) -> None:
    with pytest.raises(ValueError, match=r"http"):
        parse_address(address)
    assert parse_address(" http://[::1]:7080/ ") == "http://[::1]:7080"
    assert parse_address("https://bridge.example") == "https://bridge.example"


def test_the_ledger_is_read_page_by_page_and_adds_up(bench: JForexBench) -> None:
    gateway = bench.connected()
    assert isinstance(gateway, JForexGateway)
    for _ in range(5):
        position = opened(bench, gateway)
        gateway.send(ClosePosition("EURUSD", Side.BUY, 0.05, position.ticket, 7, "c"), bench.permit())
        gateway.send(ClosePosition("EURUSD", Side.BUY, 0.15, position.ticket, 7, "c"), bench.permit())
    deals = gateway.deals(START - timedelta(hours=1), bench.clock.now())
    trades = [d for d in deals if d.position_id]
    assert sorted(d.entry for d in trades) == [DealEntry.IN] * 5 + [DealEntry.OUT] * 10
    assert len({d.ticket for d in deals}) == len(deals) == 16
    assert sum(d.net for d in deals) == pytest.approx(bench.fake.balance)
    bench.fake._ended = lambda *_: (200, {"orders": [], "next": 1})  # type: ignore[method-assign]
    with pytest.raises(ReadError, match="do not end"):
        gateway.deals(START, bench.clock.now())


def test_a_stop_at_the_broker_closes_with_its_reason(bench: JForexBench) -> None:
    gateway = bench.connected()
    position = opened(bench, gateway, OpenPosition("EURUSD", Side.BUY, 0.2, 7, "td:a", sl=1.09, tp=1.12))
    assert (position.sl, position.tp) == (1.09, 1.12)
    bench.price(1.1201, 1.1202)
    assert gateway.deals_of(position.identifier)[-1].reason is Reason.TAKE_PROFIT


def test_what_a_move_is_worth_is_converted_through_crosses(bench: JForexBench) -> None:
    bench.fake.others = {"EUR/JPY": (160.0, 160.02), "GBP/JPY": (190.0, 190.1), "CAD/CHF": (0.6, 0.61)}
    gateway = bench.connected()
    assert gateway.spec("EURJPY").value_per_price == pytest.approx(100_000 * 1.1 / 160.02)
    with pytest.raises(ReadError, match="Nothing converts CHF into USD"):
        gateway.spec("CADCHF")


def test_an_answer_without_an_end_is_none(bench: JForexBench, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = bench.connected()
    monkeypatch.setattr(client, "BYTES_MAX", 100)
    with pytest.raises(ReadError, match="does not end"):
        gateway.book()


def wait_for(condition: Callable[[], bool]) -> None:
    clock = SystemClock()
    until = clock.ticks() + 60
    while not condition():
        assert clock.ticks() < until
        clock.sleep(0.01)


def test_prices_come_by_websocket_and_by_asking_when_it_falls_silent(bench: JForexBench) -> None:
    gateway = bench.gateway(is_streaming=True)
    gateway.connect()
    market = Market(gateway, bench.clock)
    assert market.refresh(["EURUSD"])["EURUSD"].bid == 1.1
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    asked = len(bench.fake.requests)
    bench.fake.bid, bench.fake.ask = 1.2, 1.2001
    handler, _ = bench.fake.streams[0]
    handler.tell(bench.fake.price_row())
    wait_for(lambda: market.refresh(["EURUSD"])["EURUSD"].bid == 1.2)
    assert len(bench.fake.requests) == asked
    handler.tell({**bench.fake.price_row(), "bid": None})
    wait_for(lambda: gateway.streamed("EURUSD") is None)
    handler.tell(bench.fake.price_row())
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    bench.clock.advance(11)
    bench.fake.bid = 1.15
    assert market.refresh(["EURUSD"])["EURUSD"].bid == 1.15
    assert market.feed().has_fallen_back
    handler.tell(bench.fake.price_row(), skipped=1)
    wait_for(lambda: len(bench.fake.streams) > 1)
    wait_for(lambda: not market.feed().has_fallen_back)
    assert "lost" in gateway.stream_state().last_error
    gateway.close()
    for _, over in bench.fake.streams:
        over.set()


def test_a_stream_asks_with_the_token(bench: JForexBench) -> None:
    gateway = JForexGateway(address=bench.fake.url, login=LOGIN, token=TOKEN[:-1], server="demo", clock=bench.clock)
    stream = gateway._stream
    assert stream is not None
    stream.follow(frozenset({"EUR/USD"}))
    wait_for(lambda: stream.state().failures > 0)
    assert "401" in stream.state().last_error
    gateway.close()
