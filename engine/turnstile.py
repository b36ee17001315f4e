"""Lets a few of a process's sessions work at a time, first come first served.

A hundred threads that all want the interpreter make every pass of each a hundred times as long. Behind a turnstile a
pass takes as long as it takes, and what the processor can't do shows as lateness, shared fairly.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core.clock import Clock

# Passes wait for the database about half of their time, so a few at once keep a processor busy
PLACES = 4
# Whoever is inside for longer is waiting for something, and is no reason to keep others out
OVERDUE_SECONDS = 1.0


class Turnstile:
    """Has some places. One that is held for too long counts as free: a hung broker stops nobody else."""

    def __init__(self, clock: Clock, places: int = PLACES) -> None:
        self._clock = clock
        self._places = places
        self._lock = threading.Lock()
        self._inside: dict[int, float] = {}
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, in the order of coming, and hold it. Turns of one thread do not nest."""
        me = threading.get_ident()
        called = threading.Event()
        with self._lock:
            self._waiting.append((me, called))
            self._call()
        while not called.wait(OVERDUE_SECONDS):
            with self._lock:
                self._call()
        try:
            yield
        finally:
            with self._lock:
                del self._inside[me]
                self._call()

    def _call(self) -> None:
        """Let in those who wait first while there is room."""
        now = self._clock.ticks()
        taken = sum(now - since < OVERDUE_SECONDS for since in self._inside.values())
        while self._waiting and taken < self._places:
            next_one, called = self._waiting.popleft()
            self._inside[next_one] = now
            taken += 1
            called.set()
