"""What symbols and accounts are like: calculation modes, margin, hours, levels, limits, nights, currencies."""

from datetime import UTC, datetime
from typing import Any

import pytest

from brokers.simulator import sessions
from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.catalogue import CATALOGUE, listing
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import VirtualClock
from tests.brokers.simulator.conftest import START, Make, Rig

FREE: dict[str, Any] = {"commission_per_lot": 0.0, "swap_long": 0.0, "swap_short": 0.0}
EURUSD = SymbolSetup("EURUSD", **FREE)
USDJPY = SymbolSetup("USDJPY", digits=3, currency_base="USD", currency_profit="JPY", **FREE)
CFD: dict[str, Any] = {"currency_base": "USD", "currency_profit": "USD", "digits": 2, **FREE}
HOUR, DAY = 3600.0, 86_400.0


def margin(rig: Rig) -> float:
    info = rig.mt5.account_info()
    assert info is not None
    return float(info.margin)


MODES = [
    # what the specification says, price, margin of 2 lots, profit of 2 lots bought and sold 1.0 higher
    (SymbolSetup("S", **CFD, calc_mode=0, contract_size=100_000.0), 1.5, 2000.0, 200_000.0),
    (SymbolSetup("S", **CFD, calc_mode=5, contract_size=1000.0), 1.5, 2000.0, 2000.0),
    (SymbolSetup("S", **CFD, calc_mode=2, contract_size=10.0), 50.0, 1000.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=3, contract_size=10.0), 50.0, 1000.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=3, contract_size=10.0, tick_size=0.5, tick_value=1.0), 50.0, 2000.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=4, contract_size=100.0), 2000.0, 4000.0, 200.0),
    (SymbolSetup("S", **CFD, calc_mode=1, margin_initial=700.0, tick_size=0.25, tick_value=5.0), 40.0, 1400.0, 40.0),
    (SymbolSetup("S", **CFD, calc_mode=33, margin_initial=700.0, contract_size=50.0), 40.0, 1400.0, 100.0),
    (SymbolSetup("S", **CFD, calc_mode=32, contract_size=1.0), 180.0, 360.0, 2.0),
    (SymbolSetup("S", **CFD, calc_mode=38, contract_size=10.0), 180.0, 3600.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=37, contract_size=1.0, face_value=1000.0), 98.0, 1960.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=39, contract_size=1.0, face_value=1000.0), 98.0, 1960.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=64, contract_size=1.0), 98.0, 0.0, 0.0),
    (SymbolSetup("S", **CFD, calc_mode=2, contract_size=10.0, margin_initial=250.0), 50.0, 500.0, 20.0),
    (SymbolSetup("S", **CFD, calc_mode=2, contract_size=10.0, margin_rate_long=0.05), 50.0, 50.0, 20.0),
]


@pytest.mark.parametrize(("setup", "price", "charged", "gained"), MODES)
def test_margin_and_profit_by_calculation_mode(
    make_rig: Make, setup: SymbolSetup, price: float, charged: float, gained: float
) -> None:
    rig = make_rig(setup, balance=1e7)
    assert rig.mt5.order_calc_margin(0, "S", 2.0, price) == pytest.approx(charged)
    assert rig.mt5.order_calc_profit(0, "S", 2.0, price, price + 1) == pytest.approx(gained)
    assert rig.mt5.order_calc_profit(1, "S", 2.0, price, price + 1) == pytest.approx(-gained)
    rig.price(price, spread=0.0, symbol="S")
    rig.send(action=1, symbol="S", volume=2.0, type=0)
    assert margin(rig) == pytest.approx(charged)
    rig.price(price + 1, spread=0.0, symbol="S")
    assert rig.equity() == pytest.approx(1e7 + gained)
    info = rig.mt5.symbol_info("S")
    assert info is not None
    assert info.trade_tick_value / info.trade_tick_size * 2 == pytest.approx(gained)
    assert info.trade_calc_mode == setup.calc_mode


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"calc_mode": 34}, "calc_mode of S: 34 is not modelled.*MetaQuotes publishes no formula for options"),
        ({"calc_mode": 36}, "calc_mode of S: 36 is not modelled.*MetaQuotes publishes no formula for options"),
        ({"calc_mode": 35}, "calc_mode of S: 35 is not modelled"),
        ({"calc_mode": 33}, "margin_initial of S: futures need one"),
        ({"calc_mode": 37}, "face_value of S: bonds need one"),
        ({"swap_mode": 9}, "swap_mode of S: 9 is none"),
        ({"volume_step": 0.0}, "volume_step of S: give a number above 0"),
        ({"sessions": "Mo 1-2"}, "sessions: 'Mo 1-2' is none"),
        ({"sessions": "Mon-Fri 10:00-09:00"}, "ends before it begins"),
    ],
)
def test_what_is_not_modelled_is_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SymbolSetup("S", **fields)


