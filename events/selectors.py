"""Named reads of the journal and of the command inbox."""

from collections.abc import Collection

from events.models import Command, Event
from events.prepared import NUMBER, Prepared

_waiting = Prepared(lambda a: Command.objects.filter(account_id=a, state=Command.State.WAITING).order_by("id"), NUMBER)


def waiting_commands(account_id: int) -> list[Command]:
    """Return the commands that an account's session has not answered yet, oldest first."""
    return _waiting(account_id)


def last_events(account_ids: Collection[int] | None, *, limit: int = 20, with_debug: bool = False) -> list[Event]:
    """Return the newest events, newest first: of the accounts given, or (None) of all and of none in particular."""
    events = Event.objects.order_by("-id")
    if account_ids is not None:
        events = events.filter(account_id__in=account_ids)
    if not with_debug:
        events = events.exclude(level="debug")
    return list(events.select_related("bot", "account")[:limit])
