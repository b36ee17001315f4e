"""Order types, filling modes and life times, with liquidity that ends, slippage and requotes."""

from typing import Any

import pytest

from brokers.simulator.account import SymbolSetup
from brokers.simulator.server_time import to_server
from brokers.simulator.structs import Struct
from tests.brokers.simulator.conftest import START, Make, Rig

DEEP = SymbolSetup("EURUSD", depth_lots=1.0, depth_steps=3, commission_per_lot=0.0, filling_mask=7)
ON_EXCHANGE = SymbolSetup("EURUSD", depth_lots=1.0, depth_steps=3, execution=3, filling_mask=7)
INSTANT = SymbolSetup("EURUSD", execution=1)


def book(rig: Rig) -> tuple[list[Struct], list[Struct]]:
    """Return what is asked, and what is bid, each best first."""
    assert rig.mt5.market_book_add("EURUSD")
    rows = rig.mt5.market_book_get("EURUSD")
    assert rows is not None
    return [r for r in reversed(rows) if r.type == 1], [r for r in rows if r.type == 2]


def ended(rig: Rig, ticket: int) -> Struct:
    (order,) = rig.mt5.history_orders_get(ticket=ticket) or ()
    return order


def test_a_large_order_takes_the_book_step_by_step_one_deal_a_price(make_rig: Make) -> None:
    rig = make_rig(DEEP, balance=100_000.0)
    asks, _ = book(rig)
    volume = round(asks[0].volume_dbl + 0.1, 2)
    result = rig.buy(volume, type_filling=1)
    assert (result.retcode, result.volume, result.price) == (10009, volume, asks[1].price)
    deals = rig.mt5.history_deals_get(ticket=result.order) or ()
    assert [(d.price, d.volume) for d in deals] == [(asks[0].price, asks[0].volume_dbl), (asks[1].price, 0.1)]
    assert result.deal == deals[1].ticket
    (position,) = rig.mt5.positions_get() or ()
    assert position.volume == volume
    average = (asks[0].price * asks[0].volume_dbl + asks[1].price * 0.1) / volume
    assert position.price_open == pytest.approx(average, abs=1e-8)
    left, _ = book(rig)
    assert left[0].price == asks[1].price
    assert left[0].volume_dbl == pytest.approx(asks[1].volume_dbl - 0.1)
    rig.price(1.1)
    fresh, _ = book(rig)
    assert fresh[0].price == asks[0].price


@pytest.mark.parametrize("restarted", [False, True])
def test_lots_that_are_taken_stay_taken_until_the_next_tick(make_rig: Make, restarted: bool) -> None:
    rig = make_rig(DEEP, balance=100_000.0)
    all_of_it = round(sum(r.volume_dbl for r in book(rig)[0]), 2)
    rig.buy(all_of_it, type_filling=1)
    terminal = rig.connect() if restarted else rig.mt5
    second = terminal.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "type_filling": 1})
    assert second is not None
    assert (second.retcode, second.volume) == (10006, 0.0)
    assert ended(rig, second.order).state == 5


def test_fok_fills_all_or_nothing_and_ioc_what_there_is(make_rig: Make) -> None:
    rig = make_rig(DEEP, balance=100_000.0)
    asks = round(sum(r.volume_dbl for r in book(rig)[0]), 2)
    too_much = round(asks + 1, 2)
    refused = rig.buy(too_much, type_filling=0)
    assert (refused.retcode, refused.deal) == (10006, 0)
    assert (ended(rig, refused.order).state, ended(rig, refused.order).volume_current) == (5, too_much)
    assert rig.mt5.positions_total() == 0
    part = rig.buy(too_much, type_filling=1)
    assert (part.retcode, part.volume) == (10010, asks)
    order = ended(rig, part.order)
    assert (order.state, order.volume_initial, order.volume_current) == (2, too_much, pytest.approx(1.0))
    assert rig.mt5.orders_total() == 0


