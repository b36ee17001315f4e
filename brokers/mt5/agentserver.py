"""The agent: the one process that may send to a terminal. It serves a fixed list of calls and runs no code of others.

Guards, in this order, before `order_send`: the frame's MAC, counter and deadline; the fencing token, which never
falls; the journal, in which every intent stands before its request leaves. Both outlive the process.
"""

import logging
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from brokers.gateway import ConnectError
from brokers.mt5 import wire
from brokers.mt5.agentstate import AgentState
from brokers.mt5.retcodes import AGENT_EXPIRED, AGENT_REFUSED, AUTH_FAILED, INVALID_ARGUMENT
from brokers.terminallock import TerminalHold
from core.clock import Clock

log = logging.getLogger("brokers.mt5.agent")

CONNECTIONS_MAX = 8
HANDSHAKE_SECONDS = 5.0
IDLE_SECONDS = 60.0
FRAME_SECONDS = 10.0
UNSUPPORTED = -7
# How often a stream looks for new ticks, and how long it stays silent at most
STREAM_SECONDS, ALIVE_SECONDS = 0.1, 1.0
STREAM_SYMBOLS_MAX = 500
INTENT = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
INITIALIZE_OPTIONS = frozenset({"login", "password", "server", "timeout"})


@dataclass(frozen=True, slots=True)
class Served:
    """Which account of which terminal: `terminal` has the module's surface, `path` is never a client's to choose.

    With `hold`, the terminal is a real one, and other processes are kept off its data folder too.
    """

    terminal: Any
    login: int
    path: str | None = None
    hold: TerminalHold | None = None


