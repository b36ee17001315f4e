"""Named writes of the journal and of the command inbox."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from events import live
from events.domain import EventDraft, shortened
from events.models import Command, Event

if TYPE_CHECKING:
    from accounts.models import User

# Called with events in the transaction that writes them; apps to the right add themselves when they are ready
LISTENERS: list[Callable[[Sequence[Event]], None]] = []
# More news than this at once is told to the pages as "look again"
PUBLISHED_AT_ONCE = 20

log = logging.getLogger(__name__)


def record(
    *,
    kind: str,
    text: str,
    at: datetime,
    level: str = "info",
    account_id: int | None = None,
    bot_id: int | None = None,
    cycle_id: int | None = None,
    order_id: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Write an event and, when it is about an account, tell its pages; text is cut at 500 characters."""
    draft = EventDraft(kind, text, at, level, account_id, bot_id, cycle_id, order_id, data or {})
    return record_many([draft])[0]


def record_many(drafts: Sequence[EventDraft]) -> list[Event]:
    """Write events, in the order given, with one insert and at most one notification query."""
    if not drafts:
        return []
    with transaction.atomic():
        events = Event.objects.bulk_create([_event(draft) for draft in drafts])
        live.publish_many(_news(events))
        for listen in LISTENERS:
            listen(events)
        transaction.on_commit(lambda: _log(events))
    return events


def _log(events: Sequence[Event]) -> None:
    """Tell the log of events that are kept, so that one stream has everything; of a flood only how many there were."""
    if len(events) > PUBLISHED_AT_ONCE:
        log.info("%d events, the first %s: %s", len(events), events[0].kind, events[0].text)
        return
    for event in events:
        numbers = {"account": event.account_id, "bot": event.bot_id, "cycle": event.cycle_id, "order": event.order_id}
        about = {name: number for name, number in numbers.items() if number is not None}
        log.log(logging.getLevelName(event.level.upper()), "%s: %s", event.kind, event.text, extra=about)


def _event(draft: EventDraft) -> Event:
    return Event(
        kind=draft.kind,
        text=shortened(draft.text),
        at=draft.at,
        level=draft.level,
        account_id=draft.account_id,
        bot_id=draft.bot_id,
        cycle_id=draft.cycle_id,
        order_id=draft.order_id,
        data=dict(draft.data),
    )


def _news(events: Sequence[Event]) -> list[tuple[int, str, Mapping[str, Any]]]:
    """Return the messages that tell about events; of an account with too many of them, one that says to look again."""
    by_account: dict[int, list[Event]] = {}
    for event in events:
        if event.account_id is not None:
            by_account.setdefault(event.account_id, []).append(event)
    messages: list[tuple[int, str, Mapping[str, Any]]] = []
    for account_id, news in by_account.items():
        if len(news) > PUBLISHED_AT_ONCE:
            messages.append((account_id, "event", live.RESYNC))
        else:
            messages += [(account_id, "event", as_delta(event)) for event in news]
    return messages


def as_delta(event: Event) -> dict[str, Any]:
    """Return what the live pages show of an event."""
    return {
        "id": event.pk,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "level": event.level,
        "text": event.text,
        "account": event.account_id,
        "bot": event.bot_id,
        "cycle": event.cycle_id,
        "order": event.order_id,
    }


def ask(*, account_id: int, kind: str, args: dict[str, Any], by: "User | None", at: datetime) -> Command:
    """Put a command into an account's inbox and wake the session that runs it."""
    with transaction.atomic():
        command = Command.objects.create(account_id=account_id, kind=kind, args=args, requested_by=by, requested_at=at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [live.COMMANDS_CHANNEL, str(account_id)])
    return command


def ask_once(*, account_id: int, kind: str, args: dict[str, Any], by: "User | None", at: datetime) -> bool:
    """Ask as `ask` does, unless the very same is waiting already; tell whether it is new. A double click asks once."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s), hashtext(%s))", ["ask_once", str(account_id)])
        same = Command.objects.filter(account_id=account_id, kind=kind, args=args, state=Command.State.WAITING)
        if same.exists():
            return False
        ask(account_id=account_id, kind=kind, args=args, by=by, at=at)
    return True


def finish_command(command_id: int, *, ok: bool, result: str, at: datetime) -> bool:
    """Answer a waiting command; return False, and change nothing, when it was answered already.

    An answer is kept whole, as programs parse some of them; an error is cut at 500 characters.
    """
    state = Command.State.DONE if ok else Command.State.FAILED
    waiting = Command.objects.filter(pk=command_id, state=Command.State.WAITING)
    return bool(waiting.update(state=state, result=result if ok else shortened(result), done_at=at))
