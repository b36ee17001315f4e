"""The agent: the same answers as beside the terminal, and one send for each intent of the newest holder."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brokers.domain import ClosePosition, OpenPosition, Side
from brokers.gateway import ConnectError, ReadError
from brokers.mt5.agentstate import AgentError, AgentState, Pairing
from brokers.mt5.remote import RemoteTerminal
from brokers.mt5.wire import READS, decode, encode
from core.outcome import Accepted, Refused, Unknown
from tests.brokers.agent.conftest import Remote
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, START

BUY = OpenPosition("EURUSD", Side.BUY, 0.1, magic=7, comment="td:abcdefghjk")
DEAL: dict[str, Any] = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1001}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "symbol_info": ("EURUSD",), "symbol_info_tick": ("EURUSD",), "symbol_select": ("EURUSD", True),
    "market_book_add": ("EURUSD",), "market_book_get": ("EURUSD",), "market_book_release": ("EURUSD",),
    "copy_rates_from": ("EURUSD", 1, START + timedelta(hours=2), 3), "copy_rates_from_pos": ("EURUSD", 1, 0, 3),
    "copy_rates_range": ("EURUSD", 1, START, START + timedelta(hours=3)),
    "copy_ticks_from": ("EURUSD", START, 5, -1), "copy_ticks_range": ("EURUSD", START, START + timedelta(hours=3), -1),
    "order_calc_margin": (0, "EURUSD", 1.0, 1.1), "order_calc_profit": (0, "EURUSD", 1.0, 1.1, 1.2),
    "history_orders_total": (0, 2**31 - 1), "history_orders_get": (0, 2**31 - 1),
    "history_deals_total": (0, 2**31 - 1), "history_deals_get": (0, 2**31 - 1), "order_check": (DEAL,),
}  # fmt: skip


@pytest.mark.parametrize("function", sorted(READS))
def test_every_function_answers_as_beside_the_terminal(remote: Remote, function: str) -> None:
    remote.rig.buy(0.2, magic=7, comment="c")
    remote.rig.send(action=5, symbol="EURUSD", volume=0.1, type=2, price=1.09)
    here = getattr(remote.rig.mt5, function)(*ARGUMENTS.get(function, ()))
    error = remote.rig.mt5.last_error()
    terminal = remote.connected()
    there = getattr(terminal, function)(*ARGUMENTS.get(function, ()))
    assert terminal.last_error() == error
    if isinstance(here, np.ndarray):
        assert there.dtype == here.dtype
        assert there.tolist() == here.tolist()
    else:
        assert (there, repr(there)) == (here, repr(here))


def test_structs_are_whole_on_the_other_side(remote: Remote) -> None:
    result = remote.connected().order_send(DEAL, remote.permit())
    assert (result.retcode, result.request.symbol, result._asdict()["order"]) == (10009, "EURUSD", result.order)
    assert result[0] == 10009
    assert not hasattr(result, "_fields")
    assert decode(encode(())) == ()
    assert decode(encode((1, "Success"))) == (1, "Success")


def test_constants_are_there_and_nothing_else_is(remote: Remote) -> None:
    terminal = remote.terminal()
    assert terminal.TRADE_RETCODE_DONE == 10009
    for name in ("Buy", "login", "eval", "__class_getitem__"):
        with pytest.raises(AttributeError):
            getattr(terminal, name)


def test_a_wrong_convention_is_the_same_error(remote: Remote) -> None:
    terminal = remote.connected()
    with pytest.raises(TypeError):
        terminal.symbol_info()
    assert terminal.history_deals_get(ticket=1, oops=2) is None
    assert terminal.last_error()[0] == -2


def test_the_gateway_trades_through_it(remote: Remote) -> None:
    gateway = remote.gateway()
    opened = gateway.send(BUY, remote.permit())
    assert isinstance(opened, Accepted)
    (position,) = gateway.book().positions
    assert (position.identifier, position.opened_at) == (opened.order, START)
    close = ClosePosition("EURUSD", Side.BUY, 0.1, ticket=position.ticket, magic=7, comment="c")
    assert isinstance(gateway.send(close, remote.permit()), Accepted)
    assert gateway.book().positions == ()
    assert len(gateway.deals_of(opened.order)) == 2


@pytest.mark.requirement("S0-05", "S0-08")
def test_calls_that_come_at_once_reach_the_terminal_one_after_the_other(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.rig.buy(0.2, magic=7)
    remote.rig.buy(0.1, magic=7)
    gateways = [remote.gateway() for _ in range(4)]
    read, inside, overlaps = remote.rig.mt5.positions_get, threading.Event(), []

    def watched(**options: Any) -> Any:
        overlaps.append(inside.is_set())
        inside.set()
        # Long enough for another call to come in, if one could
        another.wait(0.05)
        inside.clear()
        return read(**options)

    another = threading.Event()
    monkeypatch.setattr(remote.rig.mt5, "positions_get", watched)
    with ThreadPoolExecutor(len(gateways)) as pool:
        pairs = pool.map(lambda gateway: (gateway.book(), gateway.book()), gateways)
        books = [book for pair in pairs for book in pair]
    assert len(overlaps) >= len(books)
    assert not any(overlaps)
    seen = {tuple((p.ticket, p.symbol, p.profit, p.swap) for p in book.positions) for book in books}
    assert len(seen) == 1
    assert [lots for book in books for lots in [book.total_open_volume]] == [pytest.approx(0.3)] * 8
    deals = gateways[0].deals(START - timedelta(days=1), START + timedelta(days=1))
    assert sorted(d.commission for d in deals if d.symbol) == [-0.7, -0.35]


def test_an_intent_passes_once_also_after_a_restart(remote: Remote) -> None:
    permit = remote.permit("abcdefghjk")
    assert isinstance(remote.gateway().send(BUY, permit), Accepted)
    assert remote.gateway().send(BUY, permit) == Refused(
        "not_sent", -20001, text="the intent abcdefghjk was sent before"
    )
    remote.restart()
    again = remote.gateway().send(BUY, permit)
    assert isinstance(again, Refused)
    assert "was sent before" in again.text
    assert len(remote.gateway().book().positions) == 1


def test_an_intent_whose_reply_was_lost_does_not_pass_again(remote: Remote) -> None:
    gateway, permit = remote.gateway(), remote.permit()
    remote.rig.mt5.faults.reply_lost_after_execution()
    assert isinstance(gateway.send(BUY, permit), Unknown)
    assert isinstance(gateway.send(BUY, permit), Refused)
    assert len(gateway.book().positions) == 1


def test_a_newer_holder_ends_the_rights_of_the_older_one_also_after_a_restart(remote: Remote) -> None:
    older = remote.gateway(4)
    newer = remote.gateway(5)
    refused = older.send(BUY, remote.permit(fence=4))
    assert isinstance(refused, Refused)
    assert "stale" in refused.text
    assert isinstance(newer.send(BUY, remote.permit(fence=5)), Accepted)
    remote.restart()
    assert remote.state.fence == 5
    with pytest.raises(ConnectError, match=r"newer token 5.*--accept-token"):
        remote.gateway(4)
    remote.gateway(0).book()


def test_without_a_permit_or_after_its_deadline_nothing_leaves(remote: Remote) -> None:
    gateway = remote.gateway()
    assert isinstance(gateway.send(BUY), Refused)
    assert isinstance(gateway.send(BUY, remote.permit(seconds=0.0)), Refused)
    assert gateway.book().positions == ()


def test_a_connection_that_breaks_leaves_the_outcome_unknown_and_comes_back(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = remote.gateway()

    def executes_and_dies(request: dict[str, Any]) -> Any:
        type(remote.rig.mt5).order_send(remote.rig.mt5, request)
        remote.server._hang_up_all()

    monkeypatch.setattr(remote.rig.mt5, "order_send", executes_and_dies)
    assert isinstance(gateway.send(BUY, remote.permit()), Unknown)
    with pytest.raises(ReadError):
        gateway.book()
    remote.rig.clock.advance(6)
    assert len(gateway.book().positions) == 1


def test_another_account_on_the_terminal_is_not_traded(remote: Remote) -> None:
    terminal = remote.connected()
    remote.rig.mt5.faults.login_changed(42)
    assert terminal.order_send(DEAL, remote.permit()) is None
    assert terminal.last_error() == (-20001, f"the terminal is not logged in to {LOGIN}")


def test_a_wrong_password_and_another_login_are_refused(remote: Remote) -> None:
    with pytest.raises(ConnectError, match="was refused by the broker"):
        remote.gateway(password="wrong")
    terminal = remote.terminal()
    assert not terminal.initialize(login=LOGIN + 1, password=PASSWORD)
    assert terminal.last_error()[0] == -6


def test_the_path_of_the_terminal_is_never_the_clients_to_choose(remote: Remote) -> None:
    terminal = remote.connected()
    assert not terminal._call("initialize", r"C:\\evil.exe", login=LOGIN)
    assert not terminal._call("initialize", login=LOGIN, path=r"C:\\evil.exe")


def test_the_pairing_stays_and_its_files_are_the_owners(remote: Remote) -> None:
    assert AgentState(remote.folder, now=START).pairing == remote.pairing
    for name in ("agent.key", "agent.pem"):
        assert (remote.folder / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "agent1.", "agent1.AAAA", "x" * 90, "agent1.ÄÖ"])
def test_a_pairing_code_that_is_not_whole_is_said(text: str) -> None:
    with pytest.raises(AgentError, match="copy the line"):
        Pairing.parse(text)


def test_the_command_serves_one_terminal_and_prints_its_pairing(tmp_path: Path, remote: Remote) -> None:
    """A real process: a second one on its folder is turned away, and SIGTERM ends it in order."""
    folder = tmp_path / "other"
    given = ["--login", str(LOGIN), "--simulator", str(remote.rig.file), "--folder", str(folder)]
    command = [sys.executable, "-m", "brokers.mt5.agent", *given, "--listen", "127.0.0.1:0"]
    printed = subprocess.run([*command, "--pairing"], capture_output=True, text=True, check=True, timeout=120)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        port = int(said.rpartition(":")[2])
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert (second.returncode, "another agent holds" in second.stderr) == (3, True)
        terminal = RemoteTerminal(("127.0.0.1", port), Pairing.parse(printed.stdout), clock=remote.rig.clock)
        assert terminal.initialize(login=LOGIN, password=PASSWORD)
        assert terminal.account_info().login == LOGIN
        terminal.shutdown()
        process.terminate()
        assert process.wait(20) == 0


def test_an_order_that_comes_while_the_agent_stops_is_not_executed(remote: Remote) -> None:
    gateway = remote.gateway()
    remote.server._terminal_thread.shutdown()
    outcome = gateway.send(BUY, remote.permit())
    assert not isinstance(outcome, Accepted)
    assert remote.rig.mt5.positions_get() == ()
    remote.server._terminal_thread = ThreadPoolExecutor(1)
