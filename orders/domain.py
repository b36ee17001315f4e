"""The life of an intent, its identity at the broker, and the frozen rows that a pass works on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokers.domain import Deal as BrokerDeal
from brokers.domain import DealEntry, HistoricOrder, OrderState, Reason

SEND_DEADLINE = timedelta(seconds=10)
SETTLE = timedelta(seconds=60)
AGREEING_READS_APART = timedelta(seconds=5)
COMMENT_PREFIX = "td"
VOLUME_NOISE = 1e-8

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


@dataclass(frozen=True, slots=True)
class Fill:
    """What the deals of a request to open say: `volume` lots were dealt, of which `opened` are a position of its side.

    The rest closed an opposite position, as happens on netting accounts. `price` is the average of all its deals.
    """

    position_id: int
    volume: float
    opened: float
    price: float


def fill_of(deals: Iterable[BrokerDeal], *, side: str, token: str = "", order: int = 0) -> Fill | None:
    """Find what came of an opening request among all deals of its position; None while they do not tell.

    A deal is the request's when it is on the request's side (what closes its position is on the other one) and
    carries its token, or is of its order. A netting account books a request against an opposite position as OUT, or
    as INOUT when it turns that position round, under the identifier of that position (mql5.com, "Deal Properties").
    """
    mine = [
        (deal, opened)
        for deal, opened in _replay(deals) or ()
        if deal.kind == side and ((order and deal.order == order) or (token and token_in(deal.comment) == token))
    ]
    if not mine:
        return None
    volume = sum(deal.volume for deal, _ in mine)
    price = sum(deal.volume * deal.price for deal, _ in mine) / volume
    return Fill(mine[-1][0].position_id, round(volume, 8), round(sum(lots for _, lots in mine), 8), price)


def ended_of(history: Iterable[HistoricOrder], ticket: int) -> HistoricOrder | None:
    """Find how an order ended, however often and in whatever order it is told; None while it isn't."""
    told = (h for h in history if h.ticket == ticket and h.state is not OrderState.WORKING)
    return max(told, key=lambda h: (h.done_at, -h.volume_left), default=None)


def fill_of_ended(ended: HistoricOrder, deals: Iterable[BrokerDeal], *, side: str, at: datetime) -> Fill | None:
    """Say what was filled of a resting order that ended, 0 lots when nothing was; None while its deals don't tell.

    `deals` are those of the position that it met. Fewer lots than its history says count only after the settle time:
    a part may have gone into positions that have another identifier.
    """
    fill = fill_of(deals, side=side, order=ended.ticket)
    lots = ended.volume - ended.volume_left
    if fill is None:
        was_filled = ended.state in (OrderState.FILLED, OrderState.PARTIAL) or lots > VOLUME_NOISE
        return None if was_filled else Fill(0, 0.0, 0.0, 0.0)
    return fill if fill.volume >= lots - VOLUME_NOISE or at - ended.done_at >= SETTLE else None


def proof_of(deals: Iterable[BrokerDeal], *, token: str, side: str, opens: bool) -> BrokerDeal | None:
    """Find a deal which proves that a request was executed: it carries its token, and does what it asked for.

    What a request to open dealt is on its side, whatever it did to a position that it met; a close takes lots out.
    """
    own = (d for d in deals if token_in(d.comment) == token)
    return next((d for d in own if (d.kind == side if opens else d.entry is not DealEntry.IN)), None)


def _replay(deals: Iterable[BrokerDeal]) -> list[tuple[BrokerDeal, float]] | None:
    """Return each deal of a position once, as they happened, with the lots that it opened.

    None when a reversal shows that earlier deals are not there yet.
    """
    rows: list[tuple[BrokerDeal, float]] = []
    held = 0.0
    for deal in sorted({d.ticket: d for d in deals if d.volume > 0}.values(), key=lambda d: (d.at, d.ticket)):
        opened = deal.volume if deal.entry is DealEntry.IN else 0.0
        if deal.entry is DealEntry.INOUT:
            if not VOLUME_NOISE < held < deal.volume - VOLUME_NOISE:
                return None
            opened, held = deal.volume - held, 0.0
        held += opened or -deal.volume
        rows.append((deal, opened))
    return rows


def closure_of(deals: tuple[BrokerDeal, ...], *, ours: bool) -> Closure | None:
    """Prove from a position's deals that it is closed, and say how; None while they do not prove it.

    Closed means that the lots that went out equal the lots that came in, in any order of arrival; a position that was
    turned round came in anew. `ours`: an intent of ours asked for the close, so an expert's deal is the bot's;
    otherwise some other program closed it.
    """
    rows = _replay(deals)
    if rows is None:
        return None
    turned = max((n for n, (deal, _) in enumerate(rows) if deal.entry is DealEntry.INOUT), default=0)
    went_in = sum(opened for _, opened in rows[turned:])
    outs = [deal for deal, opened in rows[turned:] if not opened]
    went_out = sum(d.volume for d in outs)
    if not outs or went_in <= 0 or abs(went_in - went_out) > VOLUME_NOISE:
        return None
    last = outs[-1]
    reason = REASONS.get(last.reason) or ("bot" if ours else "manual" if last.reason is Reason.EXPERT else "other")
    return Closure(
        price=sum(d.price * d.volume for d in outs) / went_out,
        reason=reason,
        at=last.at,
        profit=sum(d.profit for d, _ in rows),
        swap=sum(d.swap for d, _ in rows),
        commission=sum(d.commission + d.fee for d, _ in rows),
        server_offset=last.server_offset,
    )
