"""What people ask to be done with cycles; the account's session does it, through intents."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from accounts.requests import request_command
from cycles.models import Cycle, CycleStatus
from events.models import Command

CLOSE_CYCLE = "close_cycle"
STATE = "state"


@transaction.atomic
def request_cycle_close(*, cycle: Cycle, reason: str, by: User, at: datetime) -> Command:
    """Ask that every leg of a cycle is closed and nothing is added to it.

    Raises:
        ValidationError: It is closed (code `state`), or its account is stopped.
    """
    if cycle.status == CycleStatus.CLOSED:
        raise ValidationError(f"{cycle} is closed already.", STATE)
    return request_command(
        account_id=cycle.account_id,
        kind=CLOSE_CYCLE,
        args={"cycle": cycle.pk, "why": reason[:150]},
        subject=f"cycle {cycle.pk}",
        reason=reason,
        bot_id=cycle.bot_id,
        cycle_id=cycle.pk,
        by=by,
        at=at,
    )
