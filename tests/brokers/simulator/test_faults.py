"""Everything that can be asked to go wrong, by name and by seed."""

from typing import Any

import pytest

from brokers.simulator.faults import FOR_GOOD, LASTING, ONCE, Faults
from brokers.simulator.server_time import jumped, offset
from tests.brokers.simulator.conftest import START, Make, Rig

BUY = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0}


def test_faults_happen_once_and_do_what_their_name_says(rig: Rig) -> None:
    rig.mt5.faults.reply_lost_before_execution()
    assert rig.mt5.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0}) is None
    assert (rig.mt5.last_error()[0], rig.mt5.positions_total()) == (-10005, 0)
    rig.mt5.faults.reply_lost_after_execution()
    assert rig.mt5.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0}) is None
    assert rig.mt5.positions_total() == 1
    rig.mt5.faults.requote()
    assert (rig.buy().retcode, rig.buy().retcode) == (10004, 10009)
    rig.mt5.faults.disconnect()
    assert rig.mt5.account_info() is None
    rig.mt5.faults.reconnect()
    assert rig.mt5.account_info() is not None
    rig.mt5.faults.login_changed(42)
    info = rig.mt5.account_info()
    assert info is not None
    assert info.login == 42
    with pytest.raises(ValueError, match="no fault 'no_such' that happens once"):
        rig.mt5.faults.arm("no_such")


def test_an_execution_can_come_long_after_its_reply_was_lost(rig: Rig) -> None:
    rig.mt5.faults.delayed_execution(300)
    assert rig.mt5.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "comment": "late"}) is None
    assert rig.mt5.last_error()[0] == -10005
    rig.clock.advance(299)
    assert rig.mt5.positions_get() == ()
    rig.mt5.shutdown()
    rig.clock.advance(2)
    assert rig.mt5.initialize()
    (position,) = rig.mt5.positions_get() or ()
    assert position.comment == "late"
    assert rig.mt5.positions_total() == 1


def test_a_busy_server_a_restarted_terminal_and_a_late_history(rig: Rig) -> None:
    rig.mt5.faults.too_many_requests(2)
    assert [rig.buy().retcode for _ in range(3)] == [10024, 10024, 10009]
    rig.mt5.faults.terminal_restart()
    assert rig.mt5.positions_get() is None
    assert rig.mt5.last_error()[0] == -10004
    assert rig.mt5.account_info() is None
    assert rig.mt5.initialize()
    rig.mt5.faults.history_late(60)
    ticket = rig.buy().order
    assert rig.mt5.history_deals_get(position=ticket) == ()
    rig.clock.advance(61)
    assert len(rig.mt5.history_deals_get(position=ticket) or ()) == 1


def test_brokers_that_cut_comments_or_drop_the_magic(rig: Rig) -> None:
    rig.mt5.faults.comment_cut(5)
    rig.mt5.faults.magic_lost()
    assert rig.buy(magic=7, comment="td:abcdefghjk").request.magic == 7
    (position,) = rig.mt5.positions_get() or ()
    assert (position.magic, position.comment) == (0, "td:ab")


def test_every_name_is_a_method_and_says_what_it_does() -> None:
    assert (*ONCE, *LASTING, *FOR_GOOD) == Faults.NAMES
    for name in Faults.NAMES:
        assert getattr(Faults, name).__doc__


@pytest.mark.parametrize("seconds", [0, -1, 600.1])
def test_an_execution_is_ten_minutes_late_at_most(seconds: float) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match="up to 600"):
        faults.delayed_execution(seconds)
    faults.delayed_execution(600)
    assert faults.delay_seconds == 600


def test_a_terminal_that_is_busy_answers_nothing_and_does_nothing(rig: Rig) -> None:
    rig.mt5.faults.ipc_timeout(3)
    assert rig.mt5.order_send(BUY) is None
    assert rig.mt5.last_error() == (-10005, "IPC timeout")
    assert rig.mt5.symbol_select("EURUSD", True) is False
    assert rig.mt5.positions_total() is None
    assert rig.mt5.positions_total() == 0


def test_a_storm_of_requotes_ends_by_itself(rig: Rig) -> None:
    rig.mt5.faults.requote_storm(30)
    assert rig.buy().retcode == 10004
    rig.clock.advance(29)
    assert [rig.buy().retcode, rig.sell().retcode] == [10004, 10004]
    assert rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.09).retcode == 10009
    rig.clock.advance(1)
    assert rig.buy().retcode == 10009


def test_a_broker_that_writes_comments_of_its_own(rig: Rig) -> None:
    rig.mt5.faults.comment_rewritten("promo")
    rig.buy(comment="mine")
    rig.buy()
    assert [p.comment for p in rig.mt5.positions_get() or ()] == ["promo", "promo"]
    rig.mt5.faults.comment_rewritten(None)
    assert rig.buy(comment="mine").retcode == 10009
    assert (rig.mt5.positions_get() or ())[-1].comment == "mine"


def test_a_terminal_without_its_broker_shows_old_figures_while_the_broker_goes_on(rig: Rig) -> None:
    rig.buy(sl=1.09)
    rig.price(1.1)
    rig.mt5.faults.broker_disconnect()
    other = rig.connect()
    rig.clock.advance(5)
    other.push_tick("EURUSD", 1.08, 1.0801)
    info = rig.mt5.terminal_info()
    tick = rig.mt5.symbol_info_tick("EURUSD")
    assert info is not None
    assert tick is not None
    assert (info.connected, tick.bid, rig.mt5.positions_total(), other.positions_total()) == (False, 1.1, 1, 0)
    assert rig.buy().retcode == 10031
    rig.mt5.faults.broker_disconnect(lost=False)
    assert rig.mt5.positions_total() == 0
    assert rig.buy().retcode == 10009