def test_the_documentations_samples_of_a_conversion_at_the_closing_price(make_rig: Make) -> None:
    """mql5.com, order_calc_profit: 300 points of one lot USDJPY are 276.54 bought and 278.09 sold."""
    rig = make_rig(EURUSD, USDJPY)
    assert rig.mt5.order_calc_profit(0, "EURUSD", 1.0, 1.1, 1.103) == 300.0
    assert rig.mt5.order_calc_profit(0, "USDJPY", 1.0, 108.183, 108.483) == 276.54
    assert rig.mt5.order_calc_profit(1, "USDJPY", 1.0, 108.18, 107.88) == 278.09
    rig.price(108.18, spread=0.01, symbol="USDJPY")
    rig.send(action=1, symbol="USDJPY", volume=1.0, type=0)
    assert margin(rig) == 1000.0
    rig.price(108.49, spread=0.01, symbol="USDJPY")
    assert rig.equity() == pytest.approx(10_000 + round(300 * 100 / 108.49, 2))


def test_profits_are_converted_over_as_many_symbols_as_it_takes(make_rig: Make) -> None:
    cross = SymbolSetup("GBPCHF", currency_base="GBP", currency_profit="CHF", **FREE)
    rig = make_rig(EURUSD, SymbolSetup("EURCHF", currency_base="EUR", currency_profit="CHF", **FREE), cross)
    rig.price(1.25, spread=0.0, symbol="EURUSD")
    rig.price(1.0, spread=0.0, symbol="EURCHF")
    rig.price(1.1, spread=0.0, symbol="GBPCHF")
    assert rig.mt5.order_calc_profit(0, "GBPCHF", 1.0, 1.1, 1.11) == pytest.approx(1000 * 1.25)
    rig.send(action=1, symbol="GBPCHF", volume=0.1, type=0)
    assert margin(rig) == pytest.approx(100 * 1.1 * 1.25)
    rig.price(1.11, spread=0.0, symbol="GBPCHF")
    assert rig.equity() == pytest.approx(10_000 + 125)


def test_symbols_that_nothing_converts_are_refused_before_there_is_an_account(tmp_path: Any) -> None:
    spec, feed = AccountSpec(1, "", ""), FeedSpec.script({}, anchor=START)
    with pytest.raises(ValueError, match="symbols: DE40 earns EUR: add one like EURUSD"):
        create_account(tmp_path / "a.sqlite", spec, [listing("DE40").setup], feed, clock=VirtualClock(START))
    assert not (tmp_path / "a.sqlite").exists()


def test_without_a_price_to_convert_with_nothing_is_traded(make_rig: Make) -> None:
    rig = make_rig(USDJPY, SymbolSetup("EURJPY", digits=3, currency_profit="JPY"))
    rig.mt5.shutdown()
    rig.file.unlink()
    only_one = FeedSpec.script({"EURJPY": [(0.0, 160.0, 160.01)]}, anchor=START)
    symbols = [USDJPY, SymbolSetup("EURJPY", digits=3, currency_profit="JPY")]
    create_account(rig.file, AccountSpec(1001, "pw", "Sim-Server"), symbols, only_one, clock=rig.clock)
    rig.mt5 = rig.connect()
    assert rig.send(action=1, symbol="EURJPY", volume=0.1, type=0).retcode == 10021
    assert rig.mt5.order_calc_profit(0, "EURJPY", 1.0, 160.0, 161.0) is None
    assert rig.mt5.last_error()[0] == -1


HEDGES = [
    # hedged margin, larger leg, margin with 1.0 bought and 0.4 sold at 1.0 (1000 a lot)
    (None, True, 1000.0),
    (None, False, 600.0 + 400.0),
    (50_000.0, False, 600.0 + 200.0),
    (0.0, False, 600.0),
]


