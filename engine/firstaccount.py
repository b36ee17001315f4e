"""The first account, from the MT5_* variables, for a database that has none."""

from datetime import datetime

from django.conf import settings

from accounts.models import BrokerKind, TradingAccount
from accounts.services import create_account


def ensure_first_account(*, at: datetime) -> TradingAccount | None:
    """Make the account that MT5_LOGIN, MT5_PASSWORD and MT5_SERVER name, stopped; None when there is one already.

    Raises:
        ValidationError: A value does not hold.
    """
    if not (settings.MT5_LOGIN and settings.MT5_SERVER and settings.MT5_PASSWORD):
        return None
    if TradingAccount.objects.filter(broker=BrokerKind.MT5).exists():
        return None
    return create_account(
        name=f"MT5 {settings.MT5_LOGIN}",
        broker=BrokerKind.MT5,
        login=settings.MT5_LOGIN,
        server=settings.MT5_SERVER,
        password=settings.MT5_PASSWORD,
        terminal_path=settings.MT5_PATH or "",
        at=at,
    )
