"""Named reads of market data: where it is kept."""

from pathlib import Path

from django.conf import settings

from marketdata.candlestore import CandleStore
from marketdata.tickstore import TickStore


def candle_store() -> CandleStore:
    """Return where the site keeps its candles."""
    return CandleStore(Path(settings.VAR_DIR) / "candles")


def tick_store(account_id: int) -> TickStore:
    """Return where the ticks that an account's sessions saw are kept."""
    return TickStore(Path(settings.VAR_DIR) / "ticks" / f"account-{account_id}", days=settings.TICKS_DAYS)
