"""Removes what is old and no fact of money, in batches; what it did is an event that the engine page shows.

Deals, orders, intents with their history, cycles, divergences, audit, snapshots of accounts, and every event about a
cycle or an order stay for ever: the database refuses to lose them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet

from core.clock import Clock
from events.models import Command, Event
from events.services import record
from notifications.models import Delivery
from orders.models import NotSent

BATCH = 5_000
EVENT = "RETENTION"
# The tables that grow with time, whose sizes the engine page shows
GROWING = (
    "events_event", "events_command", "events_auditentry", "notifications_delivery", "orders_notsent",
    "orders_orderintent", "orders_intenthistory", "orders_order", "orders_deal", "cycles_cycle",
    "accounts_accountsnapshot",
)  # fmt: skip
ENDED = (Delivery.State.SENT, Delivery.State.GIVEN_UP, Delivery.State.REPEATED)

Progress = Callable[[str, int], object]


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of a kind were older than so many days, and are gone; with a rehearsal they are still there."""

    kind: str
    days: int
    rows: int


def retire(*, clock: Clock, dry_run: bool = False, tell: Progress = lambda kind, rows: None) -> list[Removed]:
    """Remove in batches what is older than its days, each batch in a transaction of its own; two at once do no harm.

    `tell` hears of each batch: what, and how many rows of it are gone so far. Raises DatabaseError.
    """
    now, began = clock.now(), clock.ticks()
    found = []
    for kind, days, rows in _removable(now):
        count = rows.count() if dry_run else _remove(rows, kind, tell)
        found.append(Removed(kind, days, count))
    found += _events(now, dry_run, tell)
    if not dry_run:
        _tell(found, clock.ticks() - began, now)
    return found


def _removable(now: datetime) -> list[tuple[str, int, QuerySet[Any]]]:
    """Return what may go besides events: kind, days, rows."""

    def before(days: int) -> datetime:
        return now - timedelta(days=days)

    requests, not_sent = settings.RETENTION_REQUESTS_DAYS, settings.RETENTION_NOT_SENT_DAYS
    return [
        ("requests to engines", requests, Command.objects.filter(done_at__lt=before(requests))),
        ("notifications", requests, Delivery.objects.filter(state__in=ENDED, due_at__lt=before(requests))),
        ("orders not sent", not_sent, NotSent.objects.filter(last_at__lt=before(not_sent))),
    ]


def _remove(rows: QuerySet[Model], kind: str, tell: Progress) -> int:
    gone = 0
    while True:
        with transaction.atomic():
            batch = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
            rows.model._default_manager.filter(pk__in=batch).delete()
        gone += len(batch)
        tell(kind, gone)
        if len(batch) < BATCH:
            return gone


def _events(now: datetime, dry_run: bool, tell: Progress) -> list[Removed]:
    """Retire events by the database's own function, which alone may; those that a notification names stay with it."""
    debug, others = settings.RETENTION_DEBUG_DAYS, settings.RETENTION_EVENTS_DAYS
    found = []
    never = datetime.min.replace(tzinfo=now.tzinfo)
    for kind, days, is_debug in (("events for debugging", debug, True), ("events", others, False)):
        until = now - timedelta(days=days)
        if dry_run:
            level = Q(level="debug") if is_debug else ~Q(level="debug")
            gone_first = Q(state__in=ENDED, due_at__lt=now - timedelta(days=settings.RETENTION_REQUESTS_DAYS))
            named = Delivery.objects.exclude(gone_first).values("event_id")
            old = Event.objects.filter(level, at__lt=until, cycle=None, order=None).exclude(pk__in=named)
            found.append(Removed(kind, days, old.count()))
            continue
        gone, batch = 0, BATCH
        while batch == BATCH:
            with transaction.atomic(), connection.cursor() as cursor:
                bounds = [until, never] if is_debug else [never, until]
                cursor.execute("SELECT retire_events(%s, %s, %s)", [*bounds, BATCH])
                (batch,) = cursor.fetchone()
            gone += batch
            tell(kind, gone)
        found.append(Removed(kind, days, gone))
    return found


def _tell(found: list[Removed], seconds: float, now: datetime) -> None:
    rows = sum(one.rows for one in found)
    text = ", ".join(f"{one.rows} {one.kind}" for one in found if one.rows) or "nothing was old enough"
    data = {"removed": [asdict(one) for one in found], "seconds": round(seconds, 2), "rows": rows}
    record(kind=EVENT, text=f"Removed: {text}.", at=now, data=data)


def table_sizes() -> list[dict[str, Any]]:
    """Return, of the tables that grow, the rows as the database estimates them and the bytes with their indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, greatest(n_live_tup, 0), pg_total_relation_size(relid) FROM pg_stat_user_tables "
            "WHERE relname = ANY(%s) ORDER BY 3 DESC",
            [list(GROWING)],
        )
        return [{"table": name, "rows": rows, "bytes": size} for name, rows, size in cursor.fetchall()]


def last_retention() -> Mapping[str, Any] | None:
    """Return when things were last removed and what; None when that never happened."""
    event = Event.objects.filter(kind=EVENT).order_by("-id").first()
    return None if event is None else {"at": event.at, "text": event.text, **event.data}
