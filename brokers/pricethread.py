"""Prices that come by themselves, in a thread of their own. When they fall silent, whoever wants one asks."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from brokers.gateway import StreamState
from core.clock import Clock

log = logging.getLogger("brokers.stream")

# Both streams that we know show a sign of life at least every five seconds; one silent for ten is dead
ALIVE_SECONDS = 10.0
BACKOFF_FIRST, BACKOFF_LONGEST = 1.0, 30.0
JOIN_SECONDS = 2.0

Row = TypeVar("Row")


class PriceThread(ABC, Generic[Row]):
    """The latest row of each name, while anything keeps coming; a connection that ends is made again with backoff."""

    def __init__(self, name: str, *, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._wanted: frozenset[str] = frozenset()
        self._rows: dict[str, Row] = {}
        self._heard_at: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._connects = 0
        self._failures = 0
        self._last_error = ""

    @abstractmethod
    def listen(self, names: frozenset[str], over: threading.Event) -> Iterator[tuple[str, Row | None] | None]:
        """Connect, and yield rows as they come; None is a sign of life, a row of None: there is no price.

        Whatever it raises ends the connection, and another one is made.
        """

    @abstractmethod
    def hang_up(self) -> None:
        """End the connection, from another thread."""

    def follow(self, names: frozenset[str]) -> None:
        """Follow these names too; another set means another connection."""
        if names <= self._wanted:
            return
        self.stop()
        self._wanted |= names
        # An own event: an old thread that still waits for a line must not go on
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._over,), name=self._name, daemon=True)
        self._thread.start()

    @property
    def is_live(self) -> bool:
        """Whether anything was heard lately."""
        heard = self._heard_at
        return heard is not None and self._clock.ticks() - heard <= ALIVE_SECONDS

    def latest(self, name: str) -> Row | None:
        """Return the latest row while the stream lives; None means: ask."""
        return self._rows.get(name) if self.is_live else None

    def state(self) -> StreamState:
        """Return how the stream is."""
        heard = self._heard_at
        age = None if heard is None else self._clock.ticks() - heard
        return StreamState(self.is_live, self._connects, self._failures, self._last_error, age)

    def stop(self) -> None:
        """End the connection and its thread."""
        self._over.set()
        thread, self._thread = self._thread, None
        self.hang_up()
        if thread is not None:
            thread.join(JOIN_SECONDS)
        self._heard_at = None
        self._rows = {}

    def _run(self, over: threading.Event) -> None:
        pause = BACKOFF_FIRST
        while not over.is_set():
            why = "it ended"
            self._connects += 1
            try:
                for heard in self.listen(self._wanted, over):
                    if over.is_set():
                        return
                    self._hear(heard)
                    pause = BACKOFF_FIRST
            except Exception as problem:  # noqa: BLE001 - whatever ends a stream, prices are asked for meanwhile
                why = f"{type(problem).__name__}: {problem}"[:200]
            if over.is_set():
                return
            self._heard_at = None
            self._failures += 1
            self._last_error = why
            log.info("%s: the stream ended, again in %.0f s: %s", self._name, pause, why)
            over.wait(pause)
            pause = min(BACKOFF_LONGEST, pause * 2)

    def _hear(self, heard: tuple[str, Row | None] | None) -> None:
        if heard is not None:
            name, row = heard
            if row is None:
                self._rows.pop(name, None)
            else:
                self._rows[name] = row
        self._heard_at = self._clock.ticks()
