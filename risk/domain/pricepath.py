"""Equity between two recorded readings: what the account held, by the ledger, at the prices of the time.

Where the engine recorded ticks, all symbols are taken at the same moments, at bid or ask. Elsewhere the worst prices of
a minute's candles count at once, so that path is a lower bound, without the spread of positions that were sold (candles
are bid prices). Swaps of open positions are in the next reading only.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from marketdata.tickstore import GAP_SECONDS, Seen

MINUTE = 60.0
# Less than this move of the price says too little about what a price unit is worth: profits are in whole cents
PROFIT_LEAST = 1.0


@dataclass(frozen=True, slots=True)
class Trade:
    """A deal that changed a position: `signed_lots` above 0 for a buy; `profit` is what it realized."""

    at: float
    position: int
    symbol: str
    signed_lots: float
    price: float
    profit: float
    net: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A position that stayed as it was from `since` to `until` (epoch seconds)."""

    symbol: str
    signed_lots: float
    price: float
    since: float
    until: float


def stretches(trades: Iterable[Trade], until: float) -> tuple[list[Stretch], dict[str, float]]:
    """Follow the ledger, oldest first; return what was held when, and what a price unit of a lot was worth by symbol.

    The worth is the median of what closings realized: no specification is needed, and rates are those of the time.
    """
    held: dict[int, Stretch] = {}
    found: list[Stretch] = []
    worth: dict[str, list[float]] = defaultdict(list)
    for t in trades:
        before = held.pop(t.position, None)
        lots, price = t.signed_lots, t.price
        if before is not None:
            found.append(Stretch(before.symbol, before.signed_lots, before.price, before.since, t.at))
            lots = round(before.signed_lots + t.signed_lots, 8)
            if before.signed_lots * t.signed_lots > 0:
                price = (before.price * before.signed_lots + t.price * t.signed_lots) / lots
            else:
                closed = np.sign(before.signed_lots) * min(abs(before.signed_lots), abs(t.signed_lots))
                move = (t.price - before.price) * closed
                if abs(t.profit) >= PROFIT_LEAST and move:
                    worth[t.symbol].append(t.profit / move)
                price = before.price if before.signed_lots * lots > 0 else t.price
        if lots:
            held[t.position] = Stretch(t.symbol, lots, price, t.at, until)
    found += held.values()
    return found, {s: abs(median(v)) for s, v in worth.items()}


def floating_lows(
    found: Sequence[Stretch], worth: Mapping[str, float], bars: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts of the minutes in which something was held, and the least that it came to in each.

    `bars` are rows of (start, low, high) by symbol. A minute counts for a stretch that holds the whole of it; minutes
    in which a held symbol has no candle, or no known worth, are left out.
    """
    starts = np.unique(np.concatenate([rows[:, 0] for rows in bars.values()] or [np.empty(0)]))
    sums, whole = np.zeros(len(starts)), np.ones(len(starts), dtype=bool)
    touched = np.zeros(len(starts), dtype=bool)
    for s in found:
        if s.until - s.since < MINUTE:
            continue
        first, end = np.searchsorted(starts, (s.since, s.until - MINUTE), side="left")
        last = end + (end < len(starts) and starts[end] == s.until - MINUTE)
        # Minutes that it holds in part are known by the ledger and the readings, not by a candle
        edge = np.searchsorted(starts, s.since - MINUTE, side="right")
        whole[edge:first], whole[last : np.searchsorted(starts, s.until, side="left")] = False, False
        if last <= first:
            continue
        rows = bars.get(s.symbol)
        if rows is None or not len(rows) or s.symbol not in worth:
            whole[first:last] = False
            continue
        index = np.searchsorted(rows[:, 0], starts[first:last])
        index = np.minimum(index, len(rows) - 1)
        whole[first:last] &= rows[index, 0] == starts[first:last]
        price = rows[index, 1 if s.signed_lots > 0 else 2]
        sums[first:last] += (price - s.price) * s.signed_lots * worth[s.symbol]
        touched[first:last] = True
    use = whole & touched
    return starts[use], sums[use]


def floating_seen(
    found: Sequence[Stretch], worth: Mapping[str, float], seen: Mapping[str, Seen]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the moments at which something was held and a price of it was seen, what it came to, and if that is whole.

    It is not whole where a held symbol has no known worth or was not looked at for longer than a session pauses.
    """
    moments = np.unique(np.concatenate([rows.at for rows in seen.values()] or [np.empty(0)]))
    sums, held = np.zeros(len(moments)), np.zeros(len(moments), dtype=bool)
    paused = np.diff(moments, prepend=-np.inf, append=np.inf) > GAP_SECONDS
    whole = ~(paused[:-1] | paused[1:])
    for s in found:
        first, last = np.searchsorted(moments, (s.since, s.until), side="left")
        if last <= first:
            continue
        held[first:last] = True
        rows = seen.get(s.symbol)
        if rows is None or not len(rows) or s.symbol not in worth:
            whole[first:last] = False
            continue
        index = np.searchsorted(rows.at, moments[first:last], side="right") - 1
        whole[first:last] &= (index >= 0) & (moments[first:last] - rows.at[np.maximum(index, 0)] <= GAP_SECONDS)
        price = (rows.bid if s.signed_lots > 0 else rows.ask)[np.maximum(index, 0)]
        sums[first:last] += (price - s.price) * s.signed_lots * worth[s.symbol]
    return moments[held], sums[held], whole[held]


def least_by_minute(moments: np.ndarray, values: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return moment and value of the least of each minute, ascending; a minute that is not whole is left out."""
    minutes = np.floor(moments / MINUTE)
    usable = ~np.isin(minutes, minutes[~whole])
    moments, values, minutes = moments[usable], values[usable], minutes[usable]
    order = np.lexsort((moments, values, minutes))
    first = order[np.unique(minutes[order], return_index=True)[1]]
    return moments[first], values[first]


def minutes_held(found: Sequence[Stretch], begin: float, end: float) -> int:
    """Return in how many minutes of a span something was held, in part or whole."""
    first = int(begin // MINUTE)
    held = np.zeros(max(0, int(-(-end // MINUTE)) - first), dtype=bool)
    for s in found:
        if s.until > begin and s.since < end:
            held[max(0, int(s.since // MINUTE) - first) : int(-(-s.until // MINUTE)) - first] = True
    return int(held.sum())


def realized_by(trades: Sequence[Trade], moments: np.ndarray) -> np.ndarray:
    """Return what the trades had brought in all up to each moment, costs included."""
    at = np.array([t.at for t in trades])
    total = np.concatenate([[0.0], np.cumsum([t.net for t in trades])])
    return np.asarray(total[np.searchsorted(at, moments, side="right")])
