"""The prices of a day as the broker had them: what a session saw, with what only the broker's candles show."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from backtesting.domain import BacktestError
from backtesting.parity.domain import Moment
from brokers.simulator.scan import Floats, Ticks
from marketdata.candlefile import Candles, DamagedFile, merged
from marketdata.candlestore import CandleStore, SeriesId
from marketdata.tickstore import TickStore, gaps

MINUTE = 60
# About as often as a session looks at its watches
LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Recorded:
    """One symbol's prices. `full` are those seen and those missed; `missed` are the minutes that were made fuller."""

    seen: Ticks
    full: Ticks
    missed: frozenset[int]
    gaps: tuple[tuple[float, float], ...]

    def seen_at(self, at: float) -> Moment:
        """Return the price that the session knew at a time; the first one before any."""
        return _moment(self.seen, at)

    def full_at(self, at: float) -> Moment:
        """Return the price that the broker had at a time."""
        return _moment(self.full, at)


def recorded(
    ticks: TickStore, candles: CandleStore, server: str, symbol: str, begin: float, end: float, *, fresh_seconds: float
) -> Recorded:
    """Read a symbol's prices of a period in UTC epoch seconds; an engine decides on one for `fresh_seconds`.

    Raises BacktestError where none were recorded.
    """
    since, until = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
    looked = ticks.between(symbol, since, until)
    seen = looked.ticks
    if len(seen) < 2:
        raise BacktestError(f"{symbol}: no ticks were recorded")
    minutes = _minutes(candles, SeriesId(server, symbol, MINUTE), since, until)
    full, missed = completed(seen, minutes)
    return Recorded(seen, standing(full, fresh_seconds), missed, tuple(gaps(looked.at, begin, end)))


def standing(ticks: Ticks, seconds: float) -> Ticks:
    """Repeat each price four times a second while it is fresh: an engine decides on it until it is `seconds` old."""
    until = np.minimum(np.append(ticks.at[1:], np.inf), ticks.at + seconds + 1e-9)
    steps = np.arange(0.0, seconds + LOOK_SECONDS / 2, LOOK_SECONDS)
    at = ticks.at[:, None] + steps[None, :]
    chosen = at < until[:, None]
    chosen[:, 0] = True
    times = chosen.sum(axis=1)
    return Ticks(at[chosen], np.repeat(ticks.bid, times), np.repeat(ticks.ask, times))


def _minutes(store: CandleStore, series: SeriesId, since: datetime, until: datetime) -> Candles:
    found = Candles.none()
    try:
        for piece in store.between(series, since, until):
            found = merged(found, piece)
    except (DamagedFile, OSError) as problem:
        raise BacktestError(f"{series.symbol}: {problem}") from None
    return found


def completed(seen: Ticks, minutes: Candles) -> tuple[Ticks, frozenset[int]]:
    """Add what the broker's minutes show beyond the ticks; return all ticks, and the minutes that were made fuller.

    A minute without any tick gets its four prices; in others the extreme that nobody saw is put into its middle. The
    spread is the usual one of the ticks. Candles are of bids.
    """
    half_point, scale = 0.5, 10.0**minutes.digits
    spread = float(np.median(seen.ask - seen.bid))
    added: list[tuple[float, float]] = []
    missed: set[int] = set()
    for start, opened, high, low, close in zip(*(c.tolist() for c in minutes.columns()[:5]), strict=True):
        first, last = np.searchsorted(seen.at, (start, start + MINUTE))
        # A price that stood when the minute began was its first
        known = np.rint(seen.bid[max(0, int(first) - 1) : int(last)] * scale)
        if last == first:
            path = (opened, low, high, close) if close >= opened else (opened, high, low, close)
            if len(known) and known[-1] == opened == high == low == close:
                continue
            added += [
                (start + share * MINUTE, price / scale) for share, price in zip((0, 0.25, 0.5, 0.75), path, strict=True)
            ]
        else:
            beyond = [
                p
                for p, is_new in ((low, low < known.min() - half_point), (high, high > known.max() + half_point))
                if is_new
            ]
            if not beyond:
                continue
            added += [(start + MINUTE / 2 + n, price / scale) for n, price in enumerate(beyond)]
        missed.add(int(start))
    if not added:
        return seen, frozenset()
    at: Floats = np.concatenate([seen.at, [at for at, _ in added]])
    bid: Floats = np.concatenate([seen.bid, [price for _, price in added]])
    ask: Floats = np.concatenate([seen.ask, [round(price + spread, minutes.digits) for _, price in added]])
    order = np.argsort(at, kind="stable")
    return Ticks(at[order], bid[order], ask[order]), frozenset(missed)


def _moment(ticks: Ticks, at: float) -> Moment:
    number = max(0, int(np.searchsorted(ticks.at, at, side="right")) - 1)
    return Moment(float(ticks.at[number]), float(ticks.bid[number]), float(ticks.ask[number]))
