"""Named writes about market data."""

from datetime import datetime

from django.db import transaction

from accounts.models import TradingAccount
from events.models import Command
from events.services import ask

CANDLES_COMMAND = "candles"


@transaction.atomic
def ask_for_candles(*, account: TradingAccount, symbol: str, seconds: int, at: datetime) -> bool:
    """Ask the engine to fetch candles of a length in seconds for a chart; tell whether that is new.

    Charts ask by themselves and nothing is traded, so no person is named. What waits already is not asked for twice,
    however many charts are open.
    """
    args = {"symbol": symbol, "seconds": seconds}
    # Two pages that ask at once wait for each other here
    TradingAccount.objects.select_for_update().get(pk=account.pk)
    waiting = Command.objects.filter(account=account, kind=CANDLES_COMMAND, state=Command.State.WAITING, args=args)
    if waiting.exists():
        return False
    ask(account_id=account.pk, kind=CANDLES_COMMAND, args=args, by=None, at=at)
    return True
