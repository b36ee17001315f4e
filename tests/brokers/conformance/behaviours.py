"""What every gateway must do, whatever its broker. Each behaviour is one function over a bench."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from brokers.domain import (
    CancelOrder,
    ChangeStops,
    ClosePosition,
    DealEntry,
    OpenPosition,
    OrderKind,
    OrderState,
    PlaceOrder,
    Position,
    Side,
)
from brokers.gateway import ConnectError, Gateway, ReadError, SymbolError
from brokers.instances import ALL_OF_INSTANCE, close_trade, get_trades, open_trade, trade_history
from core.outcome import Accepted, Refused, Unknown
from tests.brokers.conformance.bench import ASK, BID, Bench

Behaviour = Callable[[Bench], None]
BEHAVIOURS: dict[str, Behaviour] = {}
MAGIC, COMMENT = 7, "td:abcdefghjk"
BUY = OpenPosition("EURUSD", Side.BUY, 0.2, MAGIC, COMMENT)


def behaviour(name: str) -> Callable[[Behaviour], Behaviour]:
    """Enter a behaviour under the name that the table shows."""

    def enter(function: Behaviour) -> Behaviour:
        BEHAVIOURS[name] = function
        return function

    return enter


def opened(bench: Bench, gateway: Gateway, request: OpenPosition = BUY) -> Position:
    """Open a position, and return it as the book shows it."""
    known = {p.identifier for p in gateway.book().positions}
    assert isinstance(gateway.send(request, bench.permit()), Accepted)
    (position,) = (p for p in gateway.book().positions if p.identifier not in known)
    return position


def closing(position: Position, lots: float) -> ClosePosition:
    return ClosePosition(position.symbol, position.side, lots, position.ticket, MAGIC, COMMENT)


@behaviour("connect")
def connects_to_the_account_that_was_meant(bench: Bench) -> None:
    state = bench.connected().account()
    assert state.login > 0
    assert state.margin_mode in bench.connected().capabilities.margin_modes
    assert (state.demo, state.trade_allowed) == (True, True)
    assert state.equity == pytest.approx(state.balance)


@behaviour("wrong login")
def refuses_a_wrong_secret_and_says_what_to_check(bench: Bench) -> None:
    gateway = bench.gateway(right=False)
    with pytest.raises(ConnectError) as caught:
        gateway.connect(1)
    assert caught.value.fix
    assert "wrong" not in str(caught.value)


@behaviour("prices and symbols")
def reads_prices_specification_and_candles(bench: Bench) -> None:
    gateway = bench.connected()
    bench.price(BID, ASK)
    quote = gateway.quote("EURUSD")
    assert (quote.symbol, quote.bid, quote.ask) == ("EURUSD", BID, ASK)
    spec = gateway.spec("EURUSD")
    assert (spec.digits, spec.contract_size) == (5, 100_000)
    assert spec.value_per_price == pytest.approx(100_000)
    assert 0 < spec.volume_step <= spec.volume_min <= 0.2
    assert gateway.broker_name("EURUSD") in gateway.symbols()
    for minute in range(4):
        for _ in range(60):
            bench.price(BID + minute * 1e-4, ASK + minute * 1e-4)
    candles = gateway.candles("EURUSD", 60, 3)
    assert [b.at - a.at for a, b in pairwise(candles)] == [timedelta(minutes=1)] * 2
    assert candles[-1].at + timedelta(minutes=1) <= bench.clock.now()
    assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in candles)


@behaviour("unknown symbol")
def says_that_a_symbol_is_unknown(bench: Bench) -> None:
    with pytest.raises(SymbolError):
        bench.connected().spec("NOSUCH")


@behaviour("failed read")
def never_takes_a_failed_read_for_an_empty_book(bench: Bench) -> None:
    gateway = bench.connected()
    opened(bench, gateway)
    bench.fail_reads(times=1)
    with pytest.raises(ReadError):
        gateway.book()
    assert len(gateway.book().positions) == 1


@behaviour("open")
def opens_at_the_market_and_knows_its_own(bench: Bench) -> None:
    gateway = bench.connected()
    outcome = gateway.send(BUY, bench.permit())
    assert isinstance(outcome, Accepted)
    assert (outcome.filled, outcome.price, outcome.partial) == (0.2, ASK, False)
    (position,) = gateway.book().positions
    assert (position.identifier, position.symbol, position.side, position.volume, position.price_open) == (
        outcome.order, "EURUSD", Side.BUY, 0.2, ASK,
    )  # fmt: skip
    assert (position.magic, position.comment) == (MAGIC, COMMENT)
    assert position.profit == pytest.approx(-2.0, abs=0.01)
    assert bench.open_lots() == pytest.approx(0.2)


@behaviour("partial fill")
def tells_what_was_filled_of_an_order(bench: Bench) -> None:
    gateway = bench.connected()
    bench.fill_half_next()
    outcome = gateway.send(BUY, bench.permit())
    assert isinstance(outcome, Accepted)
    assert outcome.partial
    assert outcome.filled == pytest.approx(0.1)
    (position,) = gateway.book().positions
    assert position.volume == pytest.approx(0.1)


@behaviour("refusal")
def proves_that_a_refused_order_did_not_happen(bench: Bench) -> None:
    gateway = bench.connected()
    bench.refuse_next()
    outcome = gateway.send(BUY, bench.permit())
    assert isinstance(outcome, Refused)
    assert outcome.reason
    assert (gateway.book().positions, bench.executed()) == ((), 0)


@behaviour("bad volume")
def refuses_a_volume_that_the_symbol_does_not_take(bench: Bench) -> None:
    gateway = bench.connected()
    step = gateway.spec("EURUSD").volume_step
    for lots in (0.0, step * 1.5, 1e9):
        request = OpenPosition("EURUSD", Side.BUY, lots, MAGIC, COMMENT)
        assert isinstance(gateway.send(request, bench.permit()), Refused)
    assert bench.executed() == 0


@behaviour("lost request")
def does_not_guess_when_nothing_answers(bench: Bench) -> None:
    gateway = bench.connected()
    bench.lose_request()
    assert isinstance(gateway.send(BUY, bench.permit()), Unknown)
    bench.clock.advance(6)
    assert (gateway.book().positions, bench.executed()) == ((), 0)


@behaviour("lost reply")
def finds_an_order_again_whose_reply_was_lost(bench: Bench) -> None:
    gateway = bench.connected()
    bench.lose_reply()
    assert isinstance(gateway.send(BUY, bench.permit()), Unknown)
    bench.clock.advance(6)
    (position,) = gateway.book().positions
    assert (position.magic, position.comment, bench.executed()) == (MAGIC, COMMENT, 1)


@behaviour("close")
def closes_in_part_and_whole_and_not_twice(bench: Bench) -> None:
    gateway = bench.connected()
    position = opened(bench, gateway)
    assert isinstance(gateway.send(closing(position, 0.05), bench.permit()), Accepted)
    (rest,) = gateway.book().positions
    assert rest.identifier == position.identifier
    assert rest.volume == pytest.approx(0.15)
    outcome = gateway.send(closing(rest, 0.15), bench.permit())
    assert isinstance(outcome, Accepted)
    assert outcome.price == BID
    assert gateway.book().positions == ()
    again = gateway.send(closing(rest, 0.15), bench.permit())
    assert again == Accepted(0, 0, 0.0, 0.0, getattr(again, "code", 0), text=getattr(again, "text", ""))
    assert bench.open_lots() == pytest.approx(0.0)


@behaviour("resting orders")
def places_and_cancels_a_resting_order(bench: Bench) -> None:
    gateway = bench.connected()
    limit = PlaceOrder("EURUSD", Side.BUY, OrderKind.LIMIT, 0.1, 1.09, MAGIC, COMMENT)
    placed = gateway.send(limit, bench.permit())
    assert isinstance(placed, Accepted)
    assert placed.filled == 0.0
    (resting,) = gateway.book().orders
    assert (resting.ticket, resting.kind, resting.price, resting.volume) == (placed.order, OrderKind.LIMIT, 1.09, 0.1)
    assert (resting.magic, resting.comment) == (MAGIC, COMMENT)
    assert isinstance(gateway.send(CancelOrder("EURUSD", placed.order, MAGIC), bench.permit()), Accepted)
    assert gateway.book().orders == ()
    now = bench.clock.now()
    (ended,) = gateway.order_history(now - timedelta(hours=1), now)
    assert (ended.ticket, ended.state) == (placed.order, OrderState.CANCELLED)


@behaviour("resting order fills")
def shows_the_position_of_a_resting_order(bench: Bench) -> None:
    gateway = bench.connected()
    limit = PlaceOrder("EURUSD", Side.BUY, OrderKind.LIMIT, 0.1, 1.09, MAGIC, COMMENT)
    assert isinstance(gateway.send(limit, bench.permit()), Accepted)
    bench.price(1.0899, 1.0900)
    book = gateway.book()
    (position,) = book.positions
    assert book.orders == ()
    assert (position.magic, position.comment, position.volume) == (MAGIC, COMMENT, 0.1)


@behaviour("stops")
def keeps_stops_at_the_broker(bench: Bench) -> None:
    gateway = bench.connected()
    position = opened(bench, gateway)
    stops = ChangeStops("EURUSD", position.ticket, 1.09, 1.12, MAGIC)
    assert isinstance(gateway.send(stops, bench.permit()), Accepted)
    assert isinstance(gateway.send(stops, bench.permit()), Accepted)
    (shown,) = gateway.book().positions
    assert (shown.sl, shown.tp) == (1.09, 1.12)
    bench.price(1.0895, 1.0896)
    assert gateway.book().positions == ()
    assert gateway.deals_of(position.identifier)[-1].entry is DealEntry.OUT


@behaviour("history")
def gives_the_ledger_of_a_position_and_of_a_period(bench: Bench) -> None:
    gateway = bench.connected()
    began = bench.clock.now()
    position = opened(bench, gateway)
    bench.price(BID + 0.001, ASK + 0.001)
    assert isinstance(gateway.send(closing(position, 0.2), bench.permit()), Accepted)
    deals = gateway.deals_of(position.identifier)
    assert [(d.entry, d.volume, d.position_id) for d in deals] == [
        (DealEntry.IN, 0.2, position.identifier), (DealEntry.OUT, 0.2, position.identifier),
    ]  # fmt: skip
    assert deals[-1].profit == pytest.approx(18.0, abs=0.02)
    assert deals[0].magic == MAGIC
    trades = [d for d in gateway.deals(began, bench.clock.now()) if d.position_id]
    assert [d.ticket for d in trades] == [d.ticket for d in deals]
    assert gateway.deals(began - timedelta(days=9), began - timedelta(days=8)) == ()


@behaviour("trades by instance")
def keeps_the_trades_of_instances_apart(bench: Bench) -> None:
    gateway, began = bench.connected(), bench.clock.now()
    for instance, lots in ((7, 0.1), (8, 0.2), (7, 0.3)):
        bench.price(BID, ASK)
        outcome = open_trade(
            gateway, lots=lots, direction=Side.BUY, pair="EURUSD", instance_id=instance, permits=bench.permit,
            stop_loss=1.05, take_profit=1.15,
        )  # fmt: skip
        assert isinstance(outcome, Accepted)
    assert [(t.volume, t.sl, t.tp) for t in get_trades(gateway, 7)] == [(0.3, 1.05, 1.15), (0.1, 1.05, 1.15)]
    assert len(get_trades(gateway, 7, limit=1)) == 1
    (other,) = get_trades(gateway, 8)
    (refused,) = close_trade(gateway, other.ticket, 7, permits=bench.permit)
    assert isinstance(refused, Refused)
    bench.price(BID + 0.001, ASK + 0.001)
    assert [type(o) for o in close_trade(gateway, ALL_OF_INSTANCE, 7, permits=bench.permit)] == [Accepted, Accepted]
    assert get_trades(gateway, 7) == ()
    assert [t.ticket for t in get_trades(gateway, 8)] == [other.ticket]
    closed = trade_history(gateway, 7, since=began, until=bench.clock.now(), symbol="EURUSD")
    assert sorted((t.volume, t.side, t.net) for t in closed) == [(0.1, Side.BUY, 9.0), (0.3, Side.BUY, 27.0)]
    assert trade_history(gateway, 8, since=began, until=bench.clock.now()) == ()
    assert isinstance(close_trade(gateway, other.ticket, 8, permits=bench.permit)[0], Accepted)


@behaviour("manual trades")
def shows_a_persons_trade_as_nobodys(bench: Bench) -> None:
    gateway = bench.connected()
    bench.by_hand(Side.BUY, 0.1)
    (position,) = gateway.book().positions
    assert position.magic == 0
    assert position.volume == pytest.approx(0.1)
    assert position.comment != COMMENT


@behaviour("connection lost")
def fails_while_the_connection_is_cut_and_comes_back(bench: Bench) -> None:
    gateway = bench.connected()
    opened(bench, gateway)
    bench.cut()
    with pytest.raises(ReadError):
        gateway.book()
    with pytest.raises(ReadError):
        gateway.quote("EURUSD")
    assert not isinstance(gateway.send(BUY, bench.permit()), Accepted)
    bench.mend()
    bench.clock.advance(6)
    bench.price(BID, ASK)
    assert len(gateway.book().positions) == 1
    assert gateway.quote("EURUSD").bid == BID
    assert bench.executed() == 1


@behaviour("clock offset")
def gives_times_in_utc_whatever_the_brokers_clock_says(bench: Bench) -> None:
    gateway = bench.connected()
    for _ in range(8):
        bench.price(BID, ASK)
        gateway.quote("EURUSD")
    clock = gateway.clock_offset()
    assert clock is not None
    assert (clock.offset, clock.is_confirmed) == (bench.server_offset, True)
    at = bench.clock.now()
    position = opened(bench, gateway)
    assert abs(position.opened_at - at) <= timedelta(seconds=1)
    assert abs(gateway.quote("EURUSD").at - at) <= timedelta(seconds=1)
    (deal,) = gateway.deals_of(position.identifier)
    assert (abs(deal.at - at) <= timedelta(seconds=1), deal.server_offset) == (True, bench.server_offset)
