"""The bridge's price stream: a WebSocket with one JSON object a message."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from brokers.jforex.client import CONNECT_SECONDS
from brokers.pricethread import ALIVE_SECONDS, PriceThread
from core.clock import Clock

Price = Mapping[str, Any]


class PriceStream(PriceThread[Price]):
    """The latest price row of each instrument."""

    def __init__(self, address: str, token: str, *, clock: Clock) -> None:
        super().__init__("jforex-prices", clock=clock)
        self._url = f"ws{address.removeprefix('http')}/v1/stream?instruments="
        self._headers = {"Authorization": f"Bearer {token}"}
        self._line: ClientConnection | None = None

    def listen(self, names: frozenset[str], over: threading.Event) -> Iterator[tuple[str, Price | None] | None]:
        """Yield price rows and signs of life. Raises OSError, WebSocketException, ValueError, TimeoutError."""
        url = self._url + quote(",".join(sorted(names)), safe=",")
        # The bridge's own messages are the signs of life, so no pings
        line = self._line = connect(
            url, additional_headers=self._headers, proxy=None, open_timeout=CONNECT_SECONDS, close_timeout=1,
            ping_interval=None,
        )  # fmt: skip
        number = 0
        with line:
            while not over.is_set():
                message = json.loads(line.recv(ALIVE_SECONDS))
                number += 1
                if message["seq"] != number:
                    raise ValueError("a message was lost, or came twice")
                if message["type"] != "price":
                    yield None
                    continue
                yield str(message["instrument"]), message if message.get("bid") and message.get("ask") else None

    def hang_up(self) -> None:
        """Close the connection, which ends the wait in its thread."""
        if self._line is not None:
            with suppress(OSError, WebSocketException):
                self._line.close()
