"""What is an exchange's own: client ids, what an error proves, fills that come late, whose a netted position is."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.budget import budget_of
from brokers.crypto.gateway import CryptoGateway
from brokers.crypto.ledger import FOREIGN, Fill, Mark, client_id, fold, mark
from brokers.domain import ChangeStops, ClosePosition, DealEntry, OpenPosition, OrderKind, PlaceOrder, Side
from brokers.gateway import ConnectError, Gateway, Permit, ReadError
from core.outcome import Accepted, Outcome, Refused, Unknown
from tests.brokers.conformance.crypto import CryptoBench
from tests.brokers.crypto.fake import KEY, SECRET
from tests.brokers.simulator.conftest import START


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[CryptoBench]:
    made = CryptoBench(tmp_path)
    yield made
    made.close()


def buy(bench: CryptoBench, gateway: Gateway, intent: str, *, magic: int = 7, **other: Any) -> Outcome:
    values: dict[str, Any] = {"side": Side.BUY, "volume": 0.2, "comment": f"td:{intent}"} | other
    return gateway.send(OpenPosition("EURUSD", magic=magic, **values), bench.permit(intent))


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused)
    return outcome.reason


@given(st.integers(0, 2**40), st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=10, max_size=10))
def test_a_client_id_says_whose_an_order_is(magic: int, intent: str) -> None:
    for comment in (f"td:{intent}", str(magic), ""):
        made = client_id(intent, magic, comment)
        assert made is not None
        assert re.fullmatch(r"[0-9A-Za-z]{1,32}", made)
        assert mark(made) == Mark(magic, comment)
    assert client_id(intent, magic, "another comment") is None
    assert mark("e847386590ce4dBC" + intent) == Mark()


FILLS = st.lists(
    st.tuples(st.sampled_from(list(Side)), st.integers(1, 9), st.integers(90, 110)), min_size=1, max_size=12
)


@given(FILLS)
def test_a_position_is_the_sum_of_its_fills_and_its_profit_what_prices_make_of_it(
    rows: list[tuple[Side, int, int]],
) -> None:
    fills = [Fill(str(n), str(n + 100), s, lots, p, 0.0, START) for n, (s, lots, p) in enumerate(rows)]
    state, booked = fold(fills, 0.0)
    assert state.lots == pytest.approx(sum(f.lots * f.side.sign for f in fills))
    # Cash that came in, and what is open at the last price, is what was booked and what floats
    last = fills[-1].price
    cash = -sum(f.lots * f.side.sign * f.price for f in fills)
    floating = (last - state.price) * state.lots
    assert sum(b.profit for b in booked) + floating == pytest.approx(cash + state.lots * last)
    held = 0.0
    for row in booked:
        after = held + row.fill.lots * row.fill.side.sign
        expected = DealEntry.IN if held * row.fill.side.sign >= 0 else DealEntry.INOUT if held * after < 0 else None
        assert row.entry is (expected or DealEntry.OUT)
        held = after


def test_an_order_carries_intent_and_magic_and_a_price_that_bounds_it(bench: CryptoBench) -> None:
    gateway = bench.connected()
    assert isinstance(buy(bench, gateway, "abcdefghjk"), Accepted)
    (order,) = bench.fake.orders.values()
    assert (order["clOrdId"], order["ordType"], order["reduceOnly"]) == ("TDA7Xabcdefghjk", "ioc", "false")
    assert float(order["px"]) == pytest.approx(1.1003)
    (position,) = gateway.book().positions
    gateway.send(ClosePosition("EURUSD", Side.BUY, 0.2, position.ticket, 7, "any"), bench.permit("bbcdefghjk"))
    closing = list(bench.fake.orders.values())[-1]
    assert (closing["clOrdId"], closing["reduceOnly"]) == ("TDC7Xbbcdefghjk", "true")
    assert bench.open_lots() == 0


def test_an_entry_never_joins_or_reduces_what_is_anothers(bench: CryptoBench) -> None:
    gateway = bench.connected()
    buy(bench, gateway, "abcdefghjk")
    assert reason(buy(bench, gateway, "bbcdefghjk", magic=8)) == "would_join"
    assert reason(buy(bench, gateway, "cbcdefghjk", side=Side.SELL)) == "would_net"
    second = buy(bench, gateway, "dbcdefghjk")
    (position,) = gateway.book().positions
    assert isinstance(second, Accepted)
    assert (second.order, position.volume, position.comment) == (position.ticket, 0.4, "td:abcdefghjk")
    assert [d.position_id for d in gateway.deals_of(position.identifier)] == [position.identifier] * 2


def test_what_was_open_before_our_time_is_nobodys(bench: CryptoBench) -> None:
    bench.by_hand(Side.BUY, 0.3)
    bench.clock.advance(40 * 86_400)
    bench.price(1.1, 1.1001)
    gateway = bench.connected()
    (position,) = gateway.book().positions
    assert (position.identifier, position.magic, position.volume) == (FOREIGN, 0, 0.3)
    assert reason(buy(bench, gateway, "abcdefghjk")) == "would_join"


def test_what_an_exchange_can_not_keep_is_refused_before_it_leaves(bench: CryptoBench) -> None:
    gateway = bench.connected()
    sent = bench.fake.requests.count("trade/batch-orders")
    assert reason(buy(bench, gateway, "abcdefghjk", sl=1.09)) == "not_supported"
    assert reason(buy(bench, gateway, "abcdefghjk", comment="mine")) == "comment"
    stop = PlaceOrder("EURUSD", Side.BUY, OrderKind.STOP, 0.1, 1.2, 7, "td:abcdefghjk")
    assert reason(gateway.send(stop, bench.permit("abcdefghjk"))) == "not_supported"
    assert reason(gateway.send(ChangeStops("EURUSD", 5, 1.0, 1.2, 7), bench.permit())) == "not_supported"
    assert reason(gateway.send(stop, None)) in ("no_permit", "not_supported")
    late = Permit("abcdefghjk", 1, bench.clock.now())
    assert reason(gateway.send(OpenPosition("EURUSD", Side.BUY, 0.2, 7, "td:abcdefghjk"), late)) == "expired"
    assert bench.fake.requests.count("trade/batch-orders") == sent == 0


def test_a_price_that_ran_away_fills_nothing_and_may_be_tried_afresh(bench: CryptoBench) -> None:
    gateway = bench.connected()
    take = bench.fake.order

    def moved(wanted: dict[str, Any]) -> dict[str, Any]:
        bench.fake.price(1.2, 1.2001)
        return take(wanted)

    bench.fake.order = moved  # type: ignore[method-assign]
    outcome = buy(bench, gateway, "abcdefghjk")
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fresh_price, bench.executed()) == ("not_filled", True, 0)


def test_the_same_client_id_twice_is_unknown_and_opens_once(bench: CryptoBench) -> None:
    gateway = bench.connected()
    assert isinstance(buy(bench, gateway, "abcdefghjk"), Accepted)
    assert isinstance(buy(bench, gateway, "abcdefghjk"), Unknown)
    assert bench.executed() == 1


def test_a_position_whose_fills_can_not_be_seen_yet_is_no_book(bench: CryptoBench) -> None:
    gateway = bench.connected()
    gateway.book()
    bench.fake.hidden = 1
    assert isinstance(buy(bench, gateway, "abcdefghjk"), Unknown)
    with pytest.raises(ReadError, match="don't agree"):
        gateway.book()
    bench.fake.hidden = 0
    (position,) = gateway.book().positions
    assert position.magic == 7


def test_a_period_with_more_fills_than_one_answer_holds_is_read_whole(bench: CryptoBench) -> None:
    for _ in range(130):
        bench.by_hand(Side.BUY, 0.02)
        bench.by_hand(Side.SELL, 0.02)
        bench.price(1.1, 1.1001)
    gateway = bench.connected()
    gateway.broker_name("EURUSD")
    deals = gateway.deals(START - timedelta(days=1), bench.clock.now())
    assert len({deal.ticket for deal in deals}) == len(deals) == 260
    assert sum(deal.net for deal in deals) == pytest.approx(bench.fake.balance - 10_000)


@pytest.mark.parametrize(
    ("server", "words"),
    [("nosuch", "no exchange"), ("coinspot", "lacks"), ("kraken", "swap"), ("", "no exchange")],
)
def test_an_exchange_that_can_not_do_it_is_refused(bench: CryptoBench, server: str, words: str) -> None:
    with pytest.raises(ConnectError, match=words) as caught:
        CryptoGateway(login=1, secret=SECRET, server=server, currency="USD", clock=bench.clock)
    assert caught.value.fix


def test_an_account_in_hedge_mode_is_refused(bench: CryptoBench) -> None:
    bench.fake.is_hedged = True
    with pytest.raises(ConnectError, match="hedge mode"):
        bench.connected()


def test_gateways_of_one_key_share_one_budget(bench: CryptoBench) -> None:
    gateway = bench.connected()
    assert isinstance(gateway, CryptoGateway)
    budget = budget_of(KEY, 9)
    bench.clock.advance(60)
    other = bench.connected()
    before = bench.clock.ticks()
    for _ in range(9):
        budget.take(bench.clock)
    gateway.account()
    other.account()
    assert bench.clock.ticks() > before + 0.3
