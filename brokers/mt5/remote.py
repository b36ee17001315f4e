"""A terminal behind an agent: an object with the module's surface, and the gateway that shows permits to the agent."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from brokers.domain import Quote
from brokers.gateway import ConnectError, Permit, StreamState
from brokers.mt5 import parse, wire
from brokers.mt5.agentstate import Pairing
from brokers.mt5.agentstream import AgentStream
from brokers.mt5.gateway import Mt5Gateway
from brokers.mt5.line import CALL_SECONDS, CONNECT_SECONDS, Line
from brokers.mt5.retcodes import AGENT_REFUSED, NO_IPC
from brokers.simulator.constants import CONSTANTS
from core.clock import Clock

INITIALIZE_SECONDS = 90.0
SEND_FAILED, RECEIVE_FAILED, TIMED_OUT = -10001, -10002, -10005
SUCCESS = (1, "Success")


class RemoteTerminal:
    """The module's functions over a connection to an agent. What fails on the way shows in `last_error`."""

    def __init__(self, address: tuple[str, int], pairing: Pairing, *, clock: Clock) -> None:
        self._address = address
        self._pairing = pairing
        self._clock = clock
        self._line: Line | None = None
        self._error: tuple[int, str] = SUCCESS

    def __getattr__(self, name: str) -> Any:
        if name in wire.READS:
            return partial(self._call, name)
        try:
            return CONSTANTS[name]
        except KeyError:
            raise AttributeError(f"module 'MetaTrader5' has no attribute '{name}'") from None

    # The module's functions that mean something else here

    def initialize(self, **options: Any) -> bool:
        """Connect to the agent, and let it connect its terminal."""
        try:
            self._hang_up()
            self._line = Line(self._address, self._pairing, clock=self._clock)
        except (OSError, wire.WireError) as problem:
            self._hang_up()
            self._error = (NO_IPC, f"the agent at {self._address[0]}:{self._address[1]} can't be reached: {problem}")
            return False
        return bool(self._call("initialize", seconds=INITIALIZE_SECONDS, **options))

    def shutdown(self) -> None:
        """Let go of the agent, which keeps its terminal."""
        self._hang_up()

    def last_error(self) -> tuple[int, str]:
        """Return the code and text of the last call's failure, or (1, 'Success')."""
        return self._error

    def take_over(self, fence: int) -> bool:
        """Tell the agent who holds the account from now on; False when somebody newer does."""
        return bool(self._call("take_over", fence))

    def order_send(self, request: dict[str, Any], permit: Permit | None = None) -> Any:
        """Send with a permit; without one nothing leaves."""
        if permit is None:
            self._error = (AGENT_REFUSED, "an order needs a permit")
            return None
        seconds = (permit.deadline - self._clock.now()).total_seconds()
        if seconds <= 0:
            self._error = (AGENT_REFUSED, "the deadline of the order has passed")
            return None
        shown = {"intent": permit.intent, "fence": permit.fence}
        return self._call("order_send", request, seconds=seconds, permit=shown)

    # The connection

    def price_stream(self) -> AgentStream:
        """Make the agent's price stream, on a connection of its own; it connects when something is followed."""
        return AgentStream(self._address, self._pairing, clock=self._clock)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None

    def _call(
        self, function: str, *args: Any, seconds: float = CALL_SECONDS, permit: Any = None, **options: Any
    ) -> Any:
        """Ask the agent once. A connection that broke is not used again: nobody knows which answer comes next on it."""
        if self._line is None:
            self._error = (NO_IPC, "No IPC connection")
            return None
        failure = SEND_FAILED
        try:
            self._line.say(
                function, [wire.plain_argument(value) for value in args],
                {name: wire.plain_argument(value) for name, value in options.items()}, seconds=seconds, permit=permit,
            )  # fmt: skip
            failure = RECEIVE_FAILED
            reply = self._line.receive(max(seconds, CALL_SECONDS) + CONNECT_SECONDS)
            if reply.get("n") != self._line.counter:
                raise wire.WireError("the answer is to another call")
            value = wire.decode(reply.get("value"))
            code, text = reply["error"]
        except TimeoutError:
            self._hang_up()
            self._error = (TIMED_OUT, "IPC timeout")
            return None
        except (OSError, wire.WireError, KeyError, TypeError, ValueError) as problem:
            self._hang_up()
            self._error = (failure, str(problem) or type(problem).__name__)
            return None
        self._error = (int(code), str(text))
        if "raised" in reply:
            raise TypeError(reply["raised"])
        return value


class RemoteMt5Gateway(Mt5Gateway):
    """The MetaTrader 5 gateway through an agent, which lets an intent pass once and only for the newest holder."""

    capabilities = replace(
        Mt5Gateway.capabilities, title="MetaTrader 5, remote agent", process_per_terminal=False, streaming=True
    )

    def __init__(self, terminal: RemoteTerminal, **given: Any) -> None:
        super().__init__(terminal, **given)
        self._stream = terminal.price_stream()

    def __repr__(self) -> str:
        return f"Remote{super().__repr__()}"

    def connect(self, fence: int = 0) -> None:
        """Connect, and end the rights of earlier holders. Raises ConnectError."""
        super().connect()
        if fence and not self._terminal.take_over(fence):
            _, text = self._terminal.last_error()
            raise ConnectError(
                f"The agent refuses this engine: {text}.",
                "After restoring an old database, start the agent once with --accept-token to let this engine in.",
            )

    def close(self) -> None:
        """Let go of the agent, which keeps its terminal."""
        self._stream.stop()
        super().close()

    def follow(self, symbols: Collection[str]) -> None:
        """Let the stream bring these symbols too. Raises SymbolError, ReadError."""
        for symbol in symbols:
            if symbol not in self._specs:
                self.spec(symbol)
        self._stream.follow(frozenset(self.broker_name(symbol) for symbol in symbols))

    def streamed(self, symbol: str) -> Quote | None:
        """Return the stream's latest price of a symbol that is followed; None while it is silent. Raises ReadError."""
        tick = self._stream.latest(self.broker_name(symbol)) if symbol in self._specs else None
        if tick is None:
            return None
        self.server_clock.measure(symbol, tick.time_msc / 1000, self._clock.now())
        return parse.guarded(f"tick of {symbol}", parse.quote, tick, symbol, self.server_clock)

    def stream_state(self) -> StreamState:
        """Return how the stream is."""
        return self._stream.state()

    def _order_send(self, message: dict[str, Any], permit: Permit | None) -> Any:
        return self._terminal.order_send(message, permit)
