"""Named writes of orders and intents. Each is one fenced transaction, or runs inside the caller's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import User
from core.ids import Ids
from events import live
from events.audit import record_change
from events.services import record
from orders.approval import Approved, Planned, planned
from orders.domain import check_transition, comment_of
from orders.gate import Gate, fenced
from orders.models import IntentHistory, IntentState, Order, OrderIntent, OrderStatus

UNSENT_WHY = "never sent: the decision was not carried out in time"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request that a decision asks for, before the risk review. Volumes in lots, prices in quote currency."""

    kind: str
    cause_key: str
    symbol: str
    side: str
    volume: float
    magic: int
    why: str
    bot_id: int | None = None
    cycle_id: int | None = None
    order_id: int | None = None
    level: int | None = None
    order_kind: str = "market"
    price: float = 0.0
    sl: float = 0.0
    tp: float = 0.0
    ticket: int = 0
    trace: Mapping[str, Any] = field(default_factory=dict)

    @property
    def raises_exposure(self) -> bool:
        """Tell whether it may enlarge a position."""
        return self.kind in ("open", "place")


class AlreadyDecided(Exception):
    """This cause has an intent that is under way or done; the same decision was taken twice."""


def plan_intent(proposal: Proposal, approved: Approved, *, account_id: int, ids: Ids, at: datetime) -> Planned:
    """Write an approved request down as a PLANNED intent, inside the caller's transaction.

    A cause may have a second intent only when its newest one ended REFUSED or ABSENT; the new one names the old one.
    Raises AlreadyDecided otherwise, NotApproved when the approval was for something else.
    """
    last = (
        OrderIntent.objects.filter(account_id=account_id, cause_key=proposal.cause_key).order_by("-generation").first()
    )
    if last is not None and last.state not in (IntentState.REFUSED, IntentState.ABSENT):
        raise AlreadyDecided(f"{proposal.cause_key} has intent {last.token}, {last.get_state_display().lower()}")
    approved.use(
        bot_id=proposal.bot_id,
        symbol=proposal.symbol,
        volume=proposal.volume,
        raises_exposure=proposal.raises_exposure,
    )
    token = ids.token(10)
    intent = OrderIntent.objects.create(
        account_id=account_id,
        bot_id=proposal.bot_id,
        cycle_id=proposal.cycle_id,
        order_id=proposal.order_id,
        kind=proposal.kind,
        cause_key=proposal.cause_key,
        generation=0 if last is None else last.generation + 1,
        supersedes=last,
        token=token,
        symbol=proposal.symbol,
        side=proposal.side,
        order_kind=proposal.order_kind,
        level=proposal.level,
        volume=round(proposal.volume, 4),
        price=round(proposal.price, 8),
        sl=round(proposal.sl, 8),
        tp=round(proposal.tp, 8),
        ticket=proposal.ticket,
        magic=proposal.magic,
        comment=comment_of(token),
        why=proposal.why[:200],
        trace=dict(proposal.trace),
        correlation=str(proposal.trace.get("correlation", token)),
        created_at=at,
    )
    IntentHistory.objects.create(
        intent=intent, from_state="", to_state=IntentState.PLANNED, why=proposal.why[:300], at=at
    )
    return planned(intent)


def transition(intent_id: int, frm: str, to: str, *, fence: int | None, why: str, at: datetime, **fields: Any) -> bool:
    """Move an intent by compare-and-swap and write its history, inside the caller's transaction.

    Returns False, writing nothing, when the intent is not in `frm` any more. Raises IllegalTransition.
    """
    check_transition(frm, to)
    if frm == IntentState.PLANNED and to != IntentState.REFUSED:
        fields["fence"] = fence
    won = OrderIntent.objects.filter(pk=intent_id, state=frm).update(state=to, **fields) == 1
    if won:
        IntentHistory.objects.create(
            intent_id=intent_id, from_state=frm, to_state=to, fence=fence, why=why[:300], at=at
        )
    return won


def end_interrupted(gate: Gate, *, at: datetime) -> int:
    """End what a crash, a failed commit or an earlier holder left half done; return how many intents were.

    Whoever calls this sends nothing at the moment, so whatever is not SENT never left (SENT is committed first), unless
    the send journal knows better, which outlives a restored database. What is SENT may have left: it is UNKNOWN.
    """
    half_done = (IntentState.PLANNED, IntentState.CLAIMED, IntentState.SENT)
    with fenced(gate):
        rows = list(
            OrderIntent.objects.filter(account_id=gate.account_id, state__in=half_done).values_list(
                "id", "token", "state"
            )
        )
        for pk, token, state in rows:
            if state == IntentState.SENT or gate.was_sent(token):
                _doubt(pk, token, state, gate=gate, at=at)
            else:
                transition(pk, state, IntentState.REFUSED, fence=gate.token, why=UNSENT_WHY, at=at, done_at=at)
    return len(rows)


