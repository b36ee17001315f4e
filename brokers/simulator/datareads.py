"""Bars and ticks as arrays, cut from the feed as the terminal's charts would show them."""

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import TICK_SECONDS
from brokers.simulator.server_time import offset
from brokers.simulator.structs import RATES_DTYPE, TICKS_DTYPE

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86_400, 604_800
# Stands for calendar months, none of which is longer
MONTH = 31 * DAY
TIMEFRAME_SECONDS = {
    **{n: n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{16384 + n: n * HOUR for n in (1, 2, 3, 4, 6, 8, 12)},
    16408: DAY,
    32769: WEEK,
    49153: MONTH,
}
# The epoch was a Thursday
SUNDAY = 3 * DAY
BARS_MAX = 100_000
# A week of 0.4-second ticks; longer requests are cut, as a terminal without more downloaded history does
TICKS_MAX = 2_000_000
CHUNK_SECONDS = 6 * HOUR
# A long weekend
CLOSED_SECONDS_MAX = 4 * DAY
CHUNKS_MAX = 4 * 366


def bars(exchange: Exchange, symbol: str, seconds: int, first: float, last: float) -> NDArray[np.void]:
    """Return the bars whose opening times, on the server's clock, lie in first … last; ticks up to now only.

    Bars without a tick do not exist. Weeks begin on Sunday, months on their first day.
    """
    kind = exchange.account.server_clock
    now = exchange.clock.now().timestamp()
    rows: list[NDArray[np.void]] = []
    start = float(openings(np.array([first]), seconds)[0])
    stop = min(last + seconds, now + offset(kind, now))
    while start <= stop and len(rows) < CHUNKS_MAX:
        end = min((start // CHUNK_SECONDS + 1) * CHUNK_SECONDS, np.floor(stop) + 1)
        shift = offset(kind, start - offset(kind, start))
        rows.append(_bars_within(exchange, symbol, seconds, start - shift, min(end - shift, now), shift))
        if end - shift >= now:
            break
        start = end
    table = _joined(np.concatenate(rows)) if rows else np.zeros(0, RATES_DTYPE)
    return table[(table["time"] >= first) & (table["time"] <= last)][:BARS_MAX]


def openings(at: NDArray[np.float64], seconds: int) -> NDArray[np.int64]:
    """Return when the bars of times open, all on one clock."""
    if seconds == MONTH:
        return at.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
    shift = SUNDAY if seconds == WEEK else 0
    return np.floor((at - shift) / seconds).astype(np.int64) * seconds + shift


def _bars_within(
    exchange: Exchange, symbol: str, seconds: int, begin: float, end: float, shift: int
) -> NDArray[np.void]:
    """Return the bars of the ticks with begin ≤ time < end, and of those at `end` when that is now."""
    until = end if end >= exchange.clock.now().timestamp() else end - 1e-6
    ticks = exchange.feeds[symbol].between(begin - 1e-6, until, history=True)
    if not len(ticks):
        return np.zeros(0, RATES_DTYPE)
    opened = openings(ticks.at + shift, seconds)
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


def _joined(parts: NDArray[np.void]) -> NDArray[np.void]:
    """Join the parts of bars that were read in pieces."""
    if not len(parts):
        return parts
    starts = np.flatnonzero(np.diff(parts["time"], prepend=parts["time"][0] - 1))
    table = parts[starts]
    table["close"] = parts["close"][np.append(starts[1:], len(parts)) - 1]
    table["high"] = np.maximum.reduceat(parts["high"], starts)
    table["low"] = np.minimum.reduceat(parts["low"], starts)
    table["tick_volume"] = np.add.reduceat(parts["tick_volume"], starts)
    table["spread"] = np.minimum.reduceat(parts["spread"], starts)
    return table


def last_bars(
    exchange: Exchange, symbol: str, seconds: int, until: float, skip: int, count: int
) -> NDArray[np.void] | None:
    """Return `count` bars that end `skip` bars before the one of `until` (server clock); None without any."""
    wanted = skip + count
    span = float(seconds) * (wanted + 1)
    found = np.zeros(0, RATES_DTYPE)
    # A terminal counts bars, not hours: it looks back over what has no ticks, such as a weekend
    for stretched in (span, 2 * span, 4 * span, 4 * span + CLOSED_SECONDS_MAX):
        found = bars(exchange, symbol, seconds, until - stretched, until)
        if len(found) >= wanted:
            break
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
