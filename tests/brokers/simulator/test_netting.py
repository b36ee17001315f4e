"""Netting and exchange accounts: one position a symbol, which adds, shrinks, ends and turns round."""

from typing import Any

import pytest

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.structs import Struct
from tests.brokers.simulator.conftest import Make, Rig


@pytest.fixture(params=[0, 1], ids=["netting", "exchange"])
def net(make_rig: Make, request: Any) -> Rig:
    return make_rig(SymbolSetup("EURUSD", commission_per_lot=0.0), margin_mode=request.param)


def only(rig: Rig) -> Struct:
    (position,) = rig.mt5.positions_get() or ()
    return position


def deals(rig: Rig) -> list[Struct]:
    return [d for d in rig.mt5.history_deals_get(0, 2**31 - 1) or () if d.position_id]


def test_more_of_the_same_side_averages_the_price_by_volume(net: Rig) -> None:
    first = net.buy(0.1, magic=1, comment="a", sl=1.09, tp=1.2)
    net.price(1.102)
    net.buy(0.3, magic=2, comment="b", sl=1.095)
    position = only(net)
    assert (position.volume, position.price_open) == (0.4, pytest.approx((1.1001 + 3 * 1.1021) / 4, abs=1e-8))
    assert position.ticket == position.identifier == first.order
    assert (position.magic, position.comment, position.sl, position.tp) == (2, "b", 1.095, 0.0)
    assert [(d.entry, d.position_id) for d in deals(net)] == [(0, first.order)] * 2


def test_the_other_side_shrinks_it_and_leaves_its_stops(net: Rig) -> None:
    opened = net.buy(0.3, sl=1.09, tp=1.2, comment="mine")
    net.price(1.102)
    sold = net.sell(0.1, sl=1.3, comment="other")
    position = only(net)
    assert (position.volume, position.price_open, position.sl, position.tp) == (0.2, 1.1001, 1.09, 1.2)
    assert (position.ticket, position.comment) == (opened.order, "mine")
    last = deals(net)[-1]
    assert (last.entry, last.position_id, last.profit, last.order) == (1, opened.order, 19.0, sold.order)
    net.sell(0.2)
    assert net.mt5.positions_get() == ()
    assert net.balance() == 10_000 + 57.0


def test_a_reversal_is_one_deal_and_changes_the_ticket_but_not_the_identifier(net: Rig) -> None:
    opened = net.buy(0.1, magic=1, sl=1.09)
    net.price(1.102)
    turned = net.sell(0.4, magic=2, comment="turn", tp=1.05)
    position = only(net)
    assert (position.type, position.volume, position.price_open) == (1, 0.3, 1.102)
    assert (position.ticket, position.identifier) == (turned.order, opened.order)
    assert (position.magic, position.comment, position.sl, position.tp) == (2, "turn", 0.0, 1.05)
    last = deals(net)[-1]
    assert (last.entry, last.volume, last.profit, last.position_id) == (2, 0.4, 19.0, opened.order)
    assert net.mt5.positions_get(ticket=opened.order) == ()
    assert net.mt5.positions_get(ticket=turned.order) == (position,)
    assert len(net.mt5.history_deals_get(position=opened.order) or ()) == 2
    late = net.send(action=1, symbol="EURUSD", volume=0.3, type=0, position=opened.order)
    assert late.retcode == 10036
    stops = net.send(action=6, symbol="EURUSD", position=turned.order, sl=1.2, tp=1.0)
    assert stops.retcode == 10009
    closed = net.send(action=1, symbol="EURUSD", volume=0.3, type=0, position=turned.order)
    assert closed.retcode == 10009
    assert deals(net)[-1].position_id == opened.order
    assert net.mt5.positions_total() == 0


def test_a_close_that_names_the_position_never_turns_it_round(net: Rig) -> None:
    ticket = net.buy(0.1).order
    assert net.send(action=1, symbol="EURUSD", volume=0.2, type=1, position=ticket).retcode == 10038
    assert net.send(action=1, symbol="EURUSD", volume=0.1, type=0, position=ticket).retcode == 10013
    assert net.send(action=1, symbol="EURUSD", volume=0.1, type=1, position=ticket).retcode == 10009
    assert net.mt5.positions_total() == 0


def test_stops_go_by_symbol_and_a_resting_order_nets_when_it_fills(net: Rig) -> None:
    net.buy(0.2)
    assert net.send(action=6, symbol="EURUSD", sl=1.09, tp=1.2).retcode == 10009
    assert only(net).sl == 1.09
    net.send(action=5, symbol="EURUSD", volume=0.3, type=3, price=1.105)
    net.price(1.106)
    position = only(net)
    assert (position.type, position.volume, position.price_open) == (1, 0.1, 1.106)
    assert [d.entry for d in deals(net)] == [0, 2]


def test_only_what_a_trade_adds_needs_margin(make_rig: Make) -> None:
    rig = make_rig(margin_mode=0, balance=2400.0)
    rig.buy(2.0)
    assert rig.buy(1.0).retcode == 10019
    checked = rig.mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 1.0, "type": 1})
    assert checked is not None
    assert (checked.retcode, checked.margin) == (0, 1100.1)
    assert rig.sell(3.9).retcode == 10009
    assert only(rig).volume == 1.9
    info = rig.mt5.account_info()
    assert info is not None
    assert info.margin == pytest.approx(1.9 * 1100.0)


def test_a_stop_out_of_a_netted_position(make_rig: Make) -> None:
    rig = make_rig(margin_mode=0, balance=1000.0)
    rig.buy(0.5)
    rig.price(1.1 - 0.0145)
    assert rig.mt5.positions_get() == ()
    assert deals(rig)[-1].reason == 6


def test_close_by_is_for_hedging_accounts(net: Rig) -> None:
    ticket = net.buy(0.1).order
    assert net.send(action=10, position=ticket, position_by=ticket).retcode == 10013


def test_an_account_of_no_known_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="margin_mode: 7 is none"):
        AccountSpec(1, "", "", margin_mode=7)