def test_algorithmic_trading_can_be_switched_off(rig: Rig) -> None:
    rig.mt5.faults.trading_disabled()
    info = rig.mt5.terminal_info()
    assert info is not None
    assert (info.trade_allowed, rig.buy().retcode, rig.mt5.positions_total()) == (False, 10027, 0)
    rig.mt5.faults.trading_disabled(disabled=False)
    assert rig.buy().retcode == 10009


def test_the_servers_clock_jumps_for_everybody_and_for_good(rig: Rig) -> None:
    rig.buy()
    before = (rig.mt5.positions_get() or ())[0].time
    rig.mt5.faults.clock_jump(3600)
    assert (rig.mt5.positions_get() or ())[0].time == before + 3600
    assert (rig.connect().positions_get() or ())[0].time == before + 3600
    tick = rig.mt5.symbol_info_tick("EURUSD")
    assert tick is not None
    assert tick.time == before + 3600
    rig.mt5.faults.clock_jump(-3600)
    assert (rig.mt5.positions_get() or ())[0].time == before


def test_jumps_add_up() -> None:
    at = START.timestamp()
    assert jumped("ny+7", 90) == "ny+7 +90"
    assert jumped("ny+7 +90", -100) == "ny+7 -10"
    assert jumped("ny+7 +90", -90) == "ny+7"
    assert offset("utc -10", at) == -10
    assert offset("ny+7 +90", at) == offset("ny+7", at) + 90


def test_a_symbol_gets_another_name_with_all_that_is_open_on_it(rig: Rig) -> None:
    ticket = rig.buy(sl=1.09).order
    rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.095)
    rig.mt5.faults.symbol_renamed("EURUSD", "EURUSD.r")
    assert [s.name for s in rig.mt5.symbols_get() or ()] == ["EURUSD.r"]
    assert [p.symbol for p in rig.mt5.positions_get() or ()] == ["EURUSD.r"]
    assert [o.symbol for o in rig.mt5.orders_get() or ()] == ["EURUSD.r"]
    assert rig.mt5.symbol_info("EURUSD") is None
    assert rig.mt5.symbol_info_tick("EURUSD") is None
    assert rig.buy().retcode == 10013
    rig.price(1.094, symbol="EURUSD.r")
    assert rig.mt5.positions_total() == 2
    rig.price(1.08, symbol="EURUSD.r")
    assert [d.symbol for d in rig.mt5.history_deals_get(position=ticket) or ()] == ["EURUSD", "EURUSD.r"]


def test_a_rename_that_can_not_be_is_refused(rig: Rig) -> None:
    for old, new in (("NOPE", "X"), ("EURUSD", "EURUSD")):
        rig.mt5.faults.symbol_renamed(old, new)
        with pytest.raises(ValueError, match="there are EURUSD"):
            rig.mt5.positions_get()


def test_a_changed_step_leaves_positions_that_can_only_be_closed_whole(rig: Rig) -> None:
    ticket = rig.buy(0.15).order
    rig.mt5.faults.volume_step_changed("EURUSD", 0.1)
    info = rig.mt5.symbol_info("EURUSD")
    assert info is not None
    assert (info.volume_step, info.volume_min) == (0.1, 0.1)
    assert rig.buy(0.15).retcode == 10014
    assert rig.sell(0.05, position=ticket).retcode == 10014
    assert rig.sell(0.15, position=ticket).retcode == 10009


def calls(rig: Rig, count: int) -> list[Any]:
    """Trade for a while, and tell what came of each call."""
    seen: list[Any] = []
    for n in range(count):
        rig.clock.advance(2)
        if not rig.mt5._connected:
            rig.mt5.initialize()
        sent = rig.mt5.order_send({**BUY, "type": n % 2, "magic": 7, "comment": "mine"})
        seen.append((None if sent is None else sent.retcode, rig.mt5.last_error()[0], rig.mt5.positions_total()))
    return seen


def test_the_same_seed_does_the_same_wrong(make_rig: Make) -> None:
    rig = make_rig(balance=1e6)
    found = []
    for seed in (5, 5, 6):
        rig.mt5.faults.by_seed(seed, share=0.2)
        found.append(calls(rig, 150))
        rig.mt5.shutdown()
        rig.file.unlink()
        rig = make_rig(balance=1e6)
    assert found[0] == found[1] != found[2]
    assert len({row[:2] for row in found[0]}) > 5


@pytest.mark.parametrize("name", Faults.NAMES)
def test_every_fault_comes_by_seed_and_lasting_ones_end(make_rig: Make, name: str) -> None:
    rig = make_rig(balance=1e6)
    rig.mt5.faults.by_seed(1, share=1.0, names=[name])
    calls(rig, 3)
    assert rig.mt5.faults.schedule is not None
    rig.mt5.faults.schedule.share = 0.0
    for _ in range(70):
        rig.clock.advance(20)
        rig.mt5.initialize()
        rig.mt5.account_info()
    rig.mt5.faults.armed.clear()
    symbol = (rig.mt5.symbols_get() or ())[0].name
    sent = rig.mt5.order_send({**BUY, "symbol": symbol, "magic": 7, "comment": "mine"})
    assert sent is not None
    assert sent.retcode == 10009
    last = (rig.mt5.positions_get() or ())[-1]
    assert (last.magic, last.comment) == (7, "mine")


def test_a_plan_that_can_not_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault nope"):
        Faults().by_seed(1, names=["nope"])
    with pytest.raises(ValueError, match="a number from 0 to 1, not 2"):
        Faults().by_seed(1, share=2)