def test_return_leaves_the_rest_to_fill_with_the_next_ticks(make_rig: Make) -> None:
    rig = make_rig(ON_EXCHANGE, margin_mode=1, balance=100_000.0)
    asks = round(sum(r.volume_dbl for r in book(rig)[0]), 2)
    part = rig.buy(round(asks + 0.2, 2), type_filling=2)
    assert (part.retcode, part.volume) == (10010, asks)
    (rest,) = rig.mt5.orders_get() or ()
    assert (rest.ticket, rest.state, rest.volume_current, rest.type) == (part.order, 3, pytest.approx(0.2), 0)
    rig.price(1.1)
    assert rig.mt5.orders_get() == ()
    (position,) = rig.mt5.positions_get() or ()
    assert position.volume == round(asks + 0.2, 2)
    assert ended(rig, part.order).state == 4
    assert sum(d.volume for d in rig.mt5.history_deals_get(ticket=part.order) or ()) == pytest.approx(asks + 0.2)


def test_what_is_left_of_a_close_ends_with_its_position_and_opens_nothing(make_rig: Make) -> None:
    one_step = SymbolSetup("EURUSD", depth_lots=1.0, depth_steps=1, execution=3, filling_mask=7)
    rig = make_rig(one_step, balance=100_000.0)
    ticket = rig.buy(5.0, type_filling=2, sl=1.09).order
    for _ in range(12):
        rig.price(1.1)
    assert [(p.volume, p.sl) for p in rig.mt5.positions_get() or ()] == [(5.0, 1.09)]
    close = rig.sell(5.0, position=ticket, type_filling=2)
    assert close.retcode == 10010
    assert rig.sell(0.01, position=ticket, type_filling=2).retcode == 10039
    rig.price(1.08)
    assert rig.mt5.positions_get() == ()
    rig.price(1.08)
    assert (rig.mt5.orders_get(), rig.mt5.positions_get()) == ((), ())
    order = ended(rig, close.order)
    assert order.state == 2
    assert 0 < order.volume_current < 5.0
    sold = sum(d.volume for d in rig.mt5.history_deals_get(position=ticket) or () if d.entry == 1)
    assert sold == pytest.approx(5.0)


FILLING: list[tuple[int, int, int, int, int]] = [
    # execution, mask, action, filling, code
    (2, 1, 1, 0, 10009), (2, 1, 1, 1, 10030), (2, 2, 1, 0, 10030), (2, 2, 1, 1, 10009), (2, 3, 1, 2, 10030),
    (2, 3, 1, 3, 10030), (2, 3, 1, 9, 10030), (3, 3, 1, 2, 10009), (3, 1, 1, 1, 10030), (1, 1, 1, 2, 10009),
    (0, 0, 1, 1, 10009), (2, 0, 5, 2, 10009), (2, 1, 5, 1, 10030), (2, 3, 5, 3, 10030), (2, 7, 5, 3, 10009),
]  # fmt: skip


@pytest.mark.parametrize(("execution", "mask", "action", "filling", "code"), FILLING)
def test_which_filling_mode_is_taken(
    make_rig: Make, execution: int, mask: int, action: int, filling: int, code: int
) -> None:
    rig = make_rig(SymbolSetup("EURUSD", execution=execution, filling_mask=mask))
    kind, price = (0, 1.1001) if action == 1 else (2, 1.09)
    request: dict[str, Any] = {"action": action, "symbol": "EURUSD", "volume": 0.1, "type": kind, "price": price}
    assert rig.send(**request, type_filling=filling).retcode == code


def test_instant_execution_wants_the_price_and_answers_a_late_one_with_a_requote(make_rig: Make) -> None:
    rig = make_rig(INSTANT)
    assert rig.buy().retcode == 10015
    late = rig.buy(price=1.0995, deviation=5)
    assert (late.retcode, late.ask) == (10004, 1.1001)
    assert rig.buy(price=1.1000, deviation=10).price == 1.1001
    moody = make_rig_again(make_rig, SymbolSetup("EURUSD", execution=1, requote_percent=100.0), rig)
    assert moody.buy(price=1.1001).retcode == 10004


