"""The life of an intent, its identity at the broker, and the frozen rows that a pass works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokers.domain import Deal as BrokerDeal
from brokers.domain import DealEntry, Reason

SEND_DEADLINE = timedelta(seconds=10)
SETTLE = timedelta(seconds=60)
AGREEING_READS_APART = timedelta(seconds=5)
COMMENT_PREFIX = "td"

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "": frozenset({"planned"}),
    "planned": frozenset({"claimed", "refused", "unknown"}),
    "claimed": frozenset({"sent", "refused", "unknown"}),
    "sent": frozenset({"accepted", "partial", "filled", "refused", "unknown", "adopted"}),
    "accepted": frozenset({"partial", "filled", "refused"}),
    "partial": frozenset({"filled", "refused"}),
    "unknown": frozenset({"adopted", "absent", "settled"}),
    "absent": frozenset({"adopted"}),
    "settled": frozenset({"adopted"}),
    "filled": frozenset(),
    "refused": frozenset({"adopted"}),
    "adopted": frozenset(),
}


class IllegalTransition(Exception):
    """A step that the life cycle of an intent does not have: a programming error."""


def check_transition(frm: str, to: str) -> None:
    """Raise IllegalTransition unless an intent may go from `frm` to `to`."""
    if to not in TRANSITIONS.get(frm, frozenset()):
        raise IllegalTransition(f"an intent can't go from {frm or 'nothing'} to {to}")


def comment_of(token: str) -> str:
    """Return the comment that carries an intent's token to the broker (at most 26 ASCII characters)."""
    return f"{COMMENT_PREFIX}:{token}"


def token_in(comment: str) -> str | None:
    """Return the token that a broker's comment carries; brokers may cut or replace comments, then there is none."""
    prefix, _, rest = comment.partition(":")
    token = rest[:10]
    return token if prefix == COMMENT_PREFIX and len(token) == 10 and token.isalnum() else None


def cause_of_leg(cycle_id: int, level: int, done: int) -> str:
    """Name the cause of a leg; `done` counts the legs of this level that came to be before."""
    return f"c{cycle_id}:L{level}:{done}:open"


def cause_of_close(order_id: int, done: int) -> str:
    """Name the cause of a close; `done` counts the order's closes that were executed before."""
    return f"o{order_id}:{done}:close"


def cause_of_stops(order_id: int, done: int) -> str:
    """Name the cause of a change of stops; `done` counts the order's changes that were executed before."""
    return f"o{order_id}:{done}:stops"


def cause_of_cancel(order_id: int) -> str:
    """Name the cause of taking a resting order back."""
    return f"o{order_id}:cancel"


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order of the books that is open or pending, as a pass reads it."""

    id: int
    identifier: int
    ticket: int
    status: str
    symbol: str
    side: str
    volume: float
    sl: float
    tp: float
    cycle_id: int | None
    bot_id: int | None
    intent_id: int | None
    suspicious: bool
    close_requested: bool = False


@dataclass(frozen=True, slots=True)
class KnownIntent:
    """An intent whose end is not recorded yet."""

    id: int
    token: str
    state: str
    kind: str
    reply_order: int | None
    order_id: int | None
    cycle_id: int | None
    bot_id: int | None
    symbol: str
    side: str
    volume: float
    magic: int
    level: int | None
    sent_at: datetime | None
    order_kind: str = "market"


@dataclass(frozen=True, slots=True)
class Closure:
    """How a position ended, by its deals."""

    price: float
    reason: str
    at: datetime
    profit: float
    swap: float
    commission: float
    server_offset: timedelta = timedelta(0)


REASONS = {
    Reason.STOP_LOSS: "stop_loss",
    Reason.TAKE_PROFIT: "take_profit",
    Reason.STOP_OUT: "stop_out",
    Reason.MANUAL: "manual",
}


def closure_of(deals: tuple[BrokerDeal, ...], *, ours: bool) -> Closure | None:
    """Prove from a position's deals that it is closed, and say how; None while they do not prove it.

    Closed means that the lots that went out equal the lots that came in, in any order of arrival. `ours`: an
    intent of ours asked for the close, so an expert's deal is the bot's; otherwise some other program closed it.
    """
    unique = {d.ticket: d for d in deals if d.volume > 0}
    went_in = sum(d.volume for d in unique.values() if d.entry is DealEntry.IN)
    outs = sorted(
        (d for d in unique.values() if d.entry in (DealEntry.OUT, DealEntry.OUT_BY)), key=lambda d: (d.at, d.ticket)
    )
    went_out = sum(d.volume for d in outs)
    if not outs or went_in <= 0 or abs(went_in - went_out) > 1e-8:
        return None
    last = outs[-1]
    reason = REASONS.get(last.reason) or ("bot" if ours else "manual" if last.reason is Reason.EXPERT else "other")
    return Closure(
        price=sum(d.price * d.volume for d in outs) / went_out,
        reason=reason,
        at=last.at,
        profit=sum(d.profit for d in unique.values()),
        swap=sum(d.swap for d in unique.values()),
        commission=sum(d.commission + d.fee for d in unique.values()),
        server_offset=last.server_offset,
    )
