"""A terminal behind an agent: an object with the module's surface, and the gateway that shows permits to the agent."""

import hashlib
import hmac
import re
import socket
import ssl
from dataclasses import replace
from functools import partial
from typing import Any

from brokers.gateway import ConnectError, Permit
from brokers.mt5 import wire
from brokers.mt5.agentstate import AgentError, Pairing
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.retcodes import AGENT_REFUSED, NO_IPC
from brokers.simulator.constants import CONSTANTS
from core.clock import Clock

CALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
INITIALIZE_SECONDS = 90.0
SEND_FAILED, RECEIVE_FAILED, TIMED_OUT = -10001, -10002, -10005
SUCCESS = (1, "Success")


def parse_address(text: str, *, is_listener: bool = False) -> tuple[str, int]:
    """Read host:port; a listener may have port 0, which means any free one. Raises AgentError."""
    host, _, port = text.strip().rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not (not is_listener) <= int(port) < 65536:
        raise AgentError(f"{text[:80]!r} is no address of an agent: write host:port, for example 10.0.0.5:18840")
    return host.strip("[]"), int(port)


class RemoteTerminal:
    """The module's functions over a connection to an agent. What fails on the way shows in `last_error`."""

    def __init__(self, address: tuple[str, int], pairing: Pairing, *, clock: Clock) -> None:
        self._address = address
        self._pairing = pairing
        self._clock = clock
        self._sock: socket.socket | None = None
        self._session = b""
        self._counter = 0
        self._greeted_at = 0.0
        self._error: tuple[int, str] = SUCCESS

    def __getattr__(self, name: str) -> Any:
        if name in wire.READS:
            return partial(self._call, name)
        try:
            return CONSTANTS[name]
        except KeyError:
            raise AttributeError(f"module 'MetaTrader5' has no attribute '{name}'") from None

    # The module's functions that mean something else here

    def initialize(self, **options: Any) -> bool:
        """Connect to the agent, and let it connect its terminal."""
        try:
            self._dial()
        except (OSError, wire.WireError) as problem:
            self._hang_up()
            self._error = (NO_IPC, f"the agent at {self._address[0]}:{self._address[1]} can't be reached: {problem}")
            return False
        return bool(self._call("initialize", seconds=INITIALIZE_SECONDS, **options))

    def shutdown(self) -> None:
        """Let go of the agent, which keeps its terminal."""
        self._hang_up()

    def last_error(self) -> tuple[int, str]:
        """Return the code and text of the last call's failure, or (1, 'Success')."""
        return self._error

    def take_over(self, fence: int) -> bool:
        """Tell the agent who holds the account from now on; False when somebody newer does."""
        return bool(self._call("take_over", fence))

    def order_send(self, request: dict[str, Any], permit: Permit | None = None) -> Any:
        """Send with a permit; without one nothing leaves."""
        if permit is None:
            self._error = (AGENT_REFUSED, "an order needs a permit")
            return None
        seconds = (permit.deadline - self._clock.now()).total_seconds()
        if seconds <= 0:
            self._error = (AGENT_REFUSED, "the deadline of the order has passed")
            return None
        shown = {"intent": permit.intent, "fence": permit.fence}
        return self._call("order_send", request, seconds=seconds, permit=shown)

    # The connection

    def _dial(self) -> None:
        """Connect, and prove both sides: the agent by its certificate, this client by the key. Raises OSError."""
        self._hang_up()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        # The certificate is the agent's own: not signed by anybody, known by its fingerprint
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(self._address, CONNECT_SECONDS)
        self._sock = sock = context.wrap_socket(plain, do_handshake_on_connect=False)
        sock.do_handshake()
        shown = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(shown, self._pairing.fingerprint):
            raise wire.WireError("its certificate is not the paired one")
        greeting = self._receive(b"", CONNECT_SECONDS)
        self._greeted_at = self._clock.ticks()
        if greeting.get("version") != wire.VERSION:
            raise wire.WireError(f"it speaks version {greeting.get('version')}; update both sides")
        self._session = bytes.fromhex(str(greeting.get("session")))
        self._counter = 0

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def _call(
        self, function: str, *args: Any, seconds: float = CALL_SECONDS, permit: Any = None, **options: Any
    ) -> Any:
        """Ask the agent once. A connection that broke is not used again: nobody knows which answer comes next on it."""
        if self._sock is None:
            self._error = (NO_IPC, "No IPC connection")
            return None
        self._counter += 1
        message: dict[str, Any] = {
            "n": self._counter,
            # The agent's clock, as seconds since its greeting: late by the greeting's way, so never too generous
            "due": self._clock.ticks() - self._greeted_at + seconds,
            "call": function,
            "args": [wire.plain_argument(value) for value in args],
            "options": {name: wire.plain_argument(value) for name, value in options.items()},
        }
        failure = SEND_FAILED
        try:
            self._sock.settimeout(CONNECT_SECONDS)
            wire.send_frame(
                self._sock, self._pairing.key, wire.TO_AGENT, self._session,
                message if permit is None else message | {"permit": permit},
            )  # fmt: skip
            failure = RECEIVE_FAILED
            reply = self._receive(self._session, max(seconds, CALL_SECONDS) + CONNECT_SECONDS)
            if reply.get("n") != self._counter:
                raise wire.WireError("the answer is to another call")
            value = wire.decode(reply.get("value"))
            code, text = reply["error"]
        except TimeoutError:
            self._hang_up()
            self._error = (TIMED_OUT, "IPC timeout")
            return None
        except (OSError, wire.WireError, KeyError, TypeError, ValueError) as problem:
            self._hang_up()
            self._error = (failure, str(problem) or type(problem).__name__)
            return None
        self._error = (int(code), str(text))
        if "raised" in reply:
            raise TypeError(reply["raised"])
        return value

    def _receive(self, session: bytes, seconds: float) -> dict[str, Any]:
        assert self._sock is not None
        return wire.receive_frame(
            self._sock, self._pairing.key, wire.TO_CLIENT, session, longest=wire.REPLY_MAX, clock=self._clock,
            wait_seconds=seconds, rest_seconds=CALL_SECONDS,
        )  # fmt: skip


class RemoteMt5Gateway(Mt5Gateway):
    """The MetaTrader 5 gateway through an agent, which lets an intent pass once and only for the newest holder."""

    capabilities = replace(Mt5Gateway.capabilities, title="MetaTrader 5, remote agent", process_per_terminal=False)

    def __repr__(self) -> str:
        return f"Remote{super().__repr__()}"

    def connect(self, fence: int = 0) -> None:
        """Connect, and end the rights of earlier holders. Raises ConnectError."""
        super().connect()
        if fence and not self._terminal.take_over(fence):
            _, text = self._terminal.last_error()
            raise ConnectError(
                f"The agent refuses this engine: {text}.",
                "After restoring an old database, start the agent once with --accept-token to let this engine in.",
            )

    def _order_send(self, message: dict[str, Any], permit: Permit | None) -> Any:
        return self._terminal.order_send(message, permit)
