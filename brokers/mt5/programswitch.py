"""Whether the terminal lets programs trade: its Algo Trading button, and its option against Python's programs."""

from collections.abc import Callable
from typing import Any

from core.clock import Clock

LOOK_SECONDS = 30.0


class ProgramSwitch:
    """Looks at the terminal now and then; in between it remembers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_at: float | None = None
        self._is_on = True

    def is_on(self, read: Callable[[str], Any]) -> bool:
        """Tell whether programs may trade; `read` calls a function of the module. Raises what it raises."""
        ticks = self._clock.ticks()
        if self._seen_at is None or ticks - self._seen_at >= LOOK_SECONDS:
            info = read("terminal_info")
            self._is_on = bool(info.trade_allowed) and not info.tradeapi_disabled
            self._seen_at = ticks
        return self._is_on
