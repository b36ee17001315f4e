"""A seeded price model: a random walk in a time of its own, which runs fast in busy hours and stands still at weekends.

The walk is a function of *market time*, an integer that grows with the clock by what the hour of the day and the
volatility regime of the moment say. News are jumps of market time, and so are weekends: the price then moves as far
at once as it would have in the time that was jumped. Everything is integers, +, −, ×, ÷ and square roots, which all
machines round alike: one seed gives the same ticks everywhere.

A market that is begun on a weekend begins as if it were the next opening, hours of the day included.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.scan import Floats
from brokers.simulator.server_time import offset

Ints = NDArray[np.int64]
Uints = NDArray[np.uint64]

SERVER = "ny+7"
HOUR, DAY = 3600, 86_400
HOUR_MS = HOUR * 1000
TICK_MS = 400
OCTAVES = range(3, 22)
# Market time runs at 100 a millisecond on average
NORMAL = 100
# By hour of the server's day (New York + 7 h): night, Asia, London from 10, both from 15, New York until the evening
BUSY = (20, 30, 45, 60, 60, 55, 50, 50, 60, 90, 150, 160, 130, 110, 140, 210, 230, 210, 160, 120, 100, 80, 50, 30)
SPREADS = (40, 16, 14, 13, 13, 13, 13, 13, 13, 12, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 12, 13, 15, 25)
# A regime of four hours multiplies the speed by one of these, in percent
REGIMES = (35, 60, 80, 100, 100, 130, 190, 300)
REGIME_HOURS = 4
# One hour in so many of a weekday has news, worth as much market time as so many normal minutes
NEWS_ONE_IN = 40
NEWS_MINUTES = (20, 40, 60, 120)
NEWS_SPREAD_TIMES, NEWS_SPREAD_MS = 5, 45_000
GAP_HOURS = (2, 4, 6, 10)


def noise(numbers: Uints, seed: np.uint64) -> Floats:
    """Return repeatable noise in 0…1 for each number (SplitMix64's finaliser, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = numbers * np.uint64(0x9E3779B97F4A7C15) + seed * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2**53


def choose(numbers: Ints, seed: np.uint64, values: tuple[int, ...]) -> Ints:
    """Choose one of the values for each number."""
    return np.asarray(values, np.int64)[(noise(numbers.astype(np.uint64), seed) * len(values)).astype(np.int64)]


@dataclass(frozen=True, slots=True)
class Hours:
    """What each hour is like, from hour `first` (of the epoch) on.

    `base` is market time at its start, `speed` market time a millisecond. `news_ms` is when in the hour news come, -1
    without, and `news` how much market time they are worth.
    """

    first: int
    is_open: NDArray[np.bool_]
    base: Ints
    speed: Ints
    spread: Ints
    news_ms: Ints
    news: Ints


@dataclass(slots=True)
class Market:
    """The market of one symbol; times are milliseconds of the epoch. `anchor_ms` is where market time is zero."""

    anchor_ms: int
    seed: np.uint64
    _hours: Hours | None = field(default=None, init=False)
    _shift_ms: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Begin at the next opening."""
        hour = self.anchor_ms // HOUR_MS
        opening = hour
        while not _is_open(opening):
            opening += 1
        self._shift_ms = opening * HOUR_MS - self.anchor_ms if opening > hour else 0

    def hours(self, first_ms: int, last_ms: int) -> Hours:
        """Return a table that covers a period and the anchor."""
        anchor = (self.anchor_ms + self._shift_ms) // HOUR_MS
        first, last = (min(first_ms // HOUR_MS, anchor), max(last_ms // HOUR_MS, anchor) + 1)
        known = self._hours
        if known is not None and known.first <= first and last < known.first + len(known.base):
            return known
        if known is not None:
            first, last = min(first, known.first), max(last, known.first + len(known.base))
        # Some room, so that a clock that goes on does not make a new table each hour
        self._hours = self._table(first - 72, last + 72, anchor)
        return self._hours

    def _table(self, first: int, last: int, anchor: int) -> Hours:
        hours = np.arange(first, last, dtype=np.int64)
        server = np.array([(int(h) * HOUR + offset(SERVER, int(h) * HOUR)) // HOUR for h in hours], np.int64)
        is_open = _open_hours(server)
        speed = np.asarray(BUSY, np.int64)[server % 24] * choose(hours // REGIME_HOURS, self.seed, REGIMES)
        speed = np.where(is_open, speed * NORMAL // 10_000, 0)
        minute = NORMAL * 60_000
        has_news = is_open & (noise(hours.astype(np.uint64), self.seed + np.uint64(11)) * NEWS_ONE_IN < 1)
        at = (noise(hours.astype(np.uint64), self.seed + np.uint64(12)) * (HOUR_MS - 1)).astype(np.int64)
        news = np.where(has_news, choose(hours, self.seed + np.uint64(13), NEWS_MINUTES) * minute, 0)
        gaps = choose(hours, self.seed + np.uint64(14), GAP_HOURS) * 60 * minute
        ends_weekend = ~is_open & np.append(is_open[1:], False)
        total = speed * HOUR_MS + news + np.where(ends_weekend, gaps, 0)
        base = np.cumsum(total) - total
        spread = np.asarray(SPREADS, np.int64)[server % 24]
        return Hours(first, is_open, base - base[anchor - first], speed, spread, np.where(has_news, at, -1), news)

    def at(self, ms: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """Return market time, spread in tenths of the usual one, and whether the market is open, at times."""
        if not len(ms):
            return ms, ms, np.zeros(0, np.bool_)
        ms = ms + self._shift_ms
        table = self.hours(int(ms[0]), int(ms[-1]))
        hour, within = ms // HOUR_MS - table.first, ms % HOUR_MS
        since_news = within - table.news_ms[hour]
        has_come = (table.news_ms[hour] >= 0) & (since_news >= 0)
        market = table.base[hour] + table.speed[hour] * within + np.where(has_come, table.news[hour], 0)
        shocked = has_come & (since_news < NEWS_SPREAD_MS)
        spread = table.spread[hour] * np.where(shocked, NEWS_SPREAD_TIMES, 1)
        return market, spread, table.is_open[hour]

    def last_open(self, ms: int) -> int:
        """Return the time itself while the market is open, else the last millisecond before it closed."""
        hour = (ms + self._shift_ms) // HOUR_MS
        if _is_open(hour):
            return ms
        while not _is_open(hour):
            hour -= 1
        return (hour + 1) * HOUR_MS - 1 - self._shift_ms

    def walk(self, market: Ints) -> Floats:
        """Return the walk at market times: noise of doubling periods, each as strong as the root of its period.

        The typical move in a normal tick's time is about 1.
        """
        total = np.zeros(len(market))
        for octave in OCTAVES:
            period = np.int64(2**octave * TICK_MS * NORMAL)
            cell, rest = np.divmod(market, period)
            share = rest / float(period)
            smooth = share * share * (3 - 2 * share)
            seed = self.seed + np.uint64(octave * 7919)
            a = noise(cell.astype(np.uint64), seed) - 0.5
            b = noise((cell + 1).astype(np.uint64), seed) - 0.5
            total += (a + (b - a) * smooth) * np.sqrt(float(2**octave))
        return total


def _open_hours(server_hours: Ints) -> NDArray[np.bool_]:
    """Tell which hours of the server's clock are on a weekday; the epoch was a Thursday."""
    weekday = (server_hours // 24 + 3) % 7
    return np.asarray(weekday < 5, np.bool_)


def _is_open(hour: int) -> bool:
    server = (hour * HOUR + offset(SERVER, hour * HOUR)) // HOUR
    return bool(_open_hours(np.array([server], np.int64))[0])
