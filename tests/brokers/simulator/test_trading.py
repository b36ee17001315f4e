"""What the simulated broker does with requests: fills, refusals, stops, resting orders, margin and stop-out."""

from typing import Any

import pytest

from brokers.simulator.account import SymbolSetup
from tests.brokers.simulator.conftest import Make, Rig


def test_a_market_order_fills_at_the_other_side_of_the_spread_and_pays_commission(rig: Rig) -> None:
    bought, sold = rig.buy(magic=7, comment="a"), rig.sell()
    assert (bought.retcode, bought.price, sold.price) == (10009, 1.1001, 1.1)
    assert bought.request.symbol == "EURUSD"
    assert rig.balance() == 10_000 - 0.35 - 0.35
    buy, sell = rig.mt5.positions_get() or ()
    assert (buy.ticket, buy.identifier, buy.type, buy.magic, buy.comment) == (bought.order, bought.order, 0, 7, "a")
    assert (buy.profit, sell.profit) == (-1.0, -1.0)
    assert rig.equity() == 10_000 - 0.70 - 2.0


def test_a_close_books_profit_swap_and_commission_in_a_deal(rig: Rig) -> None:
    ticket = rig.buy().order
    rig.price(1.1021)
    closed = rig.send(action=1, symbol="EURUSD", volume=0.1, type=1, position=ticket, comment="out")
    assert closed.retcode == 10009
    assert rig.mt5.positions_get() == ()
    deals = rig.mt5.history_deals_get(position=ticket) or ()
    assert [(d.entry, d.type, d.reason) for d in deals] == [(0, 0, 3), (1, 1, 3)]
    assert deals[1].profit == 20.0
    assert rig.balance() == 10_000 + 20.0 - 0.70
    assert rig.mt5.history_deals_get(ticket=closed.order) == (deals[1],)


def test_a_partial_close_leaves_the_rest(rig: Rig) -> None:
    ticket = rig.buy(0.3).order
    assert rig.send(action=1, symbol="EURUSD", volume=0.1, type=1, position=ticket).volume == 0.1
    (rest,) = rig.mt5.positions_get() or ()
    assert (rest.ticket, rest.volume) == (ticket, 0.2)
    assert rig.send(action=1, symbol="EURUSD", volume=0.3, type=1, position=ticket).retcode == 10038


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"volume": 0.001}, 10014),
    ({"volume": 0.015}, 10014),
    ({"volume": 1000.0}, 10014),
    ({"sl": 1.2}, 10016),
    ({"tp": 1.0}, 10016),
    ({"volume": 50.0}, 10019),
    ({"type_filling": 2}, 10030),
    ({"type": 7}, 10035),
    ({"action": 99}, 10013),
    ({"position": 12345}, 10036),
    ({"action": 5, "type": 2, "price": 1.2}, 10015),
    ({"action": 5, "type": 3, "price": 1.0}, 10015),
    ({"action": 5, "type": 4, "price": 1.0}, 10015),
    ({"action": 5, "type": 5, "price": 1.2}, 10015),
    ({"action": 5, "type": 2, "price": 1.09, "sl": 1.095}, 10016),
    ({"action": 8, "order": 5}, 10035),
    ({"action": 6, "position": 5}, 10036),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
def test_what_a_broker_refuses(rig: Rig, fields: dict[str, Any], code: int) -> None:
    request = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0} | fields
    before = rig.balance()
    checked = rig.mt5.order_check(request)
    assert checked is not None
    assert (rig.send(**request).retcode, checked.retcode) == (code, code)
    assert (rig.balance(), rig.mt5.positions_total(), rig.mt5.orders_total()) == (before, 0, 0)


def test_a_check_that_passes_tells_the_margin_after_the_trade(rig: Rig) -> None:
    checked = rig.mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 1.0, "type": 0})
    assert checked is not None
    assert (checked.retcode, checked.comment, checked.margin) == (0, "Done", 1100.1)
    assert rig.mt5.order_calc_margin(0, "EURUSD", 1.0, 1.1001) == 1100.1
    assert rig.mt5.order_calc_profit(0, "EURUSD", 1.0, 1.1, 1.101) == 100.0
    assert rig.mt5.positions_total() == 0


@pytest.mark.parametrize(
    ("sl", "tp", "bid", "reason", "price", "comment"),
    [
        (1.0950, 0.0, 1.0949, 4, 1.0949, "[sl 1.09500]"),
        (0.0, 1.1050, 1.1052, 5, 1.1052, "[tp 1.10500]"),
    ],
)
def test_stops_close_at_the_tick_that_touches_them(
    rig: Rig, sl: float, tp: float, bid: float, reason: int, price: float, comment: str
) -> None:
    ticket = rig.buy(sl=sl, tp=tp).order
    rig.price(1.1)
    assert rig.mt5.positions_total() == 1
    rig.price(bid)
    assert rig.mt5.positions_total() == 0
    last = (rig.mt5.history_deals_get(position=ticket) or ())[-1]
    assert (last.reason, last.price, last.comment) == (reason, price, comment)


def test_a_sells_stops_are_touched_by_the_ask(rig: Rig) -> None:
    rig.sell(sl=1.1050)
    rig.price(1.10485, spread=0.0001)
    assert rig.mt5.positions_total() == 1
    rig.price(1.10495, spread=0.0001)
    assert rig.mt5.positions_total() == 0