def _doubt(intent_id: int, token: str, state: str, *, gate: Gate, at: datetime) -> None:
    """Turn an intent that may have left into UNKNOWN, inside the caller's transaction: a crash proves nothing."""
    times = {} if state == IntentState.SENT else {"sent_at": at, "deadline": at}
    why = "the answer was not recorded" if state == IntentState.SENT else "the send journal says that it left"
    if transition(intent_id, state, IntentState.UNKNOWN, fence=gate.token, why=why, at=at, **times):
        record(
            kind="ORDER_UNKNOWN",
            level="warning",
            text=f"Nobody knows what came of intent {token}; looking it up at the broker.",
            account_id=gate.account_id,
            at=at,
        )


def cancel_resting(
    order_id: int, *, fence: int, why: str, ended_at: datetime, at: datetime, ended_offset: timedelta | None = None
) -> bool:
    """Write down that a resting order ended unfilled, and its placing with it, inside the caller's transaction.

    `ended_offset`: what `ended_at` was converted by, when it is the broker's time.
    """
    won = Order.objects.filter(pk=order_id, status=OrderStatus.PENDING).update(
        status=OrderStatus.CANCELLED,
        closed_at=ended_at,
        closed_offset_seconds=None if ended_offset is None else int(ended_offset.total_seconds()),
    )
    if won:
        placing = OrderIntent.objects.filter(opened_order=order_id, state=IntentState.ACCEPTED)
        for pk in placing.values_list("id", flat=True):
            transition(pk, IntentState.ACCEPTED, IntentState.REFUSED, fence=fence, why=why, at=at, done_at=at)
    return bool(won)


def settle(*, intent_id: int, reason: str, by: User, at: datetime) -> bool:
    """End an UNKNOWN intent by a person's word; False when it is not unknown (any more).

    Later evidence at the broker still adopts it, and says so.

    Raises:
        ValidationError: No reason is given.
    """
    reason = reason.strip()
    if not reason:
        raise ValidationError({"reason": "Say how you know what came of it."})
    with transaction.atomic():
        why = f"{by.get_username()}: {reason}"
        won = transition(intent_id, IntentState.UNKNOWN, IntentState.SETTLED, fence=None, why=why, at=at, done_at=at)
        if won:
            intent = OrderIntent.objects.get(pk=intent_id)
            record_change(
                kind="ORDER_SETTLED",
                level="warning",
                text=f"{by.get_username()} settled intent {intent.token}: {reason}",
                subject=f"intent {intent.pk}",
                account_id=intent.account_id,
                bot_id=intent.bot_id,
                cycle_id=intent.cycle_id,
                before={"state": IntentState.UNKNOWN},
                after={"state": IntentState.SETTLED},
                reason=reason,
                by=by,
                at=at,
            )
            live.publish(intent.account_id, "state", {"settled": intent.token})
    return won


ARRAYS = ("identifiers", "profits", "swaps", "prices")
# More than this does not fit into a notification
PUBLISHED_MAX = 150


def write_marks(gate: Gate, marks: Mapping[str, Any], *, at: datetime) -> None:
    """Write the account's floating values in one row and publish them, in one fenced transaction."""
    with fenced(gate), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO orders_accountmarks
                (account_id, seq, at, identifiers, profits, swaps, prices, balance, equity, margin, margin_level)
            VALUES (%(account)s, 1, %(at)s, %(identifiers)s::bigint[], %(profits)s::float8[], %(swaps)s::float8[],
                    %(prices)s::float8[], %(balance)s, %(equity)s, %(margin)s, %(margin_level)s)
            ON CONFLICT (account_id) DO UPDATE SET seq = orders_accountmarks.seq + 1, at = EXCLUDED.at,
                identifiers = EXCLUDED.identifiers, profits = EXCLUDED.profits, swaps = EXCLUDED.swaps,
                prices = EXCLUDED.prices, balance = EXCLUDED.balance, equity = EXCLUDED.equity,
                margin = EXCLUDED.margin, margin_level = EXCLUDED.margin_level
            RETURNING seq
            """,
            {"account": gate.account_id, "at": at, **marks, **{name: _array(marks[name]) for name in ARRAYS}},
        )
        seq = cursor.fetchone()[0]
        news = {"seq": seq, "at": at.isoformat(), **marks}
        live.publish(gate.account_id, "marks", news if len(marks["identifiers"]) <= PUBLISHED_MAX else live.RESYNC)


def _array(values: Sequence[float]) -> str:
    """Return numbers as PostgreSQL writes an array: ten thousand of them take a driver's list adapter 10 ms."""
    return "{" + ",".join(map(repr, values)) + "}"
