"""Bars of the module: timeframes by their length, closed bars only."""

from datetime import datetime, timedelta
from typing import Any

from brokers.domain import Candle
from brokers.gateway import ReadError
from brokers.mt5.parse import positive, server_time
from brokers.mt5.server_clock import ServerClock

MINUTES = {m: m for m in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)} | {
    h * 60: 0x4000 | h for h in (1, 2, 3, 4, 6, 8, 12, 24)
}


def timeframe(seconds: int) -> int:
    """Return the module's timeframe of a candle length. Raises ReadError when it has none."""
    if seconds % 60 or seconds // 60 not in MINUTES:
        raise ReadError(f"The terminal has no candles of {seconds} s.")
    return MINUTES[seconds // 60]


def closed(rates: Any, clock: ServerClock, seconds: int, now: datetime) -> tuple[Candle, ...]:
    """Parse rates, leaving out the bar that still forms."""
    found = (
        Candle(
            at=server_time(row["time"], clock),
            open=positive(row["open"], "open"),
            high=positive(row["high"], "high"),
            low=positive(row["low"], "low"),
            close=positive(row["close"], "close"),
            ticks=int(row["tick_volume"]),
            spread_points=int(row["spread"]),
        )
        for row in rates
    )
    return tuple(c for c in found if c.at + timedelta(seconds=seconds) <= now)
