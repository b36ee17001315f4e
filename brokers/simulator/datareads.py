"""Bars and ticks as arrays, cut from the feed as the terminal's charts would show them."""

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import TICK_SECONDS
from brokers.simulator.server_time import offset
from brokers.simulator.structs import RATES_DTYPE, TICKS_DTYPE

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86_400, 604_800
TIMEFRAME_SECONDS = {
    **{n: n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{16384 + n: n * HOUR for n in (1, 2, 3, 4, 6, 8, 12)},
    16408: DAY,
    32769: WEEK,
    49153: 30 * DAY,
}
# The epoch was a Thursday
SUNDAY = 3 * DAY
BARS_MAX = 100_000
# A week of 0.4-second ticks; longer requests are cut, as a terminal without more downloaded history does
TICKS_MAX = 2_000_000
CHUNK_SECONDS = 6 * HOUR


def bars(exchange: Exchange, symbol: str, seconds: int, first: float, last: float) -> NDArray[np.void]:
    """Return the bars whose opening times, on the server's clock, lie in first … last; ticks up to now only.

    Bars without a tick do not exist. Weeks begin on Sunday; a month is thirty days from the epoch.
    """
    kind = exchange.account.server_clock
    now = exchange.clock.now().timestamp()
    shift_of_week = SUNDAY if seconds == WEEK else 0
    rows: list[NDArray[np.void]] = []
    start = np.floor((first - shift_of_week) / seconds) * seconds + shift_of_week
    if start < first:
        start += seconds
    step = max(seconds, CHUNK_SECONDS // seconds * seconds)
    while start <= last and len(rows) * (step // seconds) < BARS_MAX:
        end = min(start + step, last + seconds)
        shift = offset(kind, start - offset(kind, start))
        rows.append(_bars_within(exchange, symbol, seconds, start - shift, min(end - shift, now), shift, shift_of_week))
        start += step
    table = np.concatenate(rows) if rows else np.zeros(0, RATES_DTYPE)
    return table[(table["time"] >= first) & (table["time"] <= last)]


def _bars_within(
    exchange: Exchange, symbol: str, seconds: int, begin: float, end: float, shift: int, shift_of_week: int
) -> NDArray[np.void]:
    ticks = exchange.feeds[symbol].between(begin - 1e-6, end, history=True)
    if not len(ticks):
        return np.zeros(0, RATES_DTYPE)
    opened = np.floor((ticks.at + shift - shift_of_week) / seconds).astype(np.int64) * seconds + shift_of_week
    starts = np.flatnonzero(np.diff(opened, prepend=opened[0] - 1))
    ends = np.append(starts[1:], len(opened)) - 1
    table = np.zeros(len(starts), RATES_DTYPE)
    table["time"] = opened[starts]
    table["open"], table["close"] = ticks.bid[starts], ticks.bid[ends]
    table["high"], table["low"] = np.maximum.reduceat(ticks.bid, starts), np.minimum.reduceat(ticks.bid, starts)
    table["tick_volume"] = ends - starts + 1
    point = exchange.symbols[symbol].point
    table["spread"] = np.round(np.minimum.reduceat(ticks.ask - ticks.bid, starts) / point)
    return table


def last_bars(
    exchange: Exchange, symbol: str, seconds: int, until: float, skip: int, count: int
) -> NDArray[np.void] | None:
    """Return `count` bars that end `skip` bars before the one of `until` (server clock); None without any."""
    wanted = skip + count
    span = float(seconds) * (wanted + 1)
    found = np.zeros(0, RATES_DTYPE)
    for _ in range(3):
        found = bars(exchange, symbol, seconds, until - span, until)
        if len(found) >= wanted:
            break
        span *= 2
    end = len(found) - skip
    return found[max(0, end - count) : end] if end > 0 else None


def ticks(exchange: Exchange, symbol: str, first: float, last: float, count: int, flags: int) -> NDArray[np.void]:
    """Return at most `count` ticks of a period in UTC epoch seconds, times on the server's clock."""
    if not flags & 1 and flags != -1:
        return np.zeros(0, TICKS_DTYPE)
    last = min(last, exchange.clock.now().timestamp(), first + TICKS_MAX * TICK_SECONDS)
    found = exchange.feeds[symbol].between(first - 1e-6, last, history=True)
    size = min(count, len(found))
    table = np.zeros(size, TICKS_DTYPE)
    at = found.at[:size]
    hours = (at // HOUR).astype(np.int64)
    shifts = {int(h): offset(exchange.account.server_clock, float(h) * HOUR) for h in np.unique(hours)}
    server = at + np.array([shifts[int(h)] for h in hours], dtype=np.float64)
    table["time"], table["time_msc"] = np.floor(server), np.round(server * 1000)
    table["bid"], table["ask"], table["flags"] = found.bid[:size], found.ask[:size], 6
    return table
