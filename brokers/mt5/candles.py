"""Bars of the module: timeframes by their length, closed bars only."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from brokers.candles import Candles, from_ticks
from brokers.domain import Candle
from brokers.facts import positive
from brokers.gateway import ReadError
from brokers.mt5.parse import server_time
from brokers.mt5.server_clock import ServerClock

MINUTES = {m: m for m in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)} | {
    h * 60: 0x4000 | h for h in (1, 2, 3, 4, 6, 8, 12, 24)
}


MINUTE = 60
TICKS_INFO = 1  # COPY_TICKS_INFO: ticks that changed bid or ask


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


def from_tick_rows(rows: Any, clock: ServerClock, seconds: int, since: datetime, until: datetime) -> Candles:
    """Build candles from the module's ticks, leaving out what is not a price and the candle that still forms."""
    at = clock.to_utc(rows["time_msc"].astype(np.float64) / 1000)
    good = (rows["bid"] > 0) & (rows["ask"] >= rows["bid"]) & (at >= since.timestamp())
    made = from_ticks(at[good], rows["bid"][good], rows["ask"][good], seconds)
    return _complete(made, seconds, until)


def from_rate_rows(
    rows: Any, clock: ServerClock, seconds: int, point: float, since: datetime, until: datetime
) -> Candles:
    """Turn the module's bars into arrays, leaving out the bar that still forms."""
    at = clock.to_utc(rows["time"].astype(np.float64))
    opened, high, low, close, ticks = (
        rows[name].astype(np.float64) for name in ("open", "high", "low", "close", "tick_volume")
    )
    made = Candles(at, opened, high, low, close, ticks, rows["spread"].astype(np.float64) * point)
    return _complete(made.part(int(np.searchsorted(at, since.timestamp()))), seconds, until)


def _complete(candles: Candles, seconds: int, until: datetime) -> Candles:
    end = int(np.searchsorted(candles.at, until.timestamp() - seconds, side="right"))
    return candles.part(0, end)
