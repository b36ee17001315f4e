"""The selftest's checks of the faults: each happens when it is asked for, and is over when it should be."""

from functools import partial

from brokers.simulator.selftest.bench import (
    CLIENT_DISABLES,
    DONE,
    LOGIN,
    NO_CONNECTION,
    NO_IPC,
    PASSWORD,
    RECEIVE,
    REQUOTE,
    TIMEOUT,
    TOO_MANY,
    Bench,
    Check,
    collect,
)
from brokers.simulator.terminal import SimulatedTerminal

FAULT_CHECKS: dict[str, Check] = {}
check = partial(collect, FAULT_CHECKS)


@check("reply_lost_after_execution")
def _after(bench: Bench) -> None:
    bench.faults.reply_lost_after_execution()
    assert bench.buy() is None
    assert (bench.error(), bench.mt5.positions_total()) == (TIMEOUT, 1)
    assert bench.buy().retcode == DONE


@check("reply_lost_before_execution")
def _before(bench: Bench) -> None:
    bench.faults.reply_lost_before_execution()
    assert bench.buy() is None
    assert (bench.error(), bench.mt5.positions_total()) == (TIMEOUT, 0)
    assert bench.buy().retcode == DONE


@check("delayed_execution")
def _delayed(bench: Bench) -> None:
    bench.faults.delayed_execution(600)
    assert bench.buy() is None
    bench.clock.advance(599)
    assert bench.mt5.positions_total() == 0
    bench.clock.advance(2)
    assert bench.mt5.positions_total() == 1


@check("requote")
def _requote(bench: Bench) -> None:
    bench.faults.requote(2)
    assert [bench.buy().retcode for _ in range(3)] == [REQUOTE, REQUOTE, DONE]


@check("too_many_requests")
def _too_many(bench: Bench) -> None:
    bench.faults.too_many_requests()
    assert [bench.buy().retcode for _ in range(2)] == [TOO_MANY, DONE]


@check("terminal_restart")
def _restart(bench: Bench) -> None:
    bench.buy()
    bench.faults.terminal_restart()
    assert bench.mt5.positions_get() is None
    assert bench.error() == NO_IPC
    assert bench.mt5.account_info() is None
    assert bench.mt5.initialize(login=LOGIN, password=PASSWORD)
    assert bench.mt5.positions_total() == 1


@check("ipc_timeout")
def _timeout(bench: Bench) -> None:
    bench.faults.ipc_timeout()
    assert bench.buy() is None
    assert bench.error() == TIMEOUT
    assert bench.mt5.positions_get() == ()


@check("none_from")
def _none(bench: Bench) -> None:
    for name in ("positions_get", "orders_get", "account_info", "symbols_get", "version"):
        bench.faults.none_from(name)
        assert getattr(bench.mt5, name)() is None, name
        assert getattr(bench.mt5, name)() is not None, name


@check("disconnect")
def _disconnect(bench: Bench) -> None:
    bench.faults.disconnect()
    assert bench.mt5.account_info() is None
    assert bench.error() == RECEIVE
    bench.faults.reconnect()
    assert bench.mt5.account_info() is not None


@check("broker_disconnect")
def _broker(bench: Bench) -> None:
    bench.mt5.account_info()
    bench.faults.broker_disconnect()
    assert not bench.mt5.terminal_info().connected
    assert bench.buy().retcode == NO_CONNECTION
    bench.faults.broker_disconnect(lost=False)
    assert bench.mt5.terminal_info().connected
    assert bench.buy().retcode == DONE


@check("trading_disabled")
def _disabled(bench: Bench) -> None:
    bench.faults.trading_disabled()
    assert not bench.mt5.terminal_info().trade_allowed
    assert bench.buy().retcode == CLIENT_DISABLES
    bench.faults.trading_disabled(disabled=False)
    assert bench.buy().retcode == DONE


@check("login_changed")
def _login(bench: Bench) -> None:
    bench.faults.login_changed(42)
    assert bench.mt5.account_info().login == 42
    bench.faults.login_changed(None)
    assert bench.mt5.account_info().login == LOGIN


@check("history_late")
def _late(bench: Bench) -> None:
    bench.faults.history_late(60)
    ticket = bench.buy().order
    assert bench.mt5.history_deals_get(position=ticket) == ()
    assert bench.mt5.history_orders_get(ticket=ticket) == ()
    bench.clock.advance(61)
    assert len(bench.mt5.history_deals_get(position=ticket)) == 1
    assert len(bench.mt5.history_orders_get(ticket=ticket)) == 1


@check("positions_late")
def _positions_late(bench: Bench) -> None:
    bench.faults.positions_late(1.0)
    assert bench.buy().retcode == DONE
    assert (bench.mt5.positions_get(), bench.mt5.positions_total()) == ((), 0)
    bench.clock.advance(1)
    assert (len(bench.mt5.positions_get()), bench.mt5.positions_total()) == (1, 1)


def _comment(bench: Bench) -> str:
    bench.buy(comment="a comment")
    return str(bench.mt5.positions_get()[-1].comment)


@check("comment_cut")
def _cut(bench: Bench) -> None:
    bench.faults.comment_cut(3)
    assert _comment(bench) == "a c"
    bench.faults.comment_cut(None)
    assert _comment(bench) == "a comment"


@check("comment_rewritten")
def _rewritten(bench: Bench) -> None:
    bench.faults.comment_rewritten("theirs")
    assert _comment(bench) == "theirs"
    bench.faults.comment_rewritten(None)
    assert _comment(bench) == "a comment"


@check("magic_lost")
def _magic(bench: Bench) -> None:
    bench.faults.magic_lost()
    bench.buy(magic=7)
    bench.faults.magic_lost(lost=False)
    bench.buy(magic=7)
    assert [p.magic for p in bench.mt5.positions_get()] == [0, 7]


@check("requote_storm")
def _storm(bench: Bench) -> None:
    bench.faults.requote_storm(10)
    assert [bench.buy().retcode for _ in range(5)] == [REQUOTE] * 5
    bench.clock.advance(10)
    assert bench.buy().retcode == DONE


@check("clock_jump")
def _jump(bench: Bench) -> None:
    before = bench.mt5.symbol_info_tick("EURUSD").time
    bench.faults.clock_jump(3600)
    assert bench.mt5.symbol_info_tick("EURUSD").time == before + 3600
    other = SimulatedTerminal(bench.file, clock=bench.clock)
    assert other.initialize(login=LOGIN, password=PASSWORD)
    tick = other.symbol_info_tick("EURUSD")
    other.shutdown()
    assert tick is not None
    assert tick.time == before + 3600


@check("symbol_renamed")
def _renamed(bench: Bench) -> None:
    bench.buy()
    bench.faults.symbol_renamed("EURUSD", "EURUSD.r")
    assert bench.mt5.symbol_info("EURUSD") is None
    assert bench.mt5.positions_get()[0].symbol == "EURUSD.r"
    assert bench.mt5.Close("EURUSD.r") is True


@check("volume_step_changed")
def _step(bench: Bench) -> None:
    bench.faults.volume_step_changed("EURUSD", 0.1)
    assert bench.mt5.symbol_info("EURUSD").volume_step == 0.1
    assert bench.buy(volume=0.15).retcode == 10014
    assert bench.buy(volume=0.2).retcode == DONE