@pytest.mark.parametrize(("hedged", "leg", "charged"), HEDGES)
def test_margin_of_hedged_lots(make_rig: Make, hedged: float | None, leg: bool, charged: float) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **FREE, margin_hedged=hedged, margin_hedged_use_leg=leg))
    rig.price(1.0, spread=0.0)
    rig.buy(1.0)
    rig.sell(0.4)
    assert margin(rig) == pytest.approx(charged)
    info = rig.mt5.symbol_info("EURUSD")
    assert info is not None
    assert (info.margin_hedged, info.margin_hedged_use_leg) == (100_000.0 if hedged is None else hedged, leg)


def test_a_wholly_hedged_account_without_margin_ends_when_all_is_lost(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **FREE, margin_hedged=0.0, margin_hedged_use_leg=False), balance=1200.0)
    rig.buy(1.0)
    rig.sell(1.0)
    assert margin(rig) == 0.0
    rig.price(1.1, spread=0.011)
    assert rig.mt5.positions_total() == 2
    rig.price(1.1, spread=0.0121)
    assert rig.mt5.positions_total() == 0


def test_a_maintained_position_is_charged_less_than_a_new_one(make_rig: Make) -> None:
    future = SymbolSetup("F", **CFD, calc_mode=33, margin_initial=6000.0, margin_maintenance=4000.0, contract_size=50.0)
    rig = make_rig(future, balance=10_100.0)
    rig.price(100.0, symbol="F")
    order = {"action": 1, "symbol": "F", "volume": 1.0, "type": 0}
    assert rig.send(**order).retcode == 10009
    assert margin(rig) == 4000.0
    checked = rig.mt5.order_check(order)
    assert checked is not None
    assert (checked.retcode, checked.margin) == (0, 10_000.0)
    assert rig.send(**{**order, "volume": 2.0}).retcode == 10019


def test_at_the_margin_call_nothing_new_is_opened_but_things_are_closed(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **FREE), balance=3000.0, margin_call_level=300.0)
    ticket = rig.buy(1.0).order
    assert rig.buy(0.01).retcode == 10019
    assert rig.sell(0.5).retcode == 10009
    assert rig.send(action=1, symbol="EURUSD", volume=0.5, type=1, position=ticket).retcode == 10009


def test_stop_out_by_money(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **FREE), balance=2000.0, stop_out_mode=1, stop_out_level=1500.0)
    rig.buy(0.5)
    rig.price(1.0905)
    assert rig.mt5.positions_total() == 1
    rig.price(1.0900)
    assert rig.mt5.positions_total() == 0
    info = rig.mt5.account_info()
    assert info is not None
    assert (info.margin_so_mode, info.margin_so_so) == (1, 1500.0)


# Hours

WEEK: list[tuple[str, float, bool]] = [
    ("", 0.0, True),
    ("Mon-Fri 00:05-23:55", 12.0, True),
    ("Mon-Fri 12:00-23:55", 12.0, True),
    ("Mon-Fri 00:05-12:00", 12.0, False),
    ("Sat 10:00-14:00, Sun 22:00-24:00", 12.0, False),
    ("Tue 00:00-24:00", 12.0, True),
]


@pytest.mark.parametrize(("text", "hour", "open_"), WEEK)
def test_hours_are_read(text: str, hour: float, open_: bool) -> None:
    tuesday = 1_772_496_000.0  # 2026-03-03 00:00
    assert sessions.is_open(text, tuesday + hour * HOUR) is open_


def test_edges_follow_each_other_over_the_end_of_the_week() -> None:
    text, at, seen = "Mon-Fri 01:00-23:00", 1_772_496_000.0, []
    for _ in range(10):
        at = sessions.next_edge(text, at)
        seen.append(((at - 1_772_496_000.0) / HOUR, sessions.is_open(text, at)))
    assert seen[:4] == [(1.0, True), (23.0, False), (25.0, True), (47.0, False)]
    assert seen[8:] == [(145.0, True), (167.0, False)]


def test_outside_its_hours_a_symbol_is_not_traded_and_nothing_of_it_happens(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **FREE, sessions="Mon-Fri 00:05-12:00"))
    ticket = rig.buy(sl=1.09).order
    resting = rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.095).order
    rig.clock.advance(4 * HOUR)
    assert rig.buy().retcode == 10018
    for request in (
        {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 1, "position": ticket},
        {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.095},
        {"action": 6, "symbol": "EURUSD", "position": ticket, "sl": 1.08, "tp": 0.0},
        {"action": 7, "order": resting, "price": 1.08},
        {"action": 8, "order": resting},
    ):
        assert rig.send(**request).retcode == 10018
    rig.price(1.08)
    assert (rig.mt5.positions_total(), rig.mt5.orders_total()) == (1, 1)
    rig.clock.advance(14 * HOUR)
    rig.price(1.085)
    (last,) = (d for d in rig.mt5.history_deals_get(position=ticket) or () if d.entry == 1)
    assert (last.reason, last.price) == (4, 1.085)


