"""Recorded ticks of files: MetaTrader 5's tick export, HistData, Dukascopy, and any CSV with time, bid and ask."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from brokers.simulator.recordings.bars import DIGITS_MAX
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

# Time, bid and ask; a side that is left out is the one before
Row = tuple[float, str, str]


@dataclass(frozen=True, slots=True)
class TickRecording:
    """Ticks of one symbol at their own times."""

    ticks: Ticks
    digits: int

    def index_at(self, at: datetime) -> int:
        """Return the first tick at or after a time. Raises HistoryError after the last."""
        index = int(np.searchsorted(self.ticks.at, at.timestamp()))
        if index >= len(self.ticks):
            raise HistoryError(
                f"the recording ends at {datetime.fromtimestamp(float(self.ticks.at[-1]), UTC):%Y-%m-%d %H:%M}"
            )
        return index


def has_ticks(path: Path) -> bool:
    """Tell whether a file holds ticks, and not bars. Raises HistoryError."""
    return _format(read_lines(path)[0]) is not None


def read_ticks(path: Path) -> TickRecording:
    """Read ticks of any of the formats. Raises HistoryError with file, line and reason."""
    lines = read_lines(path)
    known = _format(lines[0])
    if known is None:
        raise HistoryError(
            f"{path}: line 1: unknown format; known are MetaTrader 5 tick exports, HistData ticks, Dukascopy ticks, "
            "and CSV with the columns time, bid, ask"
        )
    parse, skip = known
    rows = np.empty((len(lines) - skip, 3))
    bid = ask = last = float("nan")
    digits = used = 0
    for number, line in enumerate(lines[skip:], start=skip + 1):
        try:
            at, bid_text, ask_text = parse(line)
            bid, ask = float(bid_text or bid), float(ask_text or ask)
        except (ValueError, IndexError):
            raise HistoryError(f"{path}: line {number}: {line[:60]!r} is no tick of this format") from None
        if at < last:
            raise HistoryError(f"{path}: line {number}: its time is before the one of the line before")
        last = at
        if bid != bid or ask != ask:  # the other side is not known yet
            continue
        if not 0 < bid <= ask < float("inf"):
            raise HistoryError(f"{path}: line {number}: bid {bid:g} and ask {ask:g} are no prices")
        digits = max(digits, decimals(bid_text), decimals(ask_text))
        rows[used] = at, bid, ask
        used += 1
    if used < 2:
        raise HistoryError(f"{path}: two ticks with bid and ask are needed at least")
    at_column, bids, asks = (np.ascontiguousarray(rows[:used, n]) for n in range(3))
    return TickRecording(Ticks(at_column, bids, asks), min(digits, DIGITS_MAX))


def keep_ticks(recording: TickRecording, path: Path) -> None:
    """Write ticks as arrays that `load_ticks` reads: milliseconds and points, as differences."""
    ticks, points = recording.ticks, 10**recording.digits
    columns = {
        "at": np.rint(ticks.at * 1000).astype(np.int64),
        "bid": np.rint(ticks.bid * points).astype(np.int64),
        "ask": np.rint(ticks.ask * points).astype(np.int64),
    }
    np.savez_compressed(
        path, digits=recording.digits, **{name: np.diff(column, prepend=0) for name, column in columns.items()}
    )


@lru_cache(maxsize=4)
def load_ticks(dataset: str) -> TickRecording:
    """Read what `keep_ticks` wrote. Raises ValueError where there is nothing."""
    path = Path(dataset)
    if not path.exists():
        raise ValueError(f"dataset: there are no ticks at {dataset!r}")
    with np.load(path) as stored:
        digits = int(stored["digits"])
        at, bid, ask = (np.cumsum(stored[name]) for name in ("at", "bid", "ask"))
    return TickRecording(Ticks.of(at / 1000, bid / 10**digits, ask / 10**digits, digits), digits)


def _format(first: str) -> tuple[Callable[[str], Row], int] | None:
    """Tell the format from the first line: how to parse a line, and how many lines are a header; None for no ticks."""
    if first.startswith("<DATE>\t<TIME>\t<BID>\t<ASK>"):
        return _metatrader, 1
    if re.match(r"\d{8} \d{9},", first):
        return _histdata, 0
    names, times = header(first)
    if len(times) == 1 and "bid" in names and "ask" in names:
        return _with_header(times[0], names.index("bid"), names.index("ask")), 1
    return None


def _metatrader(line: str) -> Row:
    parts = line.split("\t")
    return to_utc("ny+7", at_time(parts[0].replace(".", ""), parts[1])), parts[2].strip(), parts[3].strip()


def _histdata(line: str) -> Row:
    stamp, bid, ask = line.split(",")[:3]
    date, clock = stamp.split(" ")
    seconds = f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}.{clock[6:]}"
    return at_time(date, seconds) + HISTDATA_BEHIND_UTC, bid, ask


def _with_header(time: int, bid: int, ask: int) -> Callable[[str], Row]:
    def parse(line: str) -> Row:
        parts = next(csv.reader([line])) if '"' in line else line.split(",")
        return any_time(parts[time]), parts[bid].strip(), parts[ask].strip()

    return parse
