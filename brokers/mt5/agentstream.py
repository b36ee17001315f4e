"""The agent's price stream: ticks over a connection of its own, as soon as the agent sees them."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from brokers.mt5 import wire
from brokers.mt5.agentstate import Pairing
from brokers.mt5.line import CALL_SECONDS, Line
from brokers.pricethread import ALIVE_SECONDS, PriceThread
from core.clock import Clock


class AgentStream(PriceThread[Any]):
    """The latest tick of each of the broker's symbols, as the module's struct."""

    def __init__(self, address: tuple[str, int], pairing: Pairing, *, clock: Clock) -> None:
        super().__init__("agent-prices", clock=clock)
        self._address = address
        self._pairing = pairing
        self._line: Line | None = None

    def listen(self, names: frozenset[str], over: threading.Event) -> Iterator[tuple[str, Any] | None]:
        """Yield ticks and signs of life. Raises OSError, WireError; an agent of an older version refuses."""
        self._line = line = Line(self._address, self._pairing, clock=self._clock)
        try:
            line.say("stream", sorted(names), {}, seconds=CALL_SECONDS, permit=None)
            number = 0
            while not over.is_set():
                frame = line.receive(ALIVE_SECONDS)
                if "ticks" not in frame:
                    raise wire.WireError(str(frame.get("error", "no stream")))
                number += 1
                if frame.get("n") != number:
                    raise wire.WireError("a frame came twice, or out of order")
                yield None
                for name, tick in frame["ticks"]:
                    yield str(name), wire.decode(tick)
        finally:
            line.close()

    def hang_up(self) -> None:
        """Close the connection, which ends the wait in its thread."""
        if self._line is not None:
            with suppress(OSError):
                self._line.end()
