"""What all text formats share: lines, times, decimals, headers."""

import gzip
import re
import zlib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

# HistData's files are in Eastern Standard Time all year
HISTDATA_BEHIND_UTC = 5 * 3600.0
DUKASCOPY_TIME = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d:\d\d(?:\.\d+)?)(?: GMT)?$")
TIME_NAMES = ("time", "gmt time", "timestamp", "date", "datetime")


class HistoryError(ValueError):
    """A file can't be used; the text names file, line and reason."""


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, which may be compressed with gzip, without empty ones. Raises HistoryError."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        # Tabs at the end of a line are columns without a value
        lines = [line for line in (raw.strip(" \r") for raw in content.decode("utf-8-sig").split("\n")) if line.strip()]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        raise HistoryError(f"{path}: can't be read ({type(problem).__name__})") from None
    if not lines:
        raise HistoryError(f"{path}: the file is empty")
    return lines


def header(line: str) -> tuple[list[str], list[int]]:
    """Return the column names of a CSV header, and which of them are times."""
    names = [name.strip().strip('"').lower() for name in line.split(",")]
    return names, [n for n, name in enumerate(names) if name in TIME_NAMES]


def decimals(text: str) -> int:
    """Count the decimals that a price is written with."""
    return len(text.rpartition(".")[2]) if "." in text else 0


@lru_cache(maxsize=4096)
def _midnight(date: str) -> float:
    if len(date) != 8:
        raise ValueError(date)
    return datetime(int(date[:4]), int(date[4:6]), int(date[6:]), tzinfo=UTC).timestamp()


def at_time(date: str, clock: str) -> float:
    """Return epoch seconds of YYYYMMDD and HH:MM:SS[.fff], both taken as UTC. Raises ValueError."""
    hours, minutes, seconds = clock.split(":")
    return _midnight(date) + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def any_time(text: str) -> float:
    """Return epoch seconds of Dukascopy's form or of ISO 8601; without a zone it is UTC. Raises ValueError."""
    found = DUKASCOPY_TIME.match(text)
    if found:
        return at_time(f"{found[3]}{found[2]}{found[1]}", found[4])
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
