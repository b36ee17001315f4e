"""What is OANDA's own: cancelled 201s, codes, FIFO and no-hedging accounts, pages, the price stream, the budget."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brokers.budget import Budget
from brokers.domain import ClosePosition, DealEntry, MarginMode, OpenPosition, Reason, Side
from brokers.gateway import ConnectError, ReadError
from brokers.oanda.gateway import OandaGateway
from core.clock import SystemClock, VirtualClock
from core.outcome import Accepted, Refused, Unknown
from marketdata.quotes import Market
from tests.brokers.conformance.behaviours import BUY, opened
from tests.brokers.conformance.oanda import OandaBench
from tests.brokers.simulator.conftest import START

Make = Callable[..., OandaBench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OandaBench] = []

    def build(**account: Any) -> OandaBench:
        made.append(OandaBench(tmp_path, **account))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


def test_an_order_carries_intent_magic_and_comment_on_itself_and_on_its_trade(make: Make) -> None:
    bench = make()
    bench.connected().send(BUY, bench.permit("abcdefghjk"))
    (order,) = bench.fake.orders.values()
    (trade,) = bench.fake.open_trades()
    mark = {"id": "abcdefghjk", "tag": "7", "comment": BUY.comment}
    assert order["clientExtensions"] == order["tradeClientExtensions"] == trade["clientExtensions"] == mark


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [("cancel", Refused, "insufficient_margin"), ("too many", Refused, "too_many_requests"),
     ("unavailable", Unknown, "")],
)  # fmt: skip
def test_only_proof_is_a_refusal(make: Make, fault: str, kind: type, reason: str) -> None:
    bench = make()
    bench.fake.faults.append(fault)
    outcome = bench.connected().send(BUY, bench.permit())
    assert isinstance(outcome, kind)
    assert getattr(outcome, "reason", "") == reason
    assert bench.executed() == 0


def test_a_price_that_ran_away_is_refused_with_the_bound(make: Make) -> None:
    bench = make()
    gateway = bench.connected()
    answer = bench.fake.order

    def moved(wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bench.fake.price(1.2, 1.2001)
        return answer(wanted)

    bench.fake.order = moved  # type: ignore[method-assign]
    outcome = gateway.send(BUY, bench.permit())
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fresh_price) == ("bounds_violation", True)


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "{}"), (200, "[]"), (200, "not json"), (500, "{}"), (200, '{"account": {"trades": [{}], "orders": []}}')],
)
def test_what_is_not_a_whole_account_is_no_book(make: Make, status: int, text: str) -> None:
    bench = make()
    gateway = bench.connected()
    opened(bench, gateway)
    bench.fake.faults.append("read " + json.dumps([status, text]))
    with pytest.raises(ReadError):
        gateway.book()


def test_a_netting_account_never_lets_one_bots_order_reduce_anothers_trade(make: Make) -> None:
    bench = make(is_hedging=False)
    gateway = bench.connected()
    assert gateway.account().margin_mode is MarginMode.NETTING
    position = opened(bench, gateway)
    outcome = gateway.send(OpenPosition("EURUSD", Side.SELL, 0.1, 8, "td:b"), bench.permit())
    assert isinstance(outcome, Refused)
    assert [p.identifier for p in gateway.book().positions] == [position.identifier]


def test_a_fifo_account_closes_the_oldest_of_a_size_first(make: Make) -> None:
    bench = make(is_hedging=False, fifo=True)
    gateway = bench.connected()
    first, second = opened(bench, gateway), opened(bench, gateway)
    closes = [ClosePosition("EURUSD", Side.BUY, 0.2, p.ticket, 7, "c") for p in (second, first, second)]
    outcomes = [gateway.send(close, bench.permit()) for close in closes]
    assert [type(o) for o in outcomes] == [Refused, Accepted, Accepted]
    assert getattr(outcomes[0], "reason", "") == "fifo_violation"


def test_a_persons_opposite_order_on_a_netting_account_closes_and_reduces_with_its_deals(make: Make) -> None:
    bench = make(is_hedging=False)
    gateway = bench.connected()
    first, second = opened(bench, gateway), opened(bench, gateway)
    bench.by_hand(Side.SELL, 0.3)
    (rest,) = gateway.book().positions
    assert rest.identifier == second.identifier
    assert rest.volume == pytest.approx(0.1)
    out = gateway.deals_of(first.identifier)[-1]
    assert (out.entry, out.volume, out.magic) == (DealEntry.OUT, 0.2, 7)
    tickets = [d.ticket for p in (first, second) for d in gateway.deals_of(p.identifier)]
    assert len(set(tickets)) == len(tickets) == 4


def test_the_ledger_is_read_page_by_page_and_since_an_id(make: Make) -> None:
    bench = make()
    gateway = bench.connected()
    assert isinstance(gateway, OandaGateway)
    for _ in range(5):
        position = opened(bench, gateway)
        gateway.send(ClosePosition("EURUSD", Side.BUY, 0.2, position.ticket, 7, "c"), bench.permit())
    deals = gateway.deals(START - timedelta(hours=1), bench.clock.now())
    assert [d.entry for d in deals if d.position_id] == [DealEntry.IN, DealEntry.OUT] * 5
    assert sum(d.net for d in deals) == pytest.approx(bench.fake.balance)
    assert gateway.deals_since(1) == tuple(d for d in deals if d.position_id)


def test_a_stop_at_the_broker_closes_with_its_reason(make: Make) -> None:
    bench = make()
    gateway = bench.connected()
    request = OpenPosition("EURUSD", Side.BUY, 0.2, 7, "td:a", sl=1.09, tp=1.12)
    position = opened(bench, gateway, request)
    assert (position.sl, position.tp) == (1.09, 1.12)
    bench.price(1.1201, 1.1202)
    assert gateway.deals_of(position.identifier)[-1].reason is Reason.TAKE_PROFIT


def test_an_account_of_metatrader_4_and_an_unknown_one_are_refused(make: Make) -> None:
    bench = make()
    bench.fake.mt4_account = 5
    with pytest.raises(ConnectError, match="MetaTrader 4"):
        bench.connected()
    with pytest.raises(ConnectError, match="practice or live"):
        OandaGateway(account_id="1", login=1, token="t", server="demo", clock=bench.clock)
    stranger = OandaGateway(
        account_id="101-004-9-009", login=9, token="practice-token", server="practice", clock=bench.clock,
        hosts={"practice": (bench.fake.url, bench.fake.url)}, is_streaming=False,
    )  # fmt: skip
    with pytest.raises(ConnectError, match="no account 101-004-9-009"):
        stranger.connect()
    stranger.close()


def wait_for(condition: Callable[[], bool]) -> None:
    clock = SystemClock()
    until = clock.ticks() + 60
    while not condition():
        assert clock.ticks() < until
        clock.sleep(0.01)


@pytest.mark.requirement("S4-05", "S4-18", "S2-51", "S4-57")
def test_prices_come_by_stream_and_by_asking_when_it_falls_silent(make: Make) -> None:
    bench = make()
    gateway = bench.gateway(is_streaming=True)
    assert isinstance(gateway, OandaGateway)
    gateway.connect()
    market = Market(gateway, bench.clock)
    assert market.refresh(["EURUSD"])["EURUSD"].bid == 1.1
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    asked = len(bench.fake.requests)
    bench.fake.bid, bench.fake.ask = 1.2, 1.2001
    handler, over = bench.fake.streams[0]
    handler.chunk(bench.fake.price_row())
    wait_for(lambda: market.refresh(["EURUSD"])["EURUSD"].bid == 1.2)
    assert len(bench.fake.requests) == asked
    assert (market.feed().as_json()["source"], market.feed().asked) == ("stream", frozenset())
    handler.chunk({**bench.fake.price_row(), "bids": []})
    wait_for(lambda: gateway.streamed("EURUSD") is None)
    handler.chunk(bench.fake.price_row())
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    bench.clock.advance(11)
    bench.fake.bid = 1.3
    assert market.refresh(["EURUSD"])["EURUSD"].bid == 1.3
    assert len(bench.fake.requests) > asked
    assert market.feed().has_fallen_back
    assert market.feed().ages["EURUSD"] > 10, "the broker's time, not the time of asking"
    over.set()
    wait_for(lambda: len(bench.fake.streams) > 1)
    wait_for(lambda: not market.feed().has_fallen_back)
    assert market.feed().stream is not None
    gateway.close()


@pytest.mark.requirement("S2-53")
def test_what_a_move_is_worth_is_converted_through_crosses_when_oanda_does_not_say(make: Make) -> None:
    bench = make()
    bench.fake.tells_conversions = False
    bench.fake.others = {"EUR_JPY": (160.0, 160.02), "GBP_JPY": (190.0, 190.1), "GBP_USD": (1.25, 1.26)}
    gateway = bench.connected()
    assert gateway.spec("EURUSD").value_per_price == pytest.approx(100_000)
    # A yen buys dollars through euros: 1.1 / 160.02, or through pounds: 1.25 / 190.1, which is less
    assert gateway.spec("EURJPY").value_per_price == pytest.approx(100_000 * 1.1 / 160.02)
    bench.fake.others = {"CAD_CHF": (0.6, 0.61)}
    stranger = bench.connected()
    with pytest.raises(ReadError, match="Nothing converts CHF into USD"):
        stranger.spec("CADCHF")


def test_a_token_spends_no_more_than_its_budget() -> None:
    clock = VirtualClock(START)
    budget = Budget(100)
    for _ in range(350):
        budget.take(clock)
    assert clock.ticks() == pytest.approx(2.5, abs=0.02)
