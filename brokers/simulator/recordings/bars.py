"""Recorded bars: the ones that are shipped, and files of other sources, kept as one compact array each.

Formats (ecosystem reference §6.1): MetaTrader 5's bar export, HistData's ASCII and MetaTrader M1 files, Dukascopy's
CSV, and any CSV whose header names time, open, high, low and close. A file may be compressed with gzip.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.recordings.lines import (
    HISTDATA_BEHIND_UTC,
    HistoryError,
    any_time,
    at_time,
    decimals,
    header,
    read_lines,
)
from brokers.simulator.scan import Ticks
from brokers.simulator.server_time import to_utc

DATA = Path(__file__).parent.parent / "data"
SHIPPED_BAR_SECONDS = 3600
DIGITS_MAX = 8
# Bid and ask bars that a broker recorded one by one cross now and then: in one of a hundred minutes of real ones
CROSSED_MAX = 0.1
Row = tuple[float, list[str]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """Bars as rows of open, high, low, close; `starts` are their UTC epoch seconds, empty when they are not known."""

    bars: Floats
    starts: NDArray[np.int64]
    seconds: int
    digits: int

    def index_at(self, at: datetime) -> int:
        """Return the first bar at or after a time. Raises HistoryError outside the recording."""
        if not len(self.starts):
            raise HistoryError("the recording has no times, so nothing can start at one")
        index = int(np.searchsorted(self.starts, int(at.timestamp())))
        if index >= len(self.starts):
            raise HistoryError(
                f"the recording ends at {datetime.fromtimestamp(int(self.starts[-1]), UTC):%Y-%m-%d %H:%M}"
            )
        return index


@lru_cache(maxsize=16)
def load(dataset: str) -> Recording:
    """Read a shipped recording by name, or one that `keep` wrote by path. Raises ValueError for an unknown name."""
    path = Path(dataset) if dataset.endswith(".npz") else DATA / f"{dataset}.npz"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in DATA.glob("*.npz")))
        raise ValueError(f"dataset: there is no recording {dataset!r}; known: {known}")
    with np.load(path) as stored:
        deltas, digits = stored["bars"].astype(np.float64), int(stored["digits"])
        starts = stored["starts"] if "starts" in stored else np.empty(0, np.int64)
        seconds = int(stored["seconds"]) if "seconds" in stored else SHIPPED_BAR_SECONDS
    opens = np.cumsum(deltas[:, 0])
    table = np.stack([opens, opens + deltas[:, 1], opens + deltas[:, 2], opens + deltas[:, 3]], axis=1)
    return Recording(np.asarray(table / 10**digits, dtype=np.float64), starts, seconds, digits)


def keep(recording: Recording, path: Path) -> None:
    """Write a recording as an array that `load` reads."""
    points = np.rint(recording.bars * 10**recording.digits).astype(np.int64)
    opens = points[:, 0]
    deltas = np.stack([np.diff(opens, prepend=0), *(points[:, n] - opens for n in (1, 2, 3))], axis=1)
    np.savez_compressed(path, bars=deltas, digits=recording.digits, starts=recording.starts, seconds=recording.seconds)


def read_history(path: Path) -> Recording:
    """Read bars of any of the formats. Raises HistoryError with file, line and reason."""
    lines = read_lines(path)
    parse, skip = _format(lines[0], path)
    starts: list[int] = []
    bars: list[list[float]] = []
    digits = 0
    for number, line in enumerate(lines[skip:], start=skip + 1):
        try:
            at, texts = parse(line)
            prices = [float(text) for text in texts]
        except (ValueError, IndexError):
            raise HistoryError(f"{path}: line {number}: {line[:60]!r} is no bar of this format") from None
        o, high, low, close = prices
        if not (0 < low <= min(o, close) and max(o, close) <= high < float("inf")):
            raise HistoryError(f"{path}: line {number}: open, high, low and close contradict each other")
        if starts and at <= starts[-1]:
            raise HistoryError(f"{path}: line {number}: its time is not after the one before")
        starts.append(int(at))
        bars.append(prices)
        # Most prices have no more digits than those before, which their length tells at once
        if any(len(text) - text.find(".") - 1 > digits for text in texts):
            digits = max(digits, *map(decimals, texts))
    if len(bars) < 2:
        raise HistoryError(f"{path}: two bars are needed at least")
    steps, counts = np.unique(np.diff(starts), return_counts=True)
    seconds = int(steps[np.argmax(counts)])
    return Recording(np.array(bars), np.array(starts, np.int64), seconds, min(digits, DIGITS_MAX))


def _format(first: str, path: Path) -> tuple[Callable[[str], Row], int]:
    """Tell the format from the first line: how to parse a line, and how many lines are a header."""
    if first.startswith("<DATE>"):
        return _metatrader, 1
    if re.match(r"\d{8} \d{6};", first):
        return _histdata_ascii, 0
    if re.match(r"\d{4}\.\d\d\.\d\d,\d\d:\d\d,", first):
        return _histdata_metatrader, 0
    names, times = header(first)
    columns = [names.index(name) for name in ("open", "high", "low", "close") if name in names]
    if len(times) == 1 and len(columns) == 4:
        return _with_header(times[0], columns), 1
    raise HistoryError(
        f"{path}: line 1: unknown format; known are MetaTrader 5 bar exports, HistData M1, Dukascopy CSV, and CSV with "
        "the columns time, open, high, low, close"
    )


def _metatrader(line: str) -> Row:
    parts = line.split("\t")
    has_time = ":" in parts[1]
    at = at_time(parts[0].replace(".", ""), parts[1] if has_time else "00:00:00")
    return to_utc("ny+7", at), parts[2:6] if has_time else parts[1:5]


def _histdata_ascii(line: str) -> Row:
    parts = line.split(";")
    date, clock = parts[0].split(" ")
    return at_time(date, f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}") + HISTDATA_BEHIND_UTC, parts[1:5]


def _histdata_metatrader(line: str) -> Row:
    parts = line.split(",")
    return at_time(parts[0].replace(".", ""), f"{parts[1]}:00") + HISTDATA_BEHIND_UTC, parts[2:6]


def _with_header(time: int, columns: list[int]) -> Callable[[str], Row]:
    def parse(line: str) -> Row:
        parts = next(csv.reader([line])) if '"' in line else line.split(",")
        return any_time(parts[time]), [parts[n] for n in columns]

    return parse


def paired(one: Recording, other: Recording) -> tuple[Recording, Recording]:
    """Put bid and ask bars of the same market side by side: (bid, ask) at the times that both have.

    The dearer one is the ask. Raises HistoryError where they are not of one market.
    """
    if one.seconds != other.seconds or not (len(one.starts) and len(other.starts)):
        raise HistoryError("bid and ask: give bars of the same length, with their times")
    _, at_one, at_other = np.intersect1d(one.starts, other.starts, return_indices=True)
    if len(at_one) < 2:
        raise HistoryError("bid and ask: the two files have no times in common")
    digits = max(one.digits, other.digits)
    made = [Recording(r.bars[at], r.starts[at], r.seconds, digits) for r, at in ((one, at_one), (other, at_other))]
    bid, ask = sorted(made, key=lambda r: float(r.bars.mean()))
    if (ask.bars[:, 3] < bid.bars[:, 3]).mean() > CROSSED_MAX:
        raise HistoryError("bid and ask: the prices of the two files cross too often to be of one market")
    return bid, ask


def expand(bid: Recording, ask: Recording | None, *, spread: float) -> Ticks:
    """Turn bars into four ticks each: open, both extremes, close, at 0, 1/3, 2/3 and a moment before the bar's end.

    A bar that rose goes by its low first, one that fell by its high. Without ask bars the ask is bid + `spread`.
    """
    starts, (o, h, low, c) = bid.starts, bid.bars.T
    rose = c >= o
    path = np.stack([o, np.where(rose, low, h), np.where(rose, h, low), c], axis=1).ravel()
    shares = np.array([0.0, 1 / 3, 2 / 3, 1.0]) * bid.seconds - np.array([0.0, 0.0, 0.0, 0.001])
    at = (starts[:, None] + shares[None, :]).ravel()
    if ask is None:
        return Ticks.of(at, path, path + spread, bid.digits)
    ask_o, ask_h, ask_low, ask_c = ask.bars.T
    dear = np.stack([ask_o, np.where(rose, ask_low, ask_h), np.where(rose, ask_h, ask_low), ask_c], axis=1).ravel()
    return Ticks.of(at, path, np.maximum(dear, path), bid.digits)
