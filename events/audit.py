"""The audit trail: who changed what, through which door and why, in one chain of hashes an account.

The database refuses to change or delete an entry (a trigger, and the roles of `manage.py dbroles`). Whoever gets around
that breaks the chain, and `manage.py audit verify` names the first entry that doesn't fit. A chain whose newest entries
were cut off is whole in itself: that is seen by comparing its head with one noted elsewhere, which every entry's line
in the log is.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import F

from events.domain import shortened
from events.models import AuditEntry
from events.origin import current_origin
from events.services import record

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger("trading.audit")

# First key of the advisory locks that put the entries of a chain in a row; the second is the account
CHAIN_LOCK = 0x4155
SYSTEM = "the system"


def name_of(by: "User | None") -> str:
    """Return how a person is named in texts; who typed a command on the host by the name there."""
    if by is not None:
        return by.get_username()
    return current_origin().person or SYSTEM


def record_change(
    *,
    kind: str,
    text: str,
    at: datetime,
    by: "User | None",
    subject: str = "",
    account_id: int | None = None,
    bot_id: int | None = None,
    cycle_id: int | None = None,
    order_id: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    level: str = "info",
) -> AuditEntry:
    """Write down a change that somebody made: an event that everyone sees, and an entry of the audit trail.

    To be called once by every service that changes something for a person, in the service's own transaction. `before`
    and `after` hold the fields that may have changed; those that did are kept. Secrets are no values: leave them out.
    """
    changes = _differing(before or {}, after or {})
    with transaction.atomic():
        record(
            kind=kind,
            text=text,
            at=at,
            level=level,
            account_id=account_id,
            bot_id=bot_id,
            cycle_id=cycle_id,
            order_id=order_id,
            data={"by": by.pk if by else None, "changes": changes},
        )
        return _append(
            AuditEntry(
                account_id=account_id,
                at=at,
                actor_id=by.pk if by else None,
                actor_name=name_of(by)[:150],
                via=current_origin().via,
                action=kind,
                subject=subject[:100],
                text=shortened(text),
                changes=_canonical(changes),
                reason=shortened(reason),
                request_id=current_origin().request_id,
            )
        )


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = {name: [before.get(name), after.get(name)] for name in names}
    plain: dict[str, list[Any]] = json.loads(json.dumps(pairs, cls=DjangoJSONEncoder))
    return {name: pair for name, pair in plain.items() if pair[0] != pair[1]}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _append(entry: AuditEntry) -> AuditEntry:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [CHAIN_LOCK, entry.account_id or 0])
    newest = AuditEntry.objects.filter(account_id=entry.account_id).order_by("-sequence").first()
    entry.sequence = newest.sequence + 1 if newest else 1
    entry.previous_hash = newest.hash if newest else ""
    entry.hash = hash_of(entry)
    entry.save(force_insert=True)
    head = (entry.account_id or 0, entry.sequence, entry.hash, entry.text)
    # What is taken back was never part of the chain, and the log's heads must be the chain's
    transaction.on_commit(lambda: log.info("chain %s #%d %s: %s", *head))
    return entry


def hash_of(entry: AuditEntry) -> str:
    """Return the SHA-256 of an entry's canonical form and of the hash before it, as 64 hexadecimal digits."""
    fields = [
        entry.previous_hash, entry.account_id, entry.sequence, entry.at.astimezone(UTC).isoformat(), entry.actor_id,
        entry.actor_name, entry.via, entry.action, entry.subject, entry.text, entry.changes, entry.reason,
        entry.request_id,
    ]  # fmt: skip
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Chain:
    """What was found in a chain: its length, the hash of its newest entry, and what is wrong with the first bad one."""

    account_id: int | None
    entries: int
    head: str
    problem: str


def verify() -> Iterator[Chain]:
    """Follow every chain from its first entry on, and stop in each at the first that doesn't fit."""
    # Written out, because a chain of no account sorts last and must not be mixed with another
    for account_id in AuditEntry.objects.order_by("account_id").values_list("account_id", flat=True).distinct():
        yield _follow(account_id)


def _follow(account_id: int | None) -> Chain:
    head, count = "", 0
    for entry in AuditEntry.objects.filter(account_id=account_id).order_by(F("sequence").asc()).iterator(2_000):
        problem = ""
        if entry.sequence != count + 1:
            problem = f"entry {count + 1} is missing"
        elif entry.previous_hash != head:
            problem = f"entry {entry.sequence} does not follow the one before it"
        elif hash_of(entry) != entry.hash:
            problem = f"entry {entry.sequence} was changed: {entry.text}"
        if problem:
            return Chain(account_id, count, head, problem)
        head, count = entry.hash, entry.sequence
    return Chain(account_id, count, head, "")
