"""OANDA's price stream: one line of JSON each."""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from brokers.pricethread import PriceThread
from core.clock import Clock

# A heartbeat comes about every five seconds (reference §8.5)
READ_SECONDS = 15.0

Price = Mapping[str, Any]


class PriceStream(PriceThread[Price]):
    """The latest price row of each instrument."""

    def __init__(self, base: str, account: str, token: str, *, clock: Clock) -> None:
        super().__init__("oanda-prices", clock=clock)
        self._url = f"{base}/v3/accounts/{account}/pricing/stream"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http: httpx.Client | None = None

    def listen(self, names: frozenset[str], over: threading.Event) -> Iterator[tuple[str, Price | None] | None]:
        """Yield price rows and heartbeats. Raises httpx.HTTPError."""
        timeout = httpx.Timeout(READ_SECONDS)
        with (
            httpx.Client(headers=self._headers, timeout=timeout, trust_env=False) as self._http,
            self._http.stream("GET", self._url, params={"instruments": ",".join(sorted(names))}) as answer,
        ):
            answer.raise_for_status()
            for line in answer.iter_lines():
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(message, dict):
                    continue
                if message.get("type") != "PRICE":
                    yield None
                    continue
                has_prices = message.get("bids") and message.get("asks")
                yield str(message.get("instrument")), message if has_prices else None

    def hang_up(self) -> None:
        """Close the connection, which ends the read in its thread."""
        if self._http is not None:
            self._http.close()
