"""Telling pages what changed: one `pg_notify` in the transaction that changes it.

PostgreSQL delivers a notification exactly when its transaction commits, to every listener, and in the order of the
commits. The sequence number per account is therefore given where that order is known: by the bus of each listening
process (`events.bus`), which counts an account's messages from 1 for as long as its connection lasts. A number drawn
by the writer would have to lock a row of the account until commit to follow the order of commits, and a web request
that hangs in its transaction would then hold up the engine; a sequence or a transaction id does not follow that order.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

CHANNEL = "live"
COMMANDS_CHANNEL = "commands"
# PostgreSQL refuses payloads of 8,000 bytes and more
PAYLOAD_MAX_BYTES = 7_900
RESYNC: Mapping[str, Any] = {"resync": True}


def encode(value: Any) -> str:
    """Return compact JSON; NaN and infinity, which JSON lacks and browsers refuse, become null."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def payload(account_id: int, kind: str, delta: Mapping[str, Any]) -> str:
    """Return what is sent for a delta; one too large for a notification asks the pages to fetch everything instead."""
    text = encode({"account": account_id, "kind": kind, "delta": dict(delta)})
    if len(text.encode()) > PAYLOAD_MAX_BYTES:
        return encode({"account": account_id, "kind": kind, "delta": dict(RESYNC)})
    return text


def publish(account_id: int, kind: str, delta: Mapping[str, Any]) -> None:
    """Tell the pages about a change; takes effect when, and only when, the current transaction commits."""
    publish_many([(account_id, kind, delta)])


def publish_many(messages: Sequence[tuple[int, str, Mapping[str, Any]]]) -> None:
    """Publish (account, kind, delta) messages in the order given, with one query."""
    if not messages:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) WITH ORDINALITY AS m(payload, n) ORDER BY n",
            [CHANNEL, [payload(*message) for message in messages]],
        )