def test_a_stop_out_waits_for_what_is_not_traded_now(make_rig: Make) -> None:
    closed = SymbolSetup("EURUSD", **FREE, sessions="Mon-Fri 00:05-10:00")
    rig = make_rig(closed, SymbolSetup("GBPUSD", currency_base="GBP", **FREE), balance=2500.0)
    rig.buy(1.0)
    rig.send(action=1, symbol="GBPUSD", volume=0.1, type=0)
    rig.clock.advance(2 * HOUR)
    rig.price(1.05, symbol="EURUSD")
    assert [p.symbol for p in rig.mt5.positions_get() or ()] == ["EURUSD"]
    rig.clock.advance(17 * HOUR)
    rig.price(1.05, symbol="EURUSD")
    assert rig.mt5.positions_get() == ()


# Levels and limits


def test_nothing_within_the_freeze_level_is_touched(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", freeze_level=30))
    position = rig.buy(sl=1.0990).order
    order = rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.0985).order
    rig.price(1.0992)
    for request in (
        {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 1, "position": position},
        {"action": 6, "symbol": "EURUSD", "position": position, "sl": 1.0980},
    ):
        assert rig.send(**request).retcode == 10029
    rig.price(1.0994)
    assert rig.send(action=1, symbol="EURUSD", volume=0.05, type=1, position=position).retcode == 10009
    rig.price(1.0986)
    assert rig.send(action=8, order=order).retcode == 10029
    assert rig.send(action=7, order=order, price=1.09).retcode == 10029
    rig.price(1.1)
    assert rig.send(action=8, order=order).retcode == 10009


LIMITS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]] = [
    ({"trade_mode": 0}, {}, {}, 10017),
    ({"trade_mode": 1}, {}, {"type": 1}, 10042),
    ({"trade_mode": 2}, {}, {}, 10043),
    ({"trade_mode": 3}, {}, {}, 10044),
    ({"order_mask": 126}, {}, {}, 10035),
    ({"order_mask": 125}, {}, {"action": 5, "type": 2, "price": 1.09}, 10035),
    ({"order_mask": 111}, {}, {"sl": 1.09}, 10035),
    ({"volume_limit": 0.15}, {}, {"volume": 0.2}, 10034),
    ({"tick_size": 0.0005}, {}, {"action": 5, "type": 2, "price": 1.0901}, 10015),
    ({"tick_size": 0.0005}, {}, {"sl": 1.0901}, 10016),
    ({}, {"limit_orders": 1}, {"action": 5, "type": 2, "price": 1.09}, 10009),
]


@pytest.mark.parametrize(("symbol", "account", "fields", "code"), LIMITS)
def test_what_symbol_or_account_do_not_allow(
    make_rig: Make, symbol: dict[str, Any], account: dict[str, Any], fields: dict[str, Any], code: int
) -> None:
    rig = make_rig(SymbolSetup("EURUSD", **symbol), **account)
    request = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0} | fields
    assert rig.send(**request).retcode == code


