"""Attacks on the agent: none executes anything, none stops it from serving the engine."""

import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from brokers.mt5 import agentserver, wire
from brokers.mt5.agentstate import Pairing
from tests.brokers.agent.conftest import Remote
from tests.brokers.agent.test_agent import DEAL
from tests.brokers.simulator.conftest import LOGIN


class Attacker:
    """A raw TLS connection to the agent, with the pairing's key unless another is given."""

    def __init__(self, remote: Remote, key: bytes | None = None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(socket.create_connection(remote.server.address, 5.0))
        remote.strangers.append(self.sock)
        self.remote = remote
        self.key = remote.pairing.key if key is None else key
        self.session = b""
        self.session = bytes.fromhex(self.receive(remote.pairing.key)["session"])

    def frame(self, **message: Any) -> bytes:
        text = json.dumps({"n": 1, "due": 30.0, "args": [], **message}).encode()
        return len(text).to_bytes(4, "big") + wire.mac(self.key, wire.TO_AGENT, self.session, text) + text

    def receive(self, key: bytes | None = None) -> dict[str, Any]:
        return wire.receive_frame(
            self.sock, key or self.key, wire.TO_CLIENT, self.session, longest=wire.REPLY_MAX,
            clock=self.remote.rig.clock, wait_seconds=5.0, rest_seconds=5.0,
        )  # fmt: skip

    def ask(self, **message: Any) -> dict[str, Any]:
        self.sock.sendall(self.frame(**message))
        return self.receive()

    def is_cut_off(self) -> bool:
        self.sock.settimeout(5.0)
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


def order(intent: str = "a", fence: int = 1, **message: Any) -> dict[str, Any]:
    return {"call": "order_send", "args": [DEAL], "permit": {"intent": intent, "fence": fence}, **message}


def unharmed(remote: Remote, positions: int = 0) -> None:
    """The engine is still served, and nothing more was executed."""
    assert len(remote.gateway().book().positions) == positions


def test_a_frame_sent_twice_executes_once(remote: Remote) -> None:
    remote.connected()
    attacker = Attacker(remote)
    frame = attacker.frame(**order())
    attacker.sock.sendall(frame)
    assert attacker.receive()["value"]["values"][0] == 10009
    attacker.sock.sendall(frame)
    assert attacker.is_cut_off()
    unharmed(remote, positions=1)


def test_a_recorded_frame_means_nothing_in_another_session(remote: Remote) -> None:
    remote.connected()
    frame = Attacker(remote).frame(**order())
    second = Attacker(remote)
    second.sock.sendall(frame)
    assert second.is_cut_off()
    unharmed(remote)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 64,
        lambda a: (0xFFFFFFFF).to_bytes(4, "big") + b"x" * 64,
        lambda a: (wire.REQUEST_MAX + 1).to_bytes(4, "big") + b"x" * 64,
        lambda a: a.frame(**order())[:-1] + b" ",
        lambda a: signed(a, b"no json"),
        lambda a: signed(a, b"[" * 60_000),
        lambda a: signed(a, b"[1,2]"),
        lambda a: a.frame(**order(n=0)),
        lambda a: a.frame(**order(n="1")),
        lambda a: a.frame(**order(due=None)),
    ],
    ids=["http", "huge", "just too long", "changed", "no json", "deep json", "a list", "zero", "text", "no deadline"],
)
def test_garbage_ends_the_connection(remote: Remote, spoil: Callable[[Attacker], bytes]) -> None:
    remote.connected()
    attacker = Attacker(remote)
    attacker.sock.sendall(spoil(attacker))
    assert attacker.is_cut_off()
    unharmed(remote)


def signed(attacker: Attacker, text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + wire.mac(attacker.key, wire.TO_AGENT, attacker.session, text) + text


def test_a_wrong_key_reads_nothing(remote: Remote) -> None:
    attacker = Attacker(remote, key=b"x" * 32)
    attacker.sock.sendall(attacker.frame(call="account_info"))
    assert attacker.is_cut_off()
    stranger = remote.terminal(Pairing(remote.pairing.fingerprint, b"x" * 32))
    assert not stranger.initialize(login=LOGIN)


def test_another_certificate_is_not_spoken_to(remote: Remote) -> None:
    """Somebody between client and agent shows a certificate of his own: the password must not be said to him."""
    client = remote.terminal(Pairing(b"x" * 32, remote.pairing.key))
    assert not client.initialize(login=LOGIN)
    assert client.last_error()[0] == -10004
    assert "not the paired one" in client.last_error()[1]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (order(due=-1.0), -20002),
        (order(fence=0), -20001),
        (order(fence=-3), -20001),
        (order(fence=True), -20001),
        (order(intent=""), -20001),
        (order(intent="../../etc"), -20001),
        (order(intent="a\nb"), -20001),
        (order(permit=None), -20001),
        (order(permit="x"), -20001),
        (order(args=[DEAL, DEAL]), -2),
        (order(args=[{**DEAL, "comment": {"x": 1}}]), -2),
        (order(args=[{**DEAL, "volume": float("nan")}]), -2),
        ({"call": "eval", "args": ["1"]}, -7),
        ({"call": "__class__"}, -7),
        ({"call": "shutdown"}, -7),
        ({"call": "login", "args": [1]}, -7),
        ({"call": "Buy", "args": ["EURUSD", 0.1]}, -7),
        ({"call": "push_tick", "args": ["EURUSD", 1.0, 1.1]}, -7),
        ({"call": None}, -7),
        ({"call": ["account_info"]}, -7),
        ({"call": "symbol_info", "args": [["EURUSD"]]}, -2),
        ({"call": "symbol_info", "args": "EURUSD"}, -2),
        ({"call": "take_over", "args": ["9"]}, -20001),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_and_not_executed(remote: Remote, message: dict[str, Any], code: int) -> None:
    remote.connected()
    reply = Attacker(remote).ask(**message)
    assert (reply["value"], reply["error"][0]) == (None, code)
    unharmed(remote)


def test_a_stale_token_is_refused(remote: Remote) -> None:
    remote.gateway(7)
    reply = Attacker(remote).ask(**order(fence=6))
    assert (reply["value"], reply["error"]) == (None, [-20001, "the token 6 is stale; 7 holds the account"])
    unharmed_by_seven = remote.gateway(7).book().positions
    assert unharmed_by_seven == ()


def test_many_silent_connections_do_not_lock_the_engine_out_for_ever(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agentserver, "HANDSHAKE_SECONDS", 0.2)
    silent = [socket.create_connection(remote.server.address, 5.0) for _ in range(agentserver.CONNECTIONS_MAX + 2)]
    for sock in silent:
        sock.settimeout(5.0)
        assert sock.recv(1) == b""
        sock.close()
    unharmed(remote)


def test_a_slow_reader_and_a_slow_writer_are_cut_off_while_others_are_served(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agentserver, "FRAME_SECONDS", 0.3)
    gateway = remote.gateway()
    slow = Attacker(remote)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for n in range(1, 60):
        try:
            slow.sock.sendall(slow.frame(call="symbols_get", n=n))
        except OSError:
            break
        assert gateway.book().positions == ()
    half = Attacker(remote)
    half.sock.sendall(half.frame(call="account_info")[:20])
    # The rig's clock stands still: only the socket's own time-out can end the wait
    assert half.is_cut_off()
    unharmed(remote)
