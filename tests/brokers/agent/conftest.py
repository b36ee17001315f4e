"""An agent over loopback, beside a simulated terminal."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from brokers.gateway import Permit
from brokers.mt5.agentserver import AgentServer, Served
from brokers.mt5.agentstate import AgentState, Pairing
from brokers.mt5.remote import RemoteMt5Gateway, RemoteTerminal
from brokers.simulator.account import SymbolSetup
from tests.brokers.simulator.conftest import LOGIN, PASSWORD, SERVER, Rig

JOIN_SECONDS = 60.0


class Remote:
    """A rig, an agent on it, and as many clients as a test wants. `restart` begins a new agent on the same folder."""

    def __init__(self, folder: Path, *symbols: SymbolSetup) -> None:
        self.rig = Rig(folder, symbols=symbols or (SymbolSetup("EURUSD"),))
        self.folder = folder / "agent"
        self._clients: list[RemoteTerminal] = []
        self._intents = 0
        self.strangers: list[socket.socket] = []
        self.start()

    def start(self) -> None:
        self.state = AgentState(self.folder, now=self.rig.clock.now())
        self.state.hold()
        served = Served(self.rig.mt5, LOGIN)
        self.server = AgentServer(served, self.state, clock=self.rig.clock, host="127.0.0.1", port=0)
        self._thread = threading.Thread(target=self.server.serve)
        self._thread.start()

    def stop(self) -> None:
        for client in self._clients:
            client.shutdown()
        for sock in self.strangers:
            sock.close()
        self._clients, self.strangers = [], []
        self.server.stop()
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive()
        self.state.let_go()

    def restart(self) -> None:
        self.stop()
        self.rig.mt5 = self.rig.connect()
        self.start()

    @property
    def pairing(self) -> Pairing:
        return self.state.pairing

    def terminal(self, pairing: Pairing | None = None) -> RemoteTerminal:
        """Make a client, not connected."""
        client = RemoteTerminal(self.server.address, pairing or self.pairing, clock=self.rig.clock)
        self._clients.append(client)
        return client

    def connected(self) -> RemoteTerminal:
        """Make a client that is logged in."""
        client = self.terminal()
        assert client.initialize(login=LOGIN, password=PASSWORD, server=SERVER), client.last_error()
        return client

    def gateway(self, fence: int = 1, *, password: str = PASSWORD) -> RemoteMt5Gateway:
        """Make a connected gateway."""
        gateway = RemoteMt5Gateway(
            self.terminal(), login=LOGIN, password=password, server=SERVER, path=None, clock=self.rig.clock
        )
        gateway.connect(fence)
        return gateway

    def permit(self, intent: str = "", *, fence: int = 1, seconds: float = 10.0) -> Permit:
        """Make a permit, for a new intent unless one is named."""
        self._intents += 1
        deadline = self.rig.clock.now() + timedelta(seconds=seconds)
        return Permit(intent or f"intent{self._intents}", fence, deadline)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    made = Remote(tmp_path)
    yield made
    made.stop()
