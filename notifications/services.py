"""Named writes of notifications: targets, what is due to them, and what came of sending it."""

import logging
import secrets
import threading
from collections.abc import Sequence
from datetime import datetime, time, timedelta

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django_q.tasks import async_task

from accounts.credentials import CredentialError, decrypt, encrypt
from accounts.models import TradingAccount, User
from accounts.permissions import can, is_superuser
from core.clock import Clock, SystemClock
from events.audit import name_of, record_change
from events.models import Event, Level
from notifications.domain import URGENT, URGENT_BACKOFF, due_at, next_try, wants
from notifications.models import Delivery, Target, TargetKind
from notifications.sending import NotSent, check_address, send_webhook, send_words

log = logging.getLogger("trading.notifications")
TABLE = Target._meta.db_table
TASK, QUEUE = "notifications.tasks.deliver", "jobs"
# The same words about the same thing within this time are one message
REPEATED_WITHIN = timedelta(minutes=10)
# Whoever claimed a message and died leaves it to be sent again after this
ABANDONED = timedelta(minutes=5)
LINES_MAX = 30
CLOCK: Clock = SystemClock()
State = Delivery.State


@transaction.atomic
def create_target(
    *,
    user: User,
    name: str,
    kind: str,
    url: str,
    at: datetime,
    account: TradingAccount | None = None,
    kinds: Sequence[str] = (),
    level_min: str = Level.WARNING,
    quiet_from: time | None = None,
    quiet_until: time | None = None,
    digest_minutes: int = 0,
) -> tuple[Target, str]:
    """Make a target; return it with the secret that signs its webhooks ("" for messages), which is shown once.

    Raises:
        ValidationError: A field does not hold, or the address is none that we send to.
    """
    try:
        check_address(kind, url)
    except ValueError as problem:
        raise ValidationError({"url": str(problem)}) from None
    target = Target(
        user=user, name=name, kind=kind, url_encrypted="-", account=account, kinds=list(kinds), level_min=level_min,
        quiet_from=quiet_from, quiet_until=quiet_until, digest_minutes=digest_minutes, created_at=at,
    )  # fmt: skip
    target.full_clean()
    target.save()
    secret = secrets.token_urlsafe(32) if kind == TargetKind.WEBHOOK else ""
    target.url_encrypted = encrypt(url, table=TABLE, pk=target.pk, field="url_encrypted")
    target.secret_encrypted = encrypt(secret, table=TABLE, pk=target.pk, field="secret_encrypted") if secret else ""
    target.save(update_fields=["url_encrypted", "secret_encrypted"])
    _tell(target, f"News go to {name} ({kind}), by {name_of(user)}", user, at)
    return target, secret


@transaction.atomic
def stop_target(*, target: Target, by: User, at: datetime) -> bool:
    """Send nothing more to a target; tell whether that is new."""
    if not Target.objects.filter(pk=target.pk, is_active=True).update(is_active=False):
        return False
    _tell(target, f"News do not go to {target.name} any more, by {name_of(by)}", by, at)
    return True


def _tell(target: Target, text: str, by: User, at: datetime) -> None:
    record_change(kind="NOTIFICATION_TARGET", text=text, subject=f"user {target.user_id}", by=by, at=at)


def may_hear(user: User, account_id: int | None) -> bool:
    """Tell whether a person may hear of an account, or (None) of the site itself."""
    return is_superuser(user) if account_id is None else user.is_active and can(user, account_id, "viewer")


def on_events(events: Sequence[Event]) -> None:
    """Put what people want to hear into their queues, with the events themselves; what is urgent leaves at once.

    Whatever fails here fails alone: news must never keep the engine from writing down what happened.
    """
    targets = list(Target.objects.filter(is_active=True, user__is_active=True).select_related("user"))
    if not targets:
        return
    try:
        with transaction.atomic():
            _queue(events, targets)
    except Exception:
        log.exception("news of %d events were lost", len(events))


def _queue(events: Sequence[Event], targets: Sequence[Target]) -> None:
    found = [
        Delivery(target=target, event=event, due_at=due_at(target.wish, event.kind, event.at), is_urgent=urgent)
        for event in events
        for target in targets
        if wants(target.wish, event.kind, event.level, event.account_id) and may_hear(target.user, event.account_id)
        for urgent in [event.kind in URGENT]
    ]
    for row in found:
        if not row.is_urgent and _is_repeated(row):
            row.state = State.REPEATED
    Delivery.objects.bulk_create(found, ignore_conflicts=True)
    now = {row.target_id for row in found if row.is_urgent}
    later = {row.target_id for row in found if row.state == State.WAITING and row.due_at <= row.event.at} - now
    for pk in now:
        transaction.on_commit(lambda pk=pk: deliver_at_once(pk))  # type: ignore[misc]
    for pk in later:
        transaction.on_commit(lambda pk=pk: async_task(TASK, pk, cluster=QUEUE))  # type: ignore[misc]


