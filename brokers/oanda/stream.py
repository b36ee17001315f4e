"""Prices as they come: one line of JSON each, in a thread of its own. When it falls silent, the gateway polls."""

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import httpx

from core.clock import Clock

log = logging.getLogger("brokers.oanda")

# A heartbeat comes every five seconds; without any line for ten the stream is dead (reference §8.5)
ALIVE_SECONDS = 10.0
READ_SECONDS = 15.0
BACKOFF_FIRST, BACKOFF_LONGEST = 1.0, 30.0


class PriceStream:
    """The latest price of each instrument, while lines keep coming."""

    def __init__(self, base: str, account: str, token: str, *, clock: Clock) -> None:
        self._url = f"{base}/v3/accounts/{account}/pricing/stream"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._wanted: frozenset[str] = frozenset()
        self._prices: dict[str, Mapping[str, Any]] = {}
        self._heard_at: float | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._http: httpx.Client | None = None

    def follow(self, instruments: frozenset[str]) -> None:
        """Follow these instruments too; another set means another connection."""
        if instruments <= self._wanted:
            return
        self.stop()
        self._wanted |= instruments
        # An own event: an old thread that still waits for a line must not go on
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._is_over,), name="oanda-prices", daemon=True)
        self._thread.start()

    def latest(self, instrument: str) -> Mapping[str, Any] | None:
        """Return the latest price while the stream lives; None means: ask."""
        heard = self._heard_at
        if heard is None or self._clock.ticks() - heard > ALIVE_SECONDS:
            return None
        return self._prices.get(instrument)

    def stop(self) -> None:
        """End the connection and its thread."""
        self._is_over.set()
        thread, self._thread = self._thread, None
        if self._http is not None:
            self._http.close()
        if thread is not None:
            thread.join(2.0)
        self._heard_at = None
        self._prices = {}

    def _run(self, over: threading.Event) -> None:
        pause = BACKOFF_FIRST
        while not over.is_set():
            timeout = httpx.Timeout(READ_SECONDS)
            try:
                with (
                    httpx.Client(headers=self._headers, timeout=timeout, trust_env=False) as self._http,
                    self._http.stream(
                        "GET", self._url, params={"instruments": ",".join(sorted(self._wanted))}
                    ) as answer,
                ):
                    answer.raise_for_status()
                    for line in answer.iter_lines():
                        if over.is_set():
                            return
                        self._hear(line)
                        pause = BACKOFF_FIRST
            except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as problem:
                log.info("the price stream ended: %s", type(problem).__name__)
            self._heard_at = None
            over.wait(pause)
            pause = min(BACKOFF_LONGEST, pause * 2)

    def _hear(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        if message.get("type") == "PRICE" and message.get("bids") and message.get("asks"):
            self._prices[str(message.get("instrument"))] = message
        elif message.get("type") == "PRICE":
            self._prices.pop(str(message.get("instrument")), None)
        self._heard_at = self._clock.ticks()