@pytest.mark.parametrize(
    ("kind", "price", "bid", "filled"),
    [
        (2, 1.0950, 1.0948, 1.0949),
        (3, 1.1050, 1.1052, 1.1052),
        (4, 1.1050, 1.1052, 1.1053),
        (5, 1.0950, 1.0948, 1.0948),
    ],
)
def test_resting_orders_fill_when_the_price_touches_them(
    rig: Rig, kind: int, price: float, bid: float, filled: float
) -> None:
    placed = rig.send(action=5, symbol="EURUSD", volume=0.1, type=kind, price=price, magic=3, comment="rest")
    assert placed.retcode == 10009
    (resting,) = rig.mt5.orders_get() or ()
    assert (resting.ticket, resting.type, resting.price_open, resting.magic) == (placed.order, kind, price, 3)
    rig.price(1.1)
    assert rig.mt5.orders_total() == 1
    rig.price(bid)
    assert rig.mt5.orders_total() == 0
    (position,) = rig.mt5.positions_get() or ()
    assert (position.identifier, position.type, position.price_open) == (placed.order, kind % 2, filled)
    assert (position.magic, position.comment) == (3, "rest")


def test_resting_orders_change_and_go(rig: Rig) -> None:
    ticket = rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.09).order
    assert rig.send(action=7, order=ticket, price=1.08, sl=1.07, tp=1.12).retcode == 10009
    assert rig.send(action=7, order=ticket, price=1.08, sl=1.07, tp=1.12).retcode == 10025
    (resting,) = rig.mt5.orders_get(ticket=ticket) or ()
    assert (resting.price_open, resting.sl, resting.tp) == (1.08, 1.07, 1.12)
    assert rig.send(action=8, order=ticket).retcode == 10009
    (ended,) = rig.mt5.history_orders_get(ticket=ticket) or ()
    assert ended.state == 2
    assert rig.mt5.orders_get() == ()


def test_stops_are_changed_and_no_change_is_said(rig: Rig) -> None:
    ticket = rig.buy().order
    assert rig.send(action=6, symbol="EURUSD", position=ticket, sl=1.09, tp=1.12).retcode == 10009
    assert rig.send(action=6, symbol="EURUSD", position=ticket, sl=1.09, tp=1.12).retcode == 10025
    assert rig.send(action=6, symbol="EURUSD", position=ticket, sl=1.2, tp=1.12).retcode == 10016
    (position,) = rig.mt5.positions_get() or ()
    assert (position.sl, position.tp) == (1.09, 1.12)


def test_ticks_slept_through_are_worked_off_in_their_order(rig: Rig) -> None:
    ticket = rig.buy(sl=1.0950, tp=1.1050).order
    other = rig.connect()
    rig.mt5.shutdown()
    for bid in (1.1020, 1.1060, 1.0900):
        rig.clock.advance(10)
        other.push_tick("EURUSD", bid, bid + 0.0001)
    assert rig.mt5.initialize()
    last = (rig.mt5.history_deals_get(position=ticket) or ())[-1]
    assert (last.reason, last.price) == (5, 1.106)


def test_stop_out_closes_the_largest_loss_first_until_the_level_holds(make_rig: Make) -> None:
    rig = make_rig(balance=1000.0)
    small, large = rig.buy(0.2).order, rig.buy(0.5).order
    rig.price(1.1 - 0.0095)
    closed = [d for d in rig.mt5.history_deals_get(0, 2**31 - 1) or () if d.entry == 1]
    assert [(d.position_id, d.reason) for d in closed] == [(large, 6)]
    assert closed[0].comment.startswith("[so ")
    assert [p.ticket for p in rig.mt5.positions_get() or ()] == [small]


def test_hedged_volume_is_charged_once(rig: Rig) -> None:
    rig.buy(1.0)
    alone = rig.mt5.account_info()
    rig.sell(1.0)
    hedged = rig.mt5.account_info()
    assert alone is not None
    assert hedged is not None
    assert hedged.margin == alone.margin == 1100.1


def test_swaps_are_charged_at_the_servers_midnight_and_threefold_on_wednesday(rig: Rig) -> None:
    rig.buy(1.0)
    day = 86_400.0
    rig.clock.advance(day)
    (position,) = rig.mt5.positions_get() or ()
    assert position.swap == -6.0
    rig.clock.advance(day)
    (position,) = rig.mt5.positions_get() or ()
    assert position.swap == -24.0
    rig.price(1.1, after=1)
    rig.mt5.Close("EURUSD")
    last = (rig.mt5.history_deals_get(position=position.ticket) or ())[-1]
    assert last.swap == -24.0


def test_the_packages_helpers(rig: Rig) -> None:
    bought = rig.mt5.Buy("EURUSD", 0.1, comment="b")
    sold = rig.mt5.Sell("EURUSD", 0.1)
    assert bought is not None
    assert sold is not None
    assert (bought.retcode, sold.retcode, bought.request.deviation) == (10009, 10009, 10)
    assert rig.mt5.Close("EURUSD", ticket=bought.order) is True
    assert rig.mt5.Close("EURUSD") is True
    assert rig.mt5.Close("EURUSD") is False
    assert rig.mt5.Buy("NOPE", 0.1) is None


def test_stops_and_freeze_levels_of_a_strict_symbol(make_rig: Make) -> None:
    rig = make_rig(SymbolSetup("EURUSD", stops_level=50))
    assert rig.buy(sl=1.0997).retcode == 10016
    assert rig.buy(sl=1.0994).retcode == 10009
    assert rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.0999).retcode == 10015
