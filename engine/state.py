"""The engine's state row of an account: what the pages show of its session."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

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
    state, _ = EngineState.objects.get_or_create(account_id=gate.account_id)
    for name, value in fields.items():
        setattr(state, name, value)
    state.updated_at = at
    state.save(update_fields=[*fields, "updated_at"])
    live.publish(
        gate.account_id,
        "state",
        {
            "status": state.status,
            "health": state.manager_health_status,
            "at": at.isoformat(),
            "error": state.error_message,
        },
    )


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
