"""The engine's state row of an account: what the pages show of its session."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from engine.gate import SendGate
from engine.models import EngineState
from events import live
from events.services import record
from orders.gate import fenced


def write_state(gate: SendGate, fields: Mapping[str, Any], *, at: datetime) -> None:
    """Write some columns of the account's engine state, and publish its status and health."""
    with fenced(gate):
        _write(gate, fields, at)


def _write(gate: SendGate, fields: Mapping[str, Any], at: datetime) -> None:
    values = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in fields.items()}
    changes = ", ".join(f"{name} = %s" for name in (*values, "updated_at"))
    sql = (
        f"UPDATE engine_enginestate SET {changes} WHERE account_id = %s "  # noqa: S608 - our own columns
        "RETURNING status, manager_health_status, error_message"
    )
    given: list[Any] = [*values.values(), at, gate.account_id]
    row = None
    while row is None:
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            row = cursor.fetchone()
        if row is None:
            EngineState.objects.get_or_create(account_id=gate.account_id)
    status, health, error = row
    live.publish(gate.account_id, "state", {"status": status, "health": health, "at": at.isoformat(), "error": error})


def show_failure(gate: SendGate, message: str, *, at: datetime) -> None:
    """Show why the account is not traded; the same reason again is not told again. Raises LeaseLost."""
    message = message[:500]
    shown = EngineState.objects.filter(account_id=gate.account_id).values_list("error_message", flat=True).first()
    if shown == message:
        return
    fields = {
        "status": EngineState.Status.ERROR,
        "error_message": message,
        "manager_health_status": EngineState.Health.UNHEALTHY,
    }
    with fenced(gate):
        _write(gate, fields, at)
        record(kind="ERROR", level="error", text=message, account_id=gate.account_id, at=at)
