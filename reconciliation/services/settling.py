"""What people do with divergences. Each is one transaction that leaves an audit step and an event with the reason."""

from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from accounts.permissions import can
from events.audit import record_change
from events.services import ask
from orders.booking import book_figures
from orders.models import CloseReason, Order, OrderStatus
from reconciliation.actions import Action, why_not
from reconciliation.domain import Kind
from reconciliation.models import Divergence, DivergenceStep, Ending, SavedFilter, State
from reconciliation.services.ledger import keep_balance_offset, publish_count

SETTLE_COMMAND = "settle_divergence"


def _locked(divergence: Divergence, action: Action) -> Divergence:
    """Lock the row. Raises ValidationError when the action has no meaning for it as it is now."""
    row = Divergence.objects.select_for_update(of=("self",)).get(pk=divergence.pk)
    if (problem := why_not(row, action)) is not None:
        raise ValidationError(problem)
    return row


def _close(row: Divergence, how: Ending, *, why: str, by: User, at: datetime) -> None:
    row.state, row.closed_how, row.closed_by, row.closed_why, row.closed_at = State.CLOSED, how, by, why[:300], at
    row.ignored_until, row.updated_at = None, at
    row.save()


def _leave_step(row: Divergence, action: Action, text: str, *, by: User | None, at: datetime) -> None:
    """Write the step, the audit entry and the event of what was done, and tell the pages the new count."""
    DivergenceStep.objects.create(divergence=row, at=at, by=by, action=action, text=text[:400])
    record_change(
        kind="DIVERGENCE_SETTLED" if row.state == State.CLOSED else "DIVERGENCE_NOTED",
        text=f"{row}: {action.replace('_', ' ')} by {by or 'the engine'}: {text}",
        account_id=row.account_id,
        order_id=row.order_id,
        subject=f"divergence {row.pk}",
        after={"action": str(action), "state": row.state, "how": row.closed_how},
        reason=text,
        by=by,
        at=at,
    )
    publish_count(row.account_id)


@transaction.atomic
def accept_broker(*, divergence: Divergence, why: str, by: User, at: datetime) -> Divergence:
    """Take the broker's side: nothing is sent, the books say what the broker says. Raises ValidationError."""
    row = _locked(divergence, Action.ACCEPT_BROKER)
    match Kind(row.kind):
        case Kind.MISSING_AT_BROKER:
            _close_unproved(row, at=at)
        case Kind.PROFIT:
            book_figures(row.account_id, [row.identifier])
        case Kind.BALANCE:
            keep_balance_offset(row.account_id, float(row.theirs["offset"]))
    _close(row, Ending.ACCEPTED, why=why, by=by, at=at)
    _leave_step(row, Action.ACCEPT_BROKER, why, by=by, at=at)
    return row


def _close_unproved(row: Divergence, *, at: datetime) -> None:
    """Close an order that a person says is gone; deals that come later correct its figures."""
    assert row.order_id is not None
    order = Order.objects.select_for_update(of=("self",)).get(pk=row.order_id)
    if order.status != OrderStatus.OPEN:
        raise ValidationError(f"#{order.ticket} is {order.get_status_display().lower()} by now.")
    order.status, order.volume, order.closed_at = OrderStatus.CLOSED, Decimal(0), at
    order.price_close, order.close_reason, order.suspicious_since = order.price_open, CloseReason.OTHER, None
    order.save()


@transaction.atomic
def accept_ours(*, divergence: Divergence, why: str, by: User, at: datetime) -> Divergence:
    """Ask the account's engine to make the broker follow us: set the stops, or close what must not be there."""
    row = _locked(divergence, Action.ACCEPT_OURS)
    ask(account_id=row.account_id, kind=SETTLE_COMMAND, args={"divergence": row.pk, "why": why[:200]}, by=by, at=at)
    row.asked_at, row.asked_by, row.updated_at = at, by, at
    row.save()
    _leave_step(row, Action.ACCEPT_OURS, why, by=by, at=at)
    return row


@transaction.atomic
def report_back(*, divergence_id: int, ok: bool, text: str, at: datetime) -> None:
    """Keep what the engine says came of `accept_ours`; when nothing did, a person may ask again."""
    row = Divergence.objects.select_for_update(of=("self",)).get(pk=divergence_id)
    if not ok:
        row.asked_at, row.asked_by = None, None
        row.save(update_fields=["asked_at", "asked_by"])
    _leave_step(row, Action.ACCEPT_OURS, text, by=None, at=at)


@transaction.atomic
def mark_manual(*, divergence: Divergence, why: str, by: User, at: datetime) -> Divergence:
    """Leave a foreign position alone for as long as it lives. Raises ValidationError."""
    row = _locked(divergence, Action.MANUAL)
    _close(row, Ending.MANUAL, why=why, by=by, at=at)
    _leave_step(row, Action.MANUAL, why, by=by, at=at)
    return row


@transaction.atomic
def ignore_until(*, divergence: Divergence, until: datetime, why: str, by: User, at: datetime) -> Divergence:
    """Take a divergence out of the queue until a time. Raises ValidationError."""
    row = _locked(divergence, Action.IGNORE)
    if until <= at:
        raise ValidationError({"until": "Give a time in the future."})
    row.state, row.ignored_until, row.updated_at = State.IGNORED, until, at
    row.save()
    _leave_step(row, Action.IGNORE, f"until {until:%Y-%m-%d %H:%M} UTC: {why}", by=by, at=at)
    return row


@transaction.atomic
def assign(*, divergence: Divergence, assignee: User | None, why: str, by: User, at: datetime) -> Divergence:
    """Say who looks after a divergence. Raises ValidationError when that person may not see the account."""
    row = _locked(divergence, Action.ASSIGN)
    if assignee is not None and not can(assignee, row.account_id, "viewer"):
        raise ValidationError({"assignee": f"{assignee} has no role in {row.account}."})
    row.assignee = assignee
    row.save(update_fields=["assignee"])
    _leave_step(row, Action.ASSIGN, f"{assignee or 'nobody'}: {why}", by=by, at=at)
    return row


@transaction.atomic
def add_note(*, divergence: Divergence, text: str, by: User, at: datetime) -> None:
    """Write a note beside a divergence."""
    _leave_step(_locked(divergence, Action.NOTE), Action.NOTE, text, by=by, at=at)


@transaction.atomic
def undo(*, divergence: Divergence, why: str, by: User, at: datetime) -> Divergence:
    """Put back into the queue what a person took out of it, as long as nothing else was changed by that.

    Raises ValidationError when it can't be undone, or a newer divergence of the same thing is open.
    """
    row = _locked(divergence, Action.UNDO)
    newer = Divergence.objects.filter(account_id=row.account_id, key=row.key).exclude(state=State.CLOSED)
    if newer.exclude(pk=row.pk).exists():
        raise ValidationError("A newer divergence of the same thing is open already.")
    row.state, row.closed_how, row.closed_by, row.closed_why, row.closed_at = State.OPEN, "", None, "", None
    row.ignored_until, row.asked_at, row.asked_by, row.updated_at = None, None, None, at
    row.save()
    _leave_step(row, Action.UNDO, why, by=by, at=at)
    return row


def save_filter(*, user: User, name: str, query: str) -> SavedFilter:
    """Keep a filter of the desk under a name; the same name again replaces it."""
    return SavedFilter.objects.update_or_create(user=user, name=name, defaults={"query": query[:500]})[0]


def drop_filter(*, user: User, name: str) -> bool:
    """Forget a saved filter; False when there was none."""
    return bool(SavedFilter.objects.filter(user=user, name=name).delete()[0])
