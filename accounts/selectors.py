"""Named reads of accounts."""

from datetime import timedelta

from django.db.models import QuerySet

from accounts.credentials import decrypt
from accounts.models import AccountSnapshot, ServerOffset, TradingAccount
from brokers.gateway import ClockOffset

PASSWORD_FIELD = "password_encrypted"  # noqa: S105 - a column's name
PAIRING_FIELD = "pairing_encrypted"


def password_of(account: TradingAccount) -> str:
    """Return the broker password of an account; empty when none was set.

    Raises:
        UnknownKey: It was encrypted with a key that is not configured any more.
        CredentialError: The stored value is damaged or belongs to another row.
    """
    return _secret(account, PASSWORD_FIELD)


def pairing_of(account: TradingAccount) -> str:
    """Return the pairing code of a remote terminal's agent; empty when none was set. Raises as `password_of`."""
    return _secret(account, PAIRING_FIELD)


def _secret(account: TradingAccount, field: str) -> str:
    stored: str = getattr(account, field)
    return decrypt(stored, table=TradingAccount._meta.db_table, pk=account.pk, field=field) if stored else ""


def latest_snapshot(account_id: int) -> AccountSnapshot | None:
    """Return what the broker last said an account was worth, if it ever did."""
    return AccountSnapshot.objects.filter(account_id=account_id).order_by("-at").first()


def wanted_accounts() -> QuerySet[TradingAccount]:
    """Return the accounts that an engine should run: running ones, and paused ones for their exits."""
    return TradingAccount.objects.filter(desired_state__in=("running", "paused")).order_by("pk")


def server_offsets(account_id: int) -> tuple[ClockOffset, ...]:
    """Return what is known of the clock of an account's broker, oldest first."""
    rows = ServerOffset.objects.filter(account_id=account_id).order_by("since").values_list("seconds", "since")
    return tuple(ClockOffset(timedelta(seconds=seconds), since, is_confirmed=True) for seconds, since in rows)
