"""What client and agent say to each other: frames of JSON under a MAC, structs and arrays as plain values.

A frame is a 4-byte length, a 32-byte HMAC-SHA256 and a JSON text. The MAC covers the direction, the session's random
nonce and the text; the text carries a counter that only grows. So a frame holds in one session, one direction, once.
"""

import hashlib
import hmac
import json
import math
import re
import socket
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from brokers.simulator.structs import Struct, struct_type
from core.clock import Clock

VERSION = 1
MAC_BYTES = 32
NONCE_BYTES = 32
HEADER_BYTES = 4 + MAC_BYTES
REQUEST_MAX = 64 * 1024
REPLY_MAX = 64 * 1024 * 1024
TO_AGENT, TO_CLIENT = b"to agent", b"to client"
STRUCT, ROWS, ARRAY, TUPLE = "struct", "rows", "array", "tuple"
COLUMN_TYPES = frozenset({"<i8", "<f8", "<u8", "<i4", "<u4"})
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")

# Everything that may be called. Order requests go through `order_send` with a permit, and through nothing else.
READS = frozenset({
    "version", "terminal_info", "account_info", "symbols_total", "symbols_get", "symbol_info", "symbol_info_tick",
    "symbol_select", "market_book_add", "market_book_get", "market_book_release", "copy_rates_from",
    "copy_rates_from_pos", "copy_rates_range", "copy_ticks_from", "copy_ticks_range", "orders_total", "orders_get",
    "order_calc_margin", "order_calc_profit", "order_check", "positions_total", "positions_get",
    "history_orders_total", "history_orders_get", "history_deals_total", "history_deals_get",
})  # fmt: skip


class WireError(Exception):
    """The other side does not keep to the protocol; the connection can't be used any more."""


def mac(key: bytes, direction: bytes, session: bytes, text: bytes) -> bytes:
    """Return the MAC of a text in one direction of one session."""
    return hmac.new(key, direction + b"\0" + session + text, hashlib.sha256).digest()


def send_frame(sock: socket.socket, key: bytes, direction: bytes, session: bytes, message: Any) -> None:
    """Send one message. Raises OSError."""
    text = json.dumps(message, separators=(",", ":")).encode()
    sock.sendall(len(text).to_bytes(4, "big") + mac(key, direction, session, text) + text)


def receive_frame(
    sock: socket.socket, key: bytes, direction: bytes, session: bytes, *,
    longest: int, clock: Clock, wait_seconds: float, rest_seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Wait for a message, whose rest must follow its first byte in time, and check it. Raises OSError, WireError."""
    sock.settimeout(wait_seconds)
    first = sock.recv(1)
    until = clock.ticks() + rest_seconds
    header = first + _exactly(sock, HEADER_BYTES - 1, clock, until) if first else b""
    if not header:
        raise WireError("the connection was closed")
    length = int.from_bytes(header[:4], "big")
    if length > longest:
        raise WireError(f"a frame of {length} bytes; at most {longest} are taken")
    text = _exactly(sock, length, clock, until)
    if not hmac.compare_digest(header[4:], mac(key, direction, session, text)):
        raise WireError("the MAC is wrong: another key, a replayed or a changed frame")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("no JSON") from None
    if not isinstance(message, dict):
        raise WireError("no message")
    return message


def _exactly(sock: socket.socket, count: int, clock: Clock, until: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        left = until - clock.ticks()
        if left <= 0:
            raise TimeoutError("a frame came too slowly")
        sock.settimeout(left)
        part = sock.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise WireError("the connection was closed")
        parts += part
    return bytes(parts)


def encode(value: Any) -> Any:
    """Turn what the module returned into JSON values. Raises WireError for what has no place on the wire."""
    if isinstance(value, np.ndarray):
        columns = [[name, value.dtype[name].str] for name in value.dtype.names or ()]
        return {ARRAY: columns, "data": b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")}
    if isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return {STRUCT: type(value).__name__, "names": list(value._asdict()), "values": _plain(value)}
        if value and hasattr(value[0], "_asdict"):
            names = list(value[0]._asdict())
            return {ROWS: type(value[0]).__name__, "names": names, "values": [_plain(row) for row in value]}
        return {TUPLE: _plain(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise WireError(f"a {type(value).__name__} can't be sent")


def _plain(values: Sequence[Any]) -> list[Any]:
    return [v if v is None or isinstance(v, bool | int | float | str) else encode(v) for v in values]


def decode(value: Any) -> Any:
    """Rebuild what the module returned: structs, tuples of structs, NumPy arrays. Raises WireError."""
    if isinstance(value, list):
        raise WireError("a list is no value")
    if not isinstance(value, dict):
        return value
    try:
        if ARRAY in value:
            return _array(value[ARRAY], value["data"])
        if TUPLE in value:
            return tuple(decode(item) for item in value[TUPLE])
        name, names = value.get(STRUCT) or value[ROWS], tuple(value["names"])
        made = _type_of(name, names)
        if STRUCT in value:
            return made(decode(item) for item in value["values"])
        return tuple(made(decode(item) for item in row) for row in value["values"])
    except (KeyError, TypeError, ValueError) as problem:
        raise WireError(f"a value can't be read: {problem}") from None


@lru_cache(maxsize=64)
def _type_of(name: str, names: tuple[str, ...]) -> type[Struct]:
    if not all(NAME.match(str(n)) for n in (name, *names)) or len(set(names)) != len(names):
        raise WireError(f"{name!r} is no struct")
    return struct_type(name, names)


def _array(columns: Any, data: str) -> Any:
    for name, kind in columns:
        if not NAME.match(str(name)) or kind not in COLUMN_TYPES:
            raise WireError(f"a column {name!r} of {kind!r}")
    dtype = np.dtype([(name, kind) for name, kind in columns])
    return np.frombuffer(b64decode(data, validate=True), dtype=dtype).copy()


def plain_argument(value: Any) -> Any:
    """Return an argument as it goes over the wire; moments become epoch seconds, as the module itself makes them."""
    return value.timestamp() if isinstance(value, datetime) else value


def is_plain(value: Any) -> bool:
    """Tell whether a value may be an argument: a finite number, a text of moderate length, true, false, or nothing."""
    if isinstance(value, str):
        return len(value) <= 256
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