def make_rig_again(make_rig: Make, setup: SymbolSetup, old: Rig) -> Rig:
    old.mt5.shutdown()
    old.file.unlink()
    return make_rig(setup)


def test_slippage_is_seeded_and_never_in_the_traders_favour(make_rig: Make) -> None:
    prices = []
    rig = make_rig(SymbolSetup("EURUSD", slippage_points=20))
    for _ in range(2):
        prices.append([rig.buy(0.01).price for _ in range(12)])
        rig = make_rig_again(make_rig, SymbolSetup("EURUSD", slippage_points=20), rig)
    assert prices[0] == prices[1]
    assert min(prices[0]) >= 1.1001
    assert max(prices[0]) <= 1.1003
    assert len(set(prices[0])) > 3
    assert all(rig.sell(0.01).price <= 1.1 for _ in range(5))


@pytest.mark.parametrize(
    ("kind", "price", "stoplimit", "ticks", "filled"),
    [
        (6, 1.105, 1.103, (1.106, 1.1035, 1.1027), 1.1028),
        (7, 1.095, 1.097, (1.094, 1.0965, 1.0972), 1.0972),
    ],
)
def test_a_stop_limit_becomes_a_limit_when_its_stop_is_reached(
    rig: Rig, kind: int, price: float, stoplimit: float, ticks: tuple[float, ...], filled: float
) -> None:
    placed = rig.send(action=5, symbol="EURUSD", volume=0.1, type=kind, price=price, stoplimit=stoplimit)
    (order,) = rig.mt5.orders_get() or ()
    assert (placed.retcode, order.type, order.price_open, order.price_stoplimit) == (10009, kind, price, stoplimit)
    rig.price(ticks[0])
    (order,) = rig.mt5.orders_get() or ()
    assert (order.ticket, order.type, order.price_open) == (placed.order, kind - 4, stoplimit)
    rig.price(ticks[1])
    assert rig.mt5.positions_total() == 0
    rig.price(ticks[2])
    (position,) = rig.mt5.positions_get() or ()
    assert (position.ticket, position.price_open) == (placed.order, filled)


@pytest.mark.parametrize("stoplimit", [0.0, 1.106])
def test_a_stop_limit_without_a_sensible_limit_is_refused(rig: Rig, stoplimit: float) -> None:
    wrong = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 6, "price": 1.105, "stoplimit": stoplimit}
    assert rig.send(**wrong).retcode == 10015


def test_an_exchange_fills_a_limit_at_once_and_book_or_cancel_never(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", execution=3, filling_mask=7), margin_mode=1)
    limit: dict[str, Any] = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.105}
    filled = rig.send(**limit, type_filling=2)
    assert (filled.retcode, filled.price, filled.volume) == (10009, 1.1001, 0.1)
    assert filled.deal > 0
    passive = rig.send(**limit, type_filling=3)
    assert passive.retcode == 10006
    assert ended(rig, passive.order).state == 2
    assert (rig.mt5.orders_total(), rig.mt5.positions_total()) == (0, 1)
    far = rig.send(**{**limit, "price": 1.09}, type_filling=3)
    assert (far.retcode, rig.mt5.orders_total()) == (10009, 1)


