"""What must hold after the database came back from a backup: the broker lived on, and the books are of yesterday."""

from datetime import datetime

from django.db import connection, transaction

from accounts.models import TradingAccount
from engine.restarting import EFFECTS, FROZEN
from events.audit import record_change
from events.models import Command
from risk.services import raise_block


@transaction.atomic
def after_restore(*, made_at: datetime, at: datetime) -> int:
    """Let nothing old be carried out and no bot act before a person has looked; return the number of accounts.

    Fencing tokens become greater than any that was in use before (they grow by one with each holder, and are raised to
    the seconds since 1970), requests to engines that waited in the backup are ended, and every account is frozen until
    its block is lifted. The engine still reconciles: what happened since the backup turns up on the divergence desk.
    `made_at` is when the backup was made.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE engine_lease SET holder = '', expires_at = NULL, token = greatest(token + 1, %s)",
            [int(at.timestamp())],
        )
    Command.objects.filter(state=Command.State.WAITING).update(
        state=Command.State.FAILED, done_at=at, result="The database was restored from a backup: ask again."
    )
    accounts = list(TradingAccount.objects.order_by("id"))
    reason = f"restored from the backup of {made_at:%Y-%m-%d %H:%M} UTC: {EFFECTS[FROZEN]} until somebody lifts this"
    for account in accounts:
        raise_block(account_id=account.pk, cause=FROZEN, reason=reason, at=at)
        record_change(
            kind="BACKUP_RESTORED", text=f"{account.name}: {reason}", level="warning", subject=f"account {account.pk}",
            account_id=account.pk, by=None, at=at,
        )  # fmt: skip
    return len(accounts)
