"""Named reads of accounts."""

from collections.abc import Collection
from datetime import timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.credentials import decrypt
from accounts.models import AccountSnapshot, BrokerKind, ServerOffset, Symbol, TradingAccount
from brokers.gateway import ClockOffset
from events.prepared import NUMBER, Prepared

PASSWORD_FIELD = "password_encrypted"  # noqa: S105 - a column's name
INVESTOR_FIELD = "investor_encrypted"
PAIRING_FIELD = "pairing_encrypted"


def password_of(account: TradingAccount) -> str:
    """Return the broker password of an account; empty when none was set.

    Raises:
        UnknownKey: It was encrypted with a key that is not configured any more.
        CredentialError: The stored value is damaged or belongs to another row.
    """
    return _secret(account, PASSWORD_FIELD)


def reading_password_of(account: TradingAccount) -> str:
    """Return the password with the least power that still reads: the investor's, else the one that trades.

    Raises as `password_of`.
    """
    return _secret(account, INVESTOR_FIELD) or password_of(account)


def pairing_of(account: TradingAccount) -> str:
    """Return the pairing code of a remote terminal's agent; empty when none was set. Raises as `password_of`."""
    return _secret(account, PAIRING_FIELD)


def _secret(account: TradingAccount, field: str) -> str:
    stored: str = getattr(account, field)
    return decrypt(stored, table=TradingAccount._meta.db_table, pk=account.pk, field=field) if stored else ""


def latest_snapshot(account_id: int) -> AccountSnapshot | None:
    """Return what the broker last said an account was worth, if it ever did."""
    return AccountSnapshot.objects.filter(account_id=account_id).order_by("-at").first()


def same_money(account: TradingAccount) -> QuerySet[TradingAccount]:
    """Return the accounts whose money may be added to an account's: of its currency, and live, demo or paper as it."""
    found = TradingAccount.objects.filter(currency=account.currency, demo=account.demo)
    return found.filter(broker=BrokerKind.PAPER) if account.is_paper else found.exclude(broker=BrokerKind.PAPER)


def free_paper_login(source: TradingAccount) -> int:
    """Return a login for another paper account of a source: the source's own, or the next that is free."""
    used = set(
        TradingAccount.objects.filter(broker=BrokerKind.PAPER, server=source.server).values_list("login", flat=True)
    )
    login: int = source.login
    while login in used:
        login += 1
    return login


def wanted_accounts() -> QuerySet[TradingAccount]:
    """Return the accounts that an engine should run: running ones, and paused ones for their exits."""
    return TradingAccount.objects.filter(desired_state__in=("running", "paused")).order_by("pk")


def digits_of(account_id: int, symbol: str) -> int | None:
    """Return the decimals of a symbol's prices; None until an engine has seen it."""
    return Symbol.objects.filter(account_id=account_id, name=symbol).values_list("digits", flat=True).first()


def row_digits() -> Subquery:
    """Return what annotates rows that have `account` and `symbol` with the decimals of their prices."""
    rows = Symbol.objects.filter(account=OuterRef("account"), name=OuterRef("symbol"))
    return Subquery(rows.values("digits")[:1])


def broker_offsets(account_ids: Collection[int]) -> dict[int, int]:
    """Return how many seconds each account's broker's clock is ahead of UTC now, where that is known."""
    rows = ServerOffset.objects.filter(account_id__in=account_ids).order_by("account_id", "-since")
    return dict(rows.distinct("account_id").values_list("account_id", "seconds"))


def server_offsets(account_id: int) -> tuple[ClockOffset, ...]:
    """Return what is known of the clock of an account's broker, oldest first."""
    rows = ServerOffset.objects.filter(account_id=account_id).order_by("since").values_list("seconds", "since")
    return tuple(ClockOffset(timedelta(seconds=seconds), since, is_confirmed=True) for seconds, since in rows)


_account = Prepared(lambda account_id: TradingAccount.objects.filter(pk=account_id), NUMBER)
_desired_state = Prepared(
    lambda account_id: TradingAccount.objects.filter(pk=account_id).values_list("desired_state", flat=True), NUMBER
)


def account_of(account_id: int) -> TradingAccount:
    """Read an account, as sessions do every second. Raises TradingAccount.DoesNotExist."""
    found = _account(account_id)
    if not found:
        raise TradingAccount.DoesNotExist
    return found[0]


def desired_state_of(account_id: int) -> str | None:
    """Return what an account shall do; None when it is gone."""
    return next(iter(_desired_state(account_id)), None)
