"""Named writes of orders and intents. Each is one fenced transaction, or runs inside the caller's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from core.ids import Ids
from events import live
from events.services import record
from orders.domain import check_transition, comment_of
from orders.gate import Gate, fenced
from orders.models import IntentHistory, IntentState, OrderIntent

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


def plan_intent(proposal: Proposal, *, account_id: int, ids: Ids, at: datetime) -> OrderIntent:
    """Write an intent down as PLANNED, inside the caller's transaction.

    A cause may have a second intent only when its newest one ended REFUSED or ABSENT; the new one names the old one.
    Raises AlreadyDecided otherwise.
    """
    last = (
        OrderIntent.objects.filter(account_id=account_id, cause_key=proposal.cause_key).order_by("-generation").first()
    )
    if last is not None and last.state not in (IntentState.REFUSED, IntentState.ABSENT):
        raise AlreadyDecided(f"{proposal.cause_key} has intent {last.token}, {last.get_state_display().lower()}")
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
        created_at=at,
    )
    IntentHistory.objects.create(
        intent=intent, from_state="", to_state=IntentState.PLANNED, why=proposal.why[:300], at=at
    )
    return intent


def transition(intent_id: int, frm: str, to: str, *, fence: int | None, why: str, at: datetime, **fields: Any) -> bool:
    """Move an intent by compare-and-swap and write its history, inside the caller's transaction.

    Returns False, writing nothing, when the intent is not in `frm` any more. Raises IllegalTransition.
    """
    check_transition(frm, to)
    if to == IntentState.CLAIMED:
        fields["fence"] = fence
    won = OrderIntent.objects.filter(pk=intent_id, state=frm).update(state=to, **fields) == 1
    if won:
        IntentHistory.objects.create(
            intent_id=intent_id, from_state=frm, to_state=to, fence=fence, why=why[:300], at=at
        )
    return won


def drop_unsent(gate: Gate, *, at: datetime) -> int:
    """Refuse what an earlier holder planned or claimed: SENT is committed before a send, so it never left."""
    with fenced(gate):
        rows = OrderIntent.objects.filter(
            account_id=gate.account_id, state__in=(IntentState.PLANNED, IntentState.CLAIMED)
        ).values_list("id", "state")
        return sum(
            transition(pk, state, IntentState.REFUSED, fence=gate.token, why=UNSENT_WHY, at=at, done_at=at)
            for pk, state in rows
        )


def doubt_sent(gate: Gate, *, at: datetime) -> int:
    """Turn what an earlier holder sent without recording an answer into UNKNOWN: a crash in between proves nothing."""
    with fenced(gate):
        rows = list(
            OrderIntent.objects.filter(account_id=gate.account_id, state=IntentState.SENT).values_list("id", "token")
        )
        for pk, token in rows:
            transition(
                pk,
                IntentState.SENT,
                IntentState.UNKNOWN,
                fence=gate.token,
                why="the engine ended before the answer",
                at=at,
            )
            record(
                kind="ORDER_UNKNOWN",
                level="warning",
                text=f"Nobody knows what came of intent {token}; looking it up at the broker.",
                account_id=gate.account_id,
                at=at,
            )
    return len(rows)


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
