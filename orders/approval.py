"""The two types that stand between a decision and the broker: neither can be made by hand.

`Approved` comes from the risk review alone; `Planned` from `plan_intent` alone, which uses up an approval;
`send_intent` takes nothing else. A test looks that nobody else calls the two makers below.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orders.models import OrderIntent

VOLUME_NOISE = 1e-8


class NotApproved(Exception):
    """A request that the risk review did not approve, or not like this: a programming error."""


class Approved:
    """The review's approval of one request: bot, symbol, volume in lots, and whether it may raise exposure."""

    __slots__ = ("bot_id", "is_used", "raises_exposure", "symbol", "volume")
    bot_id: int | None
    symbol: str
    volume: float
    raises_exposure: bool
    is_used: bool

    def __init__(self) -> None:
        raise NotApproved("only the risk review approves")

    def use(self, *, bot_id: int | None, symbol: str, volume: float, raises_exposure: bool) -> None:
        """Use the approval up for this request. Raises NotApproved when it was used, or was given for another one."""
        if self.is_used:
            raise NotApproved("an approval is good for one request")
        if raises_exposure and not self.raises_exposure:
            raise NotApproved("approved was only what lowers exposure")
        if (bot_id, symbol) != (self.bot_id, self.symbol) or volume > self.volume + VOLUME_NOISE:
            raise NotApproved(f"approved were {self.volume:g} lots of {self.symbol} for bot {self.bot_id}")
        self.is_used = True


class Planned:
    """An intent that was planned from an approval and may be sent once; `row` is what the database holds of it."""

    __slots__ = ("row",)
    row: "OrderIntent"

    def __init__(self) -> None:
        raise NotApproved("only plan_intent plans")


def approve(*, bot_id: int | None, symbol: str, volume: float, raises_exposure: bool) -> Approved:
    """Make an approval: for the risk review only."""
    made = object.__new__(Approved)
    made.bot_id, made.symbol, made.volume = bot_id, symbol, volume
    made.raises_exposure, made.is_used = raises_exposure, False
    return made


def planned(row: "OrderIntent") -> Planned:
    """Make what can be sent: for plan_intent only."""
    made = object.__new__(Planned)
    made.row = row
    return made
