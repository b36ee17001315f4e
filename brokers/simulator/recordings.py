"""Recorded bars: the ones that are shipped, and files of other sources, kept as one compact array each.

Formats (ecosystem reference §6.1): MetaTrader 5's bar export, HistData's ASCII and MetaTrader M1 files, Dukascopy's
CSV, and any CSV whose header names time, open, high, low and close. A file may be compressed with gzip.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.server_time import to_utc

DATA = Path(__file__).parent / "data"
SHIPPED_BAR_SECONDS = 3600
DIGITS_MAX = 8
# HistData's files are in Eastern Standard Time all year
HISTDATA_BEHIND_UTC = timedelta(hours=5)
DUKASCOPY_TIME = re.compile(r"\d\d\.\d\d\.\d{4} ")
Row = tuple[float, list[str]]
Floats = NDArray[np.float64]


class HistoryError(ValueError):
    """A file can't be used; the text names file, line and reason."""


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
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [line for line in (raw.strip() for raw in content.decode("utf-8-sig").splitlines()) if line]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        raise HistoryError(f"{path}: can't be read ({type(problem).__name__})") from None
    if not lines:
        raise HistoryError(f"{path}: the file is empty")
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
        digits = max(digits, *(len(text.rpartition(".")[2]) if "." in text else 0 for text in texts))
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
    names = [name.strip().strip('"').lower() for name in first.split(",")]
    times = [n for n, name in enumerate(names) if name in ("time", "gmt time", "timestamp", "date", "datetime")]
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
    text = f"{parts[0]} {parts[1]}" if has_time else f"{parts[0]} 00:00:00"
    at = datetime.strptime(text, "%Y.%m.%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return to_utc("ny+7", at), parts[2:6] if has_time else parts[1:5]


def _histdata_ascii(line: str) -> Row:
    parts = line.split(";")
    return _eastern(parts[0], "%Y%m%d %H%M%S"), parts[1:5]


def _histdata_metatrader(line: str) -> Row:
    parts = line.split(",")
    return _eastern(f"{parts[0]} {parts[1]}", "%Y.%m.%d %H:%M"), parts[2:6]


def _eastern(text: str, form: str) -> float:
    return (datetime.strptime(text, form).replace(tzinfo=UTC) + HISTDATA_BEHIND_UTC).timestamp()


def _with_header(time: int, columns: list[int]) -> Callable[[str], Row]:
    def parse(line: str) -> Row:
        parts = next(_rows(line))
        text = parts[time]
        if DUKASCOPY_TIME.match(text):
            at = datetime.strptime(text.removesuffix(" GMT"), "%d.%m.%Y %H:%M:%S.%f").replace(tzinfo=UTC)
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return at.timestamp(), [parts[n] for n in columns]

    return parse


def _rows(line: str) -> Iterator[list[str]]:
    return iter(csv.reader([line]))