class Refusal(Exception):
    """A call that is not carried out, with the code that the client's `last_error` shows."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class AgentServer:
    """Listens, authenticates, and hands calls to the terminal one at a time, in one thread of their own."""

    def __init__(self, served: Served, state: AgentState, *, clock: Clock, host: str, port: int) -> None:
        self._served = served
        self._state = state
        self._clock = clock
        self._terminal_thread = ThreadPoolExecutor(1, "terminal")
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(state.certificate_file, state.private_key_file)
        self._listener = socket.create_server((host, port))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._over = threading.Event()

    def serve(self) -> None:
        """Accept connections until `stop`. A connection has a thread; a full house turns newcomers away."""
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            with self._guard:
                is_full = self._over.is_set() or len(self._connections) >= CONNECTIONS_MAX
                if not is_full:
                    self._connections.add(sock)
            if is_full:
                sock.close()
            else:
                threading.Thread(target=self._attend, args=(sock, peer[0]), daemon=True).start()

    def stop(self) -> None:
        """End every connection, then let go of the terminal."""
        self._over.set()
        # Closing alone does not wake the thread that waits in accept
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the listener is not connected")
        self._listener.close()
        self._hang_up_all()
        self._terminal_thread.submit(self._served.terminal.shutdown).result()
        self._terminal_thread.shutdown()

    def _hang_up_all(self) -> None:
        with self._guard:
            for sock in self._connections:
                _hang_up(sock)

    def _attend(self, sock: socket.socket, peer: str) -> None:
        secured: socket.socket = sock
        try:
            sock.settimeout(HANDSHAKE_SECONDS)
            secured = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            with self._guard:
                self._connections.symmetric_difference_update((sock, secured))
            secured.do_handshake()
            self._converse(secured)
        except (OSError, RuntimeError, wire.WireError) as problem:
            # RuntimeError: the call came while the agent stops, and the terminal's thread takes no more
            log.warning("%s: connection ended: %s", peer, problem)
        finally:
            secured.close()
            with self._guard:
                self._connections.discard(secured)

    def _converse(self, sock: socket.socket) -> None:
        session = secrets.token_bytes(wire.NONCE_BYTES)
        began = self._clock.ticks()
        key = self._state.pairing.key
        wire.send_frame(sock, key, wire.TO_CLIENT, b"", {"version": wire.VERSION, "session": session.hex()})
        counter = 0
        while not self._over.is_set():
            message = wire.receive_frame(
                sock, key, wire.TO_AGENT, session, longest=wire.REQUEST_MAX, clock=self._clock,
                wait_seconds=IDLE_SECONDS, rest_seconds=FRAME_SECONDS,
            )  # fmt: skip
            number, due = message.get("n"), message.get("due")
            if not isinstance(number, int) or number <= counter or not isinstance(due, int | float):
                raise wire.WireError("a frame came twice, or out of order")
            counter = number
            if message.get("call") == "stream":
                self._stream(sock, session, message)
                return
            reply = self._terminal_thread.submit(self._answer, message, began + due).result()
            sock.settimeout(FRAME_SECONDS)
            wire.send_frame(sock, key, wire.TO_CLIENT, session, {"n": number, **reply})

    def _stream(self, sock: socket.socket, session: bytes, message: Mapping[str, Any]) -> None:
        """Send ticks as they change, and an empty frame as a sign of life, until the client goes. Raises OSError."""
        names, key = message.get("args"), self._state.pairing.key
        if not isinstance(names, list) or len(names) > STREAM_SYMBOLS_MAX or not all(map(_is_name, names)):
            refused = {"n": message["n"], "value": None, "error": [INVALID_ARGUMENT, "Invalid arguments"]}
            wire.send_frame(sock, key, wire.TO_CLIENT, session, refused)
            return
        seen: dict[str, Any] = {}
        number, said_at = 0, None
        sock.settimeout(FRAME_SECONDS)
        while not self._over.is_set():
            ticks = self._terminal_thread.submit(self._new_ticks, names, seen).result()
            if ticks or said_at is None or self._clock.ticks() - said_at >= ALIVE_SECONDS:
                number += 1
                wire.send_frame(sock, key, wire.TO_CLIENT, session, {"n": number, "ticks": ticks})
                said_at = self._clock.ticks()
            self._over.wait(STREAM_SECONDS)

    def _new_ticks(self, names: list[str], seen: dict[str, Any]) -> list[list[Any]]:
        """Return the ticks that changed, and what can't be read any more as none; in the terminal's thread."""
        found = []
        for name in names:
            tick = self._served.terminal.symbol_info_tick(name)
            now = None if tick is None else (tick.time_msc, tick.bid, tick.ask)
            if name not in seen or seen[name] != now:
                seen[name] = now
                found.append([name, wire.encode(tick)])
        return found

    def _answer(self, message: Mapping[str, Any], due: float) -> dict[str, Any]:
        """Carry one call out, in the terminal's thread. Never raises."""
        try:
            if self._clock.ticks() >= due:
                raise Refusal(AGENT_EXPIRED, "the call's deadline has passed")
            value = wire.encode(self._call(message))
            return {"value": value, "error": list(self._served.terminal.last_error())}
        except Refusal as refusal:
            log.warning("refused %r: %s", message.get("call"), refusal)
            return {"value": None, "error": [refusal.code, str(refusal)]}
        except TypeError as problem:
            return {"value": None, "error": [INVALID_ARGUMENT, str(problem)], "raised": str(problem)}
        except Exception as problem:
            log.exception("%r failed", message.get("call"))
            return {"value": None, "error": [-1, f"{type(problem).__name__}: {problem}"]}

    def _call(self, message: Mapping[str, Any]) -> Any:
        name, args, options = message.get("call"), message.get("args", []), message.get("options", {})
        if not isinstance(args, list) or not isinstance(options, dict):
            raise Refusal(INVALID_ARGUMENT, "Invalid arguments")
        if name in ("order_send", "order_check"):
            request = args[0] if len(args) == 1 and isinstance(args[0], dict) and not options else None
            if request is None or not all(wire.is_plain(value) for value in request.values()):
                raise Refusal(INVALID_ARGUMENT, "Unnamed arguments not allowed")
            if name == "order_send":
                self._is_expected_account()
                self._permit(message.get("permit"))
            return getattr(self._served.terminal, name)(request)
        if not all(wire.is_plain(value) for value in (*args, *options.values())):
            raise Refusal(INVALID_ARGUMENT, "Invalid arguments")
        if name == "initialize":
            return self._initialize(args, options)
        if name == "take_over":
            return self._take_over(args)
        if not isinstance(name, str) or name not in wire.READS:
            raise Refusal(UNSUPPORTED, f"the agent has no function {str(name)[:60]!r}")
        return getattr(self._served.terminal, name)(*args, **options)

    def _initialize(self, args: list[Any], options: dict[str, Any]) -> bool:
        """Connect the terminal. Its path, which starts a program, is set where the agent runs and nowhere else."""
        if args or options.keys() - INITIALIZE_OPTIONS:
            raise Refusal(INVALID_ARGUMENT, "initialize takes login, password, server and timeout")
        if options.get("login") != self._served.login:
            raise Refusal(AUTH_FAILED, f"this agent serves login {self._served.login} only")
        path = (self._served.path,) if self._served.path else ()
        return bool(self._served.terminal.initialize(*path, **options)) and self._holds_data_folder()

    def _holds_data_folder(self) -> bool:
        if self._served.hold is None:
            return True
        try:
            self._served.hold.take_data_folder(self._served.terminal)
        except ConnectError as problem:
            raise Refusal(AGENT_REFUSED, str(problem)) from None
        return True

    def _take_over(self, args: list[Any]) -> bool:
        if len(args) != 1 or not _is_count(args[0]) or not self._state.raise_fence(args[0]):
            raise Refusal(AGENT_REFUSED, f"an engine with the newer token {self._state.fence} holds the account")
        return True

    def _is_expected_account(self) -> None:
        """Make sure that nobody logged the terminal in to another account. Raises Refusal."""
        info = self._served.terminal.account_info()
        if info is None or info.login != self._served.login:
            raise Refusal(AGENT_REFUSED, f"the terminal is not logged in to {self._served.login}")

    def _permit(self, permit: Any) -> None:
        """Let an intent pass once, in the name of the newest holder. Raises Refusal."""
        given: dict[str, Any] = permit if isinstance(permit, dict) else {}
        intent, fence = given.get("intent"), given.get("fence", 0)
        if not isinstance(intent, str) or not INTENT.match(intent) or not _is_count(fence):
            raise Refusal(AGENT_REFUSED, "an order needs a permit: an intent and a fencing token")
        if not self._state.raise_fence(fence):
            raise Refusal(AGENT_REFUSED, f"the token {fence} is stale; {self._state.fence} holds the account")
        if intent in self._state.journal:
            raise Refusal(AGENT_REFUSED, f"the intent {intent} was sent before")
        self._state.journal.add(intent)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and wire.is_plain(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("a connection was gone already")