def test_a_resting_limit_fills_in_parts(make_rig: Make) -> None:
    rig = make_rig(DEEP, balance=100_000.0)
    ticket = rig.send(action=5, symbol="EURUSD", volume=2.0, type=2, price=1.09, type_filling=2).order
    rig.price(1.0898, spread=0.0002)
    (order,) = rig.mt5.orders_get() or ()
    assert (order.state, order.volume_initial) == (3, 2.0)
    assert 0 < order.volume_current < 2.0
    assert (rig.mt5.positions_get() or ())[0].volume == pytest.approx(2.0 - order.volume_current)
    for _ in range(3):
        rig.price(1.0898, spread=0.0002)
    assert rig.mt5.orders_get() == ()
    (position,) = rig.mt5.positions_get() or ()
    assert (position.identifier, position.volume, position.price_open) == (ticket, 2.0, 1.09)
    assert ended(rig, ticket).state == 4


def test_a_day_order_ends_at_the_servers_midnight_and_others_at_their_time(rig: Rig) -> None:
    server = int(to_server("ny+7", START.timestamp()))
    limit: dict[str, Any] = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.09}
    tickets = [
        rig.send(**limit, type_time=kind, expiration=expiration).order
        for kind, expiration in ((0, 0), (1, 0), (2, server + 3600), (3, server + 86_400))
    ]
    assert [o.time_expiration for o in rig.mt5.orders_get() or ()] == [0, 0, server + 3600, server + 86_400]
    shown = []
    for hours in (0.99, 0.02, 13.98, 0.02, 24.0):
        rig.clock.advance(hours * 3600)
        shown.append([tickets.index(o.ticket) for o in rig.mt5.orders_get() or ()])
    assert shown == [[0, 1, 2, 3], [0, 1, 3], [0, 1, 3], [0, 3], [0]]
    expired = ended(rig, tickets[2])
    assert (expired.state, expired.time_done) == (6, server + 3600)


@pytest.mark.parametrize(
    ("mask", "type_time", "ahead"), [(15, 2, 0), (15, 2, -10), (15, 3, -90_000), (15, 4, 0), (1, 1, 0), (3, 2, 60)]
)
def test_a_life_time_that_can_not_be_is_refused(make_rig: Make, mask: int, type_time: int, ahead: int) -> None:
    rig = make_rig(SymbolSetup("EURUSD", expiration_mask=mask))
    server = int(to_server("ny+7", START.timestamp()))
    wrong = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.09, "type_time": type_time}
    assert rig.send(**wrong, expiration=server + ahead).retcode == 10022


def test_an_expired_order_does_not_fill_and_one_that_fills_first_does(rig: Rig) -> None:
    server = int(to_server("ny+7", START.timestamp()))
    limit: dict[str, Any] = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "type_time": 2}
    first = rig.send(**limit, price=1.099, expiration=server + 10).order
    second = rig.send(**limit, price=1.095, expiration=server + 10).order
    other = rig.connect()
    rig.mt5.shutdown()
    for after, bid in ((5, 1.0985), (10, 1.094)):
        rig.clock.advance(after)
        other.push_tick("EURUSD", bid, bid + 0.0001)
    assert rig.mt5.initialize()
    assert [p.identifier for p in rig.mt5.positions_get() or ()] == [first]
    assert ended(rig, second).state == 6


def test_orders_and_stops_that_live_for_a_day_only(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", gtc_mode=1))
    rig.buy(sl=1.09)
    rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.09)
    rig.clock.advance(86_400)
    assert rig.mt5.orders_get() == ()
    assert (rig.mt5.positions_get() or ())[0].sl == 0.0


def test_the_life_time_of_a_resting_order_can_be_changed(rig: Rig) -> None:
    server = int(to_server("ny+7", START.timestamp()))
    ticket = rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.09).order
    changed = rig.send(action=7, order=ticket, price=1.09, type_time=2, expiration=server + 60)
    assert changed.retcode == 10009
    assert rig.send(action=7, order=ticket, price=1.09, type_time=2, expiration=server + 60).retcode == 10025
    assert rig.send(action=7, order=ticket, price=1.09, type_time=2, expiration=server - 60).retcode == 10022
    rig.clock.advance(61)
    assert rig.mt5.orders_get() == ()