def _is_repeated(row: Delivery) -> bool:
    event = row.event
    return Delivery.objects.filter(
        target_id=row.target_id, event__kind=event.kind, event__account_id=event.account_id, event__text=event.text,
        event__at__gt=event.at - REPEATED_WITHIN, state__in=(State.WAITING, State.SENDING, State.SENT),
    ).exists()  # fmt: skip


def deliver_at_once(target_id: int) -> threading.Thread:
    """Send what is due to a target from a thread of this process: no queue stands between. Returns the thread.

    It stays for as long as something urgent did not arrive and is to be tried again within seconds.
    """

    def run() -> None:
        try:
            deliver(target_id, clock=CLOCK)
            while (seconds := _urgent_in(target_id)) is not None:
                CLOCK.sleep(seconds)
                deliver(target_id, clock=CLOCK)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True, name=f"alert {target_id}")
    thread.start()
    return thread


def _urgent_in(target_id: int) -> float | None:
    """Return in how many seconds an urgent message is tried again that failed lately; None of none."""
    waiting = Delivery.objects.filter(
        target_id=target_id, is_urgent=True, state=State.WAITING, tries__range=(1, len(URGENT_BACKOFF))
    )
    due = waiting.order_by("due_at").values_list("due_at", flat=True).first()
    return None if due is None else max(0.0, (due - CLOCK.now()).total_seconds())


def deliver(target_id: int, *, clock: Clock) -> str:
    """Send all that is due to a target as one message. Two that do this at once send nothing twice."""
    at = clock.now()
    target = Target.objects.select_related("user").get(pk=target_id)
    with transaction.atomic():
        waiting = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("event")
        rows = list(waiting.filter(target=target, state=State.WAITING, due_at__lte=at).order_by("event_id"))
        ids = [row.pk for row in rows]
        Delivery.objects.filter(pk__in=ids).update(state=State.SENDING, done_at=at)
    rows = [row for row in rows if target.is_active and may_hear(target.user, row.event.account_id)]
    if not rows:
        Delivery.objects.filter(pk__in=ids).update(state=State.GIVEN_UP, error="not for this person any more")
        return "nothing is due"
    try:
        _send(target, [row.event for row in rows], at)
    except (NotSent, CredentialError, ValueError) as problem:
        _put_back(rows, str(problem), clock.now())
        return f"not sent: {problem}"
    Delivery.objects.filter(pk__in=ids).update(state=State.SENT, done_at=clock.now(), error="")
    return f"{len(rows)} sent"


def send_again(*, delivery: Delivery, at: datetime) -> bool:
    """Let a message that was given up be tried once more; tell whether it is."""
    given_up = Delivery.objects.filter(pk=delivery.pk, state=State.GIVEN_UP, target__is_active=True)
    return bool(given_up.update(state=State.WAITING, tries=0, due_at=at, done_at=None))


def _put_back(rows: Sequence[Delivery], problem: str, at: datetime) -> None:
    for row in rows:
        again = next_try(row.tries + 1, at, urgent=row.is_urgent)
        Delivery.objects.filter(pk=row.pk, state=State.SENDING).update(
            state=State.GIVEN_UP if again is None else State.WAITING, due_at=again or row.due_at,
            tries=row.tries + 1, error=problem[:200], done_at=at if again is None else None,
        )  # fmt: skip


def _send(target: Target, events: Sequence[Event], at: datetime) -> None:
    url = decrypt(target.url_encrypted, table=TABLE, pk=target.pk, field="url_encrypted")
    if target.kind == TargetKind.WEBHOOK:
        secret = decrypt(target.secret_encrypted, table=TABLE, pk=target.pk, field="secret_encrypted")
        told = [
            {
                "id": event.pk, "at": event.at.isoformat(), "kind": event.kind, "level": event.level,
                "account": event.account_id, "text": event.text,
            }
            for event in events
        ]  # fmt: skip
        send_webhook(url, secret, {"events": told}, at=int(at.timestamp()))
        return
    lines = [f"{event.at:%H:%M:%S} {event.text}" for event in events[:LINES_MAX]]
    if len(events) > LINES_MAX:
        lines.append(f"… and {len(events) - LINES_MAX} more")
    title = events[0].kind.replace("_", " ").capitalize() if len(events) == 1 else f"{len(events)} messages"
    send_words(url, title, "\n".join(lines))


def sweep(*, clock: Clock) -> int:
    """Send what is due everywhere: digests, quiet hours that ended, second tries; return to how many targets."""
    at = clock.now()
    abandoned = Delivery.objects.filter(state=State.SENDING, done_at__lt=at - ABANDONED)
    abandoned.update(state=State.WAITING, done_at=None)
    due = Delivery.objects.filter(state=State.WAITING, due_at__lte=at).values_list("target_id", flat=True)
    ids = sorted(set(due))
    for pk in ids:
        deliver(pk, clock=clock)
    return len(ids)
