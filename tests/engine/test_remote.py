"""The whole engine on an account whose terminal stands behind an agent."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts import services
from accounts.models import TradingAccount
from accounts.selectors import pairing_of
from brokers.mt5.agentserver import AgentServer, Served
from brokers.mt5.agentstate import AgentState
from brokers.mt5.remote import RemoteMt5Gateway
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock
from engine.lease import HeldLease
from engine.opening import gateway_of
from engine.session import AccountSession
from events.models import Event
from orders.models import OrderIntent
from tests.world import World


class RemoteWorld(World):
    """A world whose engine has no terminal of its own: it asks an agent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = AgentState(folder / "agent", now=self.clock.now())
        self.theirs = SimulatedTerminal(self.state_file, clock=self.clock)
        served = Served(self.theirs, 1001)
        self.server = AgentServer(served, self.state, clock=self.clock, host="127.0.0.1", port=0)
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()
        address = "{}:{}".format(*self.server.address)
        TradingAccount.objects.filter(pk=self.account.pk).update(broker="remote", terminal_path=address)
        self.account.refresh_from_db()
        services.set_pairing(account=self.account, pairing=self.state.pairing.text, at=self.clock.now(), by=self.ada)
        self.market = SimulatedTerminal(self.state_file, clock=self.clock)

    @property
    def terminal(self) -> SimulatedTerminal:
        return self.market

    def start(self, *, password: str = "pw") -> AccountSession:
        lease = HeldLease.acquire(self.account.pk, f"test:{self.ids.token(6)}", clock=self.clock)
        assert lease is not None
        gateway = gateway_of(self.account, self.clock)
        assert isinstance(gateway, RemoteMt5Gateway)
        self._session = AccountSession(self.account.pk, gateway=gateway, clock=self.clock, ids=self.ids, lease=lease)
        self._session.start()
        return self._session

    def close(self) -> None:
        if self._session is not None:
            self._session.gateway.close()
        self.server.stop()
        self.thread.join(10)
        self.market.shutdown()


@pytest.fixture
def world(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[RemoteWorld]:
    settings.VAR_DIR = tmp_path
    # A stream comes when it comes: on a virtual clock prices are asked for, but where a test is about the stream
    settings.STREAM_PRICES = False
    made = RemoteWorld(tmp_path)
    yield made
    made.close()


def test_cycles_open_and_close_through_the_agent(world: RemoteWorld) -> None:
    world.bot()
    world.run(3)
    world.move(-11)
    assert len(world.truth.positions) == 2
    world.assert_equal()
    world.move(30, run=4)
    assert {c.status for c in world.cycles()} >= {"closed"}
    world.assert_equal()
    sent = set((world.state.folder / "sent").read_text("ascii").split())
    assert sent == set(OrderIntent.objects.values_list("token", flat=True))


def test_a_second_engine_raises_the_token_and_the_first_can_not_send(world: RemoteWorld) -> None:
    world.bot()
    world.run(3)
    first = world.session
    world.restart()
    assert world.state.fence == world.session.lease.token > first.lease.token
    world.run(2)
    world.assert_equal()
    first.gateway.close()


def test_a_lost_reply_is_adopted_through_the_agent(world: RemoteWorld) -> None:
    world.start()
    world.theirs.faults.reply_lost_after_execution()
    world.bot(target_profit=1000.0)
    world.run(8)
    assert OrderIntent.objects.order_by("id")[0].state == "adopted"
    assert len(world.truth.positions) == 1
    world.assert_equal()


def test_the_pairing_code_is_kept_encrypted_and_told_nowhere(world: RemoteWorld) -> None:
    world.account.refresh_from_db()
    text = world.state.pairing.text
    assert pairing_of(world.account) == text
    assert text not in world.account.pairing_encrypted
    assert not Event.objects.filter(text__contains=text).exists()
    assert Event.objects.filter(kind="ACCOUNT_PAIRING").exists()


@pytest.mark.requirement("S4-05", "S4-18", "S4-57")
def test_a_silent_stream_is_told_and_prices_are_asked_for_meanwhile(world: RemoteWorld, settings: Any) -> None:
    settings.STREAM_PRICES = True
    world.bot()
    session = world.start()
    gateway = session.gateway
    assert isinstance(gateway, RemoteMt5Gateway)
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    world.run(2)
    assert session.statistics()["prices"]["source"] == "stream"
    assert not Event.objects.filter(kind="PRICE_STREAM").exists()
    gateway._stream.stop()
    world.price(1.2, run=2)
    assert session.market.quotes["EURUSD"].bid == 1.2
    component = next(c for c in session.reporter.components() if c.name == "prices")
    assert component.health == "degraded"
    assert "asked for" in component.reason
    (told,) = Event.objects.filter(kind="PRICE_STREAM")
    assert (told.level, told.account_id) == ("warning", world.account.pk)
    gateway._stream._wanted = frozenset()
    session.market.follow(["EURUSD"])
    wait_for(lambda: gateway.streamed("EURUSD") is not None)
    world.run(2)
    assert Event.objects.filter(kind="PRICE_STREAM", level="info").count() == 1


def wait_for(condition: Callable[[], bool]) -> None:
    clock = SystemClock()
    until = clock.ticks() + 60
    while not condition():
        assert clock.ticks() < until
        clock.sleep(0.01)
