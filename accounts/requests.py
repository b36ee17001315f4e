"""What people ask of an account's running session: written down, put into its inbox, answered by the session."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import DesiredState, TradingAccount, User
from events.audit import name_of, record_change
from events.models import Command
from events.services import ask

NOT_RUNNING = "not_running"


@transaction.atomic
def request_command(
    *,
    account_id: int,
    kind: str,
    args: Mapping[str, Any],
    subject: str,
    by: User,
    at: datetime,
    reason: str = "",
    bot_id: int | None = None,
    cycle_id: int | None = None,
) -> Command:
    """Ask the account's session to carry out a command of `engine.commands`; its row shows what came of it.

    What waits already is not asked for again: a double click gets the same command.

    Raises:
        ValidationError: The account is stopped (code `not_running`): nobody would answer.
    """
    account = TradingAccount.objects.select_for_update().get(pk=account_id)
    if account.desired_state == DesiredState.STOPPED:
        raise ValidationError(f"{account.name} is stopped: start it first, so that its engine can do it.", NOT_RUNNING)
    waiting = Command.objects.filter(account_id=account_id, kind=kind, state=Command.State.WAITING)
    for known in waiting.order_by("id"):
        if _without_number(known.args) == _without_number(args):
            return known
    command = ask(account_id=account_id, kind=kind, args=dict(args), by=by, at=at)
    record_change(
        kind="COMMAND",
        text=f"{name_of(by)} asked for {kind.replace('_', ' ')} of {subject}",
        subject=subject,
        account_id=account_id,
        bot_id=bot_id,
        cycle_id=cycle_id,
        after={"command": command.pk, "kind": kind, **args},
        reason=reason,
        by=by,
        at=at,
    )
    return command


def _without_number(args: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the number that makes each request of a part one of its own."""
    return {name: value for name, value in args.items() if name != "request"}
