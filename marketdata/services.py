"""Named writes about market data."""

from datetime import datetime

from accounts.models import TradingAccount
from events.services import ask_once

CANDLES_COMMAND = "candles"


def ask_for_candles(*, account: TradingAccount, symbol: str, seconds: int, at: datetime) -> bool:
    """Ask the engine to fetch candles of a length in seconds for a chart; tell whether that is new.

    Charts ask by themselves and nothing is traded, so no person is named. What waits already is not asked for twice,
    however many charts are open.
    """
    args = {"symbol": symbol, "seconds": seconds}
    return ask_once(account_id=account.pk, kind=CANDLES_COMMAND, args=args, by=None, at=at)