def test_limits_of_orders_of_positions_and_of_volume_count_what_is_there(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", volume_limit=0.3), limit_orders=1, limit_positions=2)
    limit = {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.09}
    assert rig.buy(0.1).retcode == 10009
    assert [rig.send(**limit).retcode for _ in range(2)] == [10009, 10033]
    assert rig.buy(0.2).retcode == 10034
    assert rig.sell(0.3).retcode == 10009
    assert rig.buy(0.1).retcode == 10040


def test_accounts_that_close_by_fifo_or_let_nobody_hedge(make_rig: Make) -> None:
    rig = make_rig(fifo_close=True, hedge_prohibited=True)
    first, second = rig.buy(0.1).order, rig.buy(0.1).order
    assert rig.sell(0.1).retcode == 10046
    assert rig.sell(0.1, position=second).retcode == 10045
    assert rig.sell(0.1, position=first).retcode == 10009
    assert rig.sell(0.1, position=second).retcode == 10009


# Nights

SWAPS = [
    # mode, long, price, swap of one lot EURUSD a night
    (0, -6.0, 0.0),
    (1, -6.0, -6.0),
    (2, -6.0, -6.0 * 1.2),
    (3, -6.0, -6.0 * 1.2),
    (4, -6.0, -6.0),
    (5, -3.6, -0.036 / 360 * 1.2 * 100_000),
    (6, -3.6, -0.036 / 360 * 1.1001 * 100_000),
]


@pytest.mark.parametrize(("mode", "long", "charged"), SWAPS)
def test_a_nights_swap_by_mode(make_rig: Make, mode: int, long: float, charged: float) -> None:
    rig = make_rig(SymbolSetup("EURUSD", commission_per_lot=0.0, swap_mode=mode, swap_long=long))
    rig.buy(1.0)
    rig.price(1.2)
    rig.clock.advance(DAY)
    assert (rig.mt5.positions_get() or ())[0].swap == pytest.approx(round(charged, 2))


def test_which_nights_count(make_rig: Make) -> None:
    rig = make_rig(
        SymbolSetup("EURUSD", swap_long=-1.0, triple_swap_day=5),
        SymbolSetup("BTCUSD", currency_base="BTC", swap_long=-1.0, swap_weekends=True),
    )
    for symbol in ("EURUSD", "BTCUSD"):
        rig.send(action=1, symbol=symbol, volume=1.0, type=0)
    seen = []
    for _ in range(6):
        rig.clock.advance(DAY)
        seen.append([p.swap for p in rig.mt5.positions_get() or ()])
    # Tuesday, Wednesday, Thursday, Friday (three), Saturday, Sunday
    assert [s[0] for s in seen] == [-1.0, -2.0, -3.0, -6.0, -6.0, -6.0]
    assert [s[1] for s in seen] == [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]


@pytest.mark.parametrize(("mode", "closed"), [(7, 1.105), (8, 1.1049)])
def test_a_swap_by_reopening_changes_the_ticket_and_books_the_day(make_rig: Make, mode: int, closed: float) -> None:
    rig = make_rig(SymbolSetup("EURUSD", swap_mode=mode, swap_short=-8.0))
    ticket = rig.sell(1.0, sl=1.2, comment="kept", magic=5).order
    rig.price(1.1049, spread=0.0001)
    rig.clock.advance(DAY)
    (position,) = rig.mt5.positions_get() or ()
    assert position.ticket != ticket == position.identifier
    assert position.price_open == round(closed - 8e-5, 5)
    assert (position.swap, position.sl, position.comment, position.magic) == (0.0, 1.2, "kept", 5)
    deals = rig.mt5.history_deals_get(position=ticket) or ()
    assert [(d.entry, d.reason, d.commission) for d in deals] == [(0, 3, -3.5), (1, 7, 0.0), (0, 7, 0.0)]
    assert rig.mt5.positions_get(ticket=ticket) == ()
    assert rig.send(action=1, symbol="EURUSD", volume=1.0, type=0, position=position.ticket).retcode == 10009


def test_a_night_is_charged_once_whatever_is_said_at_midnight(rig: Rig) -> None:
    rig.buy(1.0)
    rig.clock.advance(15 * HOUR)
    rig.price(1.1, after=0.0)
    rig.price(1.1, after=0.0)
    assert (rig.mt5.positions_get() or ())[0].swap == -6.0


# Close-by and the book


def test_two_opposite_positions_are_closed_against_each_other(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", commission_per_lot=0.0))
    bought = rig.buy(0.3).order
    rig.price(1.102)
    sold = rig.sell(0.1, magic=3).order
    rig.price(1.09)
    done = rig.send(action=10, position=bought, position_by=sold, magic=9, comment="both")
    assert (done.retcode, done.volume) == (10009, 0.1)
    (rest,) = rig.mt5.positions_get() or ()
    assert (rest.ticket, rest.volume) == (bought, 0.2)
    (order,) = rig.mt5.history_orders_get(ticket=done.order) or ()
    assert (order.type, order.state, order.position_id, order.position_by_id) == (8, 4, bought, sold)
    first, second = rig.mt5.history_deals_get(ticket=done.order) or ()
    assert [(d.entry, d.position_id, d.type, d.profit) for d in (first, second)] == [
        (3, bought, 1, 19.0),
        (3, sold, 0, 0.0),
    ]
    assert rig.balance() == 10_019.0


@pytest.mark.parametrize(
    ("pick", "code"), [((0, 0), 10013), ((0, 1), 10013), ((0, 9), 10036), ((9, 2), 10036), ((2, 0), 10009)]
)
def test_what_can_be_closed_against_each_other(make_rig: Make, pick: tuple[int, int], code: int) -> None:
    rig = make_rig()
    tickets = [rig.buy().order, rig.buy().order, rig.sell().order, *[1] * 7]
    assert rig.send(action=10, position=tickets[pick[0]], position_by=tickets[pick[1]]).retcode == code


def test_the_market_book_is_shown_to_who_asked_for_it(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", depth_lots=5.0, depth_steps=4), SymbolSetup("GBPUSD", currency_base="GBP"))
    assert rig.mt5.market_book_get("EURUSD") is None
    assert rig.mt5.last_error()[0] == -1
    assert rig.mt5.market_book_add("EURUSD") is True
    rows = rig.mt5.market_book_get("EURUSD")
    assert rows is not None
    assert [r.type for r in rows] == [1] * 4 + [2] * 4
    assert [r.price for r in rows] == [1.10013, 1.10012, 1.10011, 1.1001, 1.1, 1.09999, 1.09998, 1.09997]
    assert all(2.5 <= r.volume_dbl <= 7.5 and r.volume == int(r.volume_dbl) for r in rows)
    assert rig.mt5.market_book_get("EURUSD") == rows
    assert rig.mt5.market_book_release("EURUSD") is True
    assert rig.mt5.market_book_release("EURUSD") is False
    assert rig.mt5.market_book_add("GBPUSD") is False
    assert rig.mt5.market_book_add("NOPE") is False
    info = rig.mt5.symbol_info("EURUSD")
    assert info is not None
    assert info.ticks_bookdepth == 4


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_symbol_of_the_catalogue_is_traded_both_ways(make_rig: Make, name: str) -> None:
    one = listing(name)
    others = [listing(n).setup for n in ("EURUSD", "USDJPY", "GBPUSD") if n != name]
    rig = make_rig(one.setup, *others, balance=1e6)
    prices = {s.name: listing(s.name).price for s in (one.setup, *others)}
    rig.clock.advance(10 * HOUR)
    for symbol, price in prices.items():
        rig.price(price, spread=listing(symbol).spread_points * listing(symbol).setup.point, symbol=symbol)
    volume = one.setup.volume_min
    for kind in (0, 1):
        request = {"action": 1, "symbol": name, "volume": volume, "type": kind, "type_filling": 1}
        done = rig.send(**request)
        assert done.retcode == 10009, done
    assert margin(rig) > 0
    assert rig.mt5.Close(name) is True
    with pytest.raises(ValueError, match="no symbol NOPE in the catalogue; it has EURUSD"):
        listing("NOPE")


def test_charts_look_back_over_a_weekend(tmp_path: Any) -> None:
    clock = VirtualClock(datetime(2026, 3, 7, 12, 0, tzinfo=UTC))
    feed = FeedSpec.model(anchor=clock.now(), seed=1)
    create_account(tmp_path / "a.sqlite", AccountSpec(1, "pw", "S"), [EURUSD], feed, clock=clock)
    terminal = SimulatedTerminal(tmp_path / "a.sqlite", clock=clock)
    assert terminal.initialize()
    rates = terminal.copy_rates_from_pos("EURUSD", 1, 0, 10)
    assert rates is not None
    assert len(rates) == 10
    assert clock.now().timestamp() - 3 * DAY < rates["time"][0] < clock.now().timestamp() - 10 * HOUR


def test_a_part_takes_its_share_of_the_swap(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", swap_long=-10.0, commission_per_lot=0.0))
    ticket = rig.buy(1.0).order
    rig.clock.advance(DAY)
    rig.send(action=1, symbol="EURUSD", volume=0.3, type=1, position=ticket)
    (deal,) = (d for d in rig.mt5.history_deals_get(position=ticket) or () if d.entry == 1)
    assert deal.swap == -3.0
    assert (rig.mt5.positions_get() or ())[0].swap == -7.0


def test_a_resting_order_that_lacks_margin_when_its_price_comes_is_rejected(make_rig: Make) -> None:
    rig = make_rig(balance=1500.0)
    ticket = rig.send(action=5, symbol="EURUSD", volume=1.0, type=2, price=1.095).order
    rig.buy(1.0)
    rig.price(1.0948)
    assert (rig.mt5.orders_total(), rig.mt5.positions_total()) == (0, 1)
    (order,) = rig.mt5.history_orders_get(ticket=ticket) or ()
    assert (order.state, order.volume_current) == (5, 1.0)
