"""Time comes in through this door: everything else is handed a `Clock`."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    def ticks(self) -> float:
        """Return monotonic seconds; only differences have a meaning."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; a virtual clock moves forward instead."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def ticks(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that moves only when told to; tests and simulations run on it."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("start: give an aware datetime")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def ticks(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` (never back: monotonic time does not)."""
        if seconds < 0:
            raise ValueError("seconds: a clock does not run backwards")
        with self._lock:
            self._elapsed += seconds
