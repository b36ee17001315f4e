"""What the suite needs of a gateway's fake: its gateway, a hand on the market, and faults by name."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from brokers.domain import Side
from brokers.gateway import Gateway, Permit
from core.clock import VirtualClock

BID, ASK = 1.10000, 1.10010


class Bench(ABC):
    """One gateway over its fake broker. EURUSD is quoted at 1.10000/1.10010 and nothing is open at the start.

    `without` names behaviours that the broker does not have, each with the reason that the table shows.
    """

    title: str
    without: dict[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ends = ExitStack()
        self._intents = 0

    @property
    @abstractmethod
    def clock(self) -> VirtualClock:
        """The clock of fake and gateway."""

    @abstractmethod
    def gateway(self, *, right: bool = True) -> Gateway:
        """Make a gateway, not connected yet; with a wrong secret unless `right`."""

    @abstractmethod
    def price(self, bid: float, ask: float) -> None:
        """Let a second pass, and the price of EURUSD change."""

    @abstractmethod
    def refuse_next(self) -> None:
        """Let the broker refuse the next order."""

    @abstractmethod
    def fill_half_next(self) -> None:
        """Let the broker fill half of the next market order, and drop the rest."""

    @abstractmethod
    def lose_request(self) -> None:
        """Lose the next order on its way: it is not executed, and nothing answers."""

    @abstractmethod
    def lose_reply(self) -> None:
        """Execute the next order, and lose the answer."""

    @abstractmethod
    def fail_reads(self, *, times: int) -> None:
        """Let the next reads of what is open fail, each in the way that looks most like an empty answer."""

    @abstractmethod
    def cut(self) -> None:
        """Cut the connection."""

    @abstractmethod
    def mend(self) -> None:
        """Let it be made again."""

    @abstractmethod
    def by_hand(self, side: Side, lots: float) -> None:
        """Trade as a person would at the broker, with nobody's mark."""

    @abstractmethod
    def open_lots(self) -> float:
        """What the broker really has open, buys less sells, in lots."""

    @abstractmethod
    def executed(self) -> int:
        """Count the market orders that the broker really executed."""

    server_offset = timedelta(0)
    # What of the balance the broker's ledger does not tell
    untold_deposit = 0.0

    def permit(self, intent: str = "") -> Permit:
        """Make a permit, for a new intent unless one is named."""
        self._intents += 1
        return Permit(intent or f"intent{self._intents:04d}", 1, self.clock.now() + timedelta(seconds=10))

    def connected(self) -> Gateway:
        """Make a connected gateway."""
        gateway = self.gateway()
        gateway.connect(1)
        return gateway

    def close(self) -> None:
        """End what the bench started."""
        self.ends.close()
