"""Named reads of accounts."""

from django.db.models import QuerySet

from accounts.credentials import decrypt
from accounts.models import AccountSnapshot, TradingAccount

PASSWORD_FIELD = "password_encrypted"


def password_of(account: TradingAccount) -> str:
    """Return the broker password of an account; empty when none was set.

    Raises:
        UnknownKey: It was encrypted with a key that is not configured any more.
        CredentialError: The stored value is damaged or belongs to another row.
    """
    if not account.password_encrypted:
        return ""
    return decrypt(account.password_encrypted, table=TradingAccount._meta.db_table, pk=account.pk, field=PASSWORD_FIELD)


def latest_snapshot(account_id: int) -> AccountSnapshot | None:
    """Return what the broker last said an account was worth, if it ever did."""
    return AccountSnapshot.objects.filter(account_id=account_id).order_by("-at").first()


def wanted_accounts() -> QuerySet[TradingAccount]:
    """Return the accounts that an engine should run: running ones, and paused ones for their exits."""
    return TradingAccount.objects.filter(desired_state__in=("running", "paused")).order_by("pk")
