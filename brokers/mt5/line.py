"""A connection to an agent that both sides have proved: the agent by its certificate, the client by the key."""

import hashlib
import hmac
import re
import socket
import ssl
from typing import Any

from brokers.mt5 import wire
from brokers.mt5.agentstate import AgentError, Pairing
from core.clock import Clock

CALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0


def parse_address(text: str, *, is_listener: bool = False) -> tuple[str, int]:
    """Read host:port; a listener may have port 0, which means any free one. Raises AgentError."""
    host, _, port = text.strip().rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not (not is_listener) <= int(port) < 65536:
        raise AgentError(f"{text[:80]!r} is no address of an agent: write host:port, for example 10.0.0.5:18840")
    return host.strip("[]"), int(port)


class Line:
    """Sends calls and receives frames. Making one connects. Raises OSError, WireError."""

    def __init__(self, address: tuple[str, int], pairing: Pairing, *, clock: Clock) -> None:
        self._pairing = pairing
        self._clock = clock
        self._session = b""
        self.counter = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        # The certificate is the agent's own: not signed by anybody, known by its fingerprint
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(address, CONNECT_SECONDS)
        self._sock = context.wrap_socket(plain, do_handshake_on_connect=False)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        self._sock.do_handshake()
        shown = hashlib.sha256(self._sock.getpeercert(binary_form=True) or b"").digest()
        if not hmac.compare_digest(shown, self._pairing.fingerprint):
            raise wire.WireError("its certificate is not the paired one")
        greeting = self.receive(CONNECT_SECONDS)
        self._greeted_at = self._clock.ticks()
        if greeting.get("version") != wire.VERSION:
            raise wire.WireError(f"it speaks version {greeting.get('version')}; update both sides")
        self._session = bytes.fromhex(str(greeting.get("session")))

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def end(self) -> None:
        """Wake whoever waits on it, from another thread. Raises OSError when it is over already."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def say(self, function: str, args: list[Any], options: dict[str, Any], *, seconds: float, permit: Any) -> None:
        """Send one call, which the agent must begin within so many seconds. Raises OSError."""
        self.counter += 1
        message: dict[str, Any] = {
            "n": self.counter,
            # The agent's clock, as seconds since its greeting: late by the greeting's way, so never too generous
            "due": self._clock.ticks() - self._greeted_at + seconds,
            "call": function,
            "args": args,
            "options": options,
        }
        self._sock.settimeout(CONNECT_SECONDS)
        whole = message if permit is None else message | {"permit": permit}
        wire.send_frame(self._sock, self._pairing.key, wire.TO_AGENT, self._session, whole)

    def receive(self, seconds: float) -> dict[str, Any]:
        """Wait for a frame. Raises OSError, WireError."""
        return wire.receive_frame(
            self._sock, self._pairing.key, wire.TO_CLIENT, self._session, longest=wire.REPLY_MAX, clock=self._clock,
            wait_seconds=seconds, rest_seconds=CALL_SECONDS,
        )  # fmt: skip
