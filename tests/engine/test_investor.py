"""The investor password: it reads where nothing is sent, and sends nothing."""

import pytest

from accounts.services import set_investor_password, set_password
from brokers.domain import OpenPosition, Side
from brokers.gateway import ConnectError
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock
from core.ids import SeededIds
from core.outcome import Refused
from engine.opening import gateway_of
from engine.reconciling import reconcile_account
from tests.world import START, World

INVESTOR = "look only"
BUY = OpenPosition(symbol="EURUSD", side=Side.BUY, volume=0.1, magic=7, comment="td:test")


def test_a_comparison_from_outside_takes_the_investor_password(world: World) -> None:
    set_password(account=world.account, password="no longer right", at=START)
    with pytest.raises(ConnectError, match="password"):
        reconcile_account(world.account.pk, clock=world.clock, ids=SeededIds(1))
    set_investor_password(account=world.account, password=INVESTOR, at=START)
    assert reconcile_account(world.account.pk, clock=world.clock, ids=SeededIds(2))["by"] == "command"


@pytest.mark.parametrize("investor", ["", INVESTOR])
def test_a_connection_for_reading_sends_nothing(investor: str, world: World) -> None:
    set_investor_password(account=world.account, password=investor, at=START)
    gateway = gateway_of(world.account, world.clock, is_for_reading=True)
    gateway.connect()
    outcome = gateway.send(BUY)
    gateway.close()
    assert isinstance(outcome, Refused)
    assert outcome.reason == "for_reading"
    assert not world.truth.orders
    assert not world.truth.history


def test_who_wants_to_trade_is_told_that_this_password_does_not(world: World) -> None:
    set_password(account=world.account, password=INVESTOR, at=START)
    with pytest.raises(ConnectError, match="master password"):
        gateway_of(world.account, world.clock).connect()


def test_the_simulated_terminal_lets_an_investor_look_only(world: World) -> None:
    terminal = SimulatedTerminal(world.state_file, clock=SystemClock())
    assert terminal.initialize(login=1001, password=INVESTOR, server="Sim-Server")
    may = [row.trade_allowed for row in (terminal.account_info(),) if row is not None]
    request = {"action": terminal.TRADE_ACTION_DEAL, "symbol": "EURUSD", "volume": 0.1, "type": 0, "price": 1.1}
    answer = terminal.order_send(request)
    assert answer is not None
    assert answer.retcode == terminal.TRADE_RETCODE_TRADE_DISABLED
    assert terminal.login(1001, "pw")
    may += [row.trade_allowed for row in (terminal.account_info(),) if row is not None]
    assert may == [False, True]
    terminal.shutdown()
