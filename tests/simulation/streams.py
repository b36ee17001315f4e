"""A price stream in a run: it brings what the terminal has, falls silent for a while and comes back."""

from collections.abc import Collection, Iterator
from typing import Any

from brokers.domain import Quote
from brokers.gateway import StreamState
from tests.simulation.checkers import rows
from tests.simulation.desk import Desk

# Silent over at least two passes of the state's job and the restarts between, and back before the end
SILENT_FROM, SILENT_UNTIL = 12.0, 42.0


class Stream:
    """The part of a gateway that streams; each session's own, silent by the same clock."""

    def __init__(self, desk: Desk, gateway: Any) -> None:
        self._desk = desk
        self._gateway = gateway

    @property
    def _is_live(self) -> bool:
        return not SILENT_FROM <= self._desk.clock.ticks() < SILENT_UNTIL

    def follow(self, symbols: Collection[str]) -> None:
        """Take whatever is wanted."""

    def streamed(self, symbol: str) -> Quote | None:
        """Return the terminal's price, None while silent."""
        quote: Quote | None = self._gateway.quote(symbol) if self._is_live else None
        return quote

    def stream_state(self) -> StreamState:
        """Return how the stream is."""
        return StreamState(self._is_live, connects=1)


def falls_silent(desk: Desk) -> None:
    """Give each session's gateway a stream that is silent for half a minute."""

    def fit(gateway: Any) -> None:
        stream = Stream(desk, gateway)
        gateway.follow, gateway.streamed, gateway.stream_state = stream.follow, stream.streamed, stream.stream_state

    desk.on_gateway = fit


def broken_telling() -> Iterator[str]:
    """Return what people were told wrongly: first that the stream is silent, at last, once, that it works again."""
    told = [row["level"] for row in rows("SELECT level FROM events_event WHERE kind = 'PRICE_STREAM' ORDER BY id")]
    if told[:1] != ["warning"] or told[-1:] != ["info"] or told.count("info") != 1:
        yield f"prices: of the stream was told {told}"
