"""Candles on disk, one folder for each series (source, symbol, length), one file for each period of it.

A series is its manifest: a JSON file that names the files which count. It is replaced at once, so that an import of
many files comes in whole or not at all; files that no manifest names are removed. What is lost can be fetched again.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import fasteners
import numpy as np

from marketdata.candlefile import Candles, DamagedFile, merged, read_candles, write_candles

MANIFEST = "manifest.json"
SAFE = re.compile(r"[A-Za-z0-9._-]{1,80}")
DAY = 86_400
# Shorter candles are many: a file holds a day of them, else a month
MONTHLY_FROM_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a series: its period, rows, first and last start, and checksum."""

    period: str
    file: str
    rows: int
    first: int
    last: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SeriesId:
    """A series: where its candles come from (a broker's server), our symbol, and the candles' length in seconds."""

    source: str
    symbol: str
    seconds: int

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 31 * DAY:
            raise ValueError("seconds: give a length from 1 second to 31 days")

    @property
    def folder(self) -> str:
        """Return the series' folder below the store; other characters than letters and digits are written as codes."""
        return "/".join((safe_name(self.source), safe_name(self.symbol), str(self.seconds)))


def safe_name(text: str) -> str:
    """Return a text as the name of a file or folder; other characters than letters, digits, _ and - become codes."""
    coded = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else f".{ord(c):x}." for c in text)
    if not SAFE.fullmatch(coded):
        raise ValueError(f"{text[:40]!r} can't name a series")
    return coded


class CandleStore:
    """The candles below one folder; several processes may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def series(self) -> Iterator[SeriesId]:
        """Give every series that has candles, in order."""
        for manifest in sorted(self.folder.glob(f"*/*/*/{MANIFEST}")):
            known = json.loads(manifest.read_text(encoding="utf-8"))
            yield SeriesId(known["source"], known["symbol"], known["seconds"])

    def parts(self, series: SeriesId) -> dict[str, Part]:
        """Return a series' files by period, oldest first; none for a series without candles."""
        try:
            known = json.loads((self.folder / series.folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {part["period"]: Part(**part) for part in known["parts"]}

    def last(self, series: SeriesId, count: int, *, before: datetime | None = None) -> Candles:
        """Return the newest candles that start before a moment, at most `count`, oldest first. Raises DamagedFile."""
        found = Candles.none()
        end = None if before is None else before.timestamp()
        for part in reversed(self.parts(series).values()):
            if end is not None and part.first >= end:
                continue
            piece = self._read(series, part)
            found = merged(found, piece if end is None else piece.part(piece.starts < end))
            if len(found) >= count:
                break
        return found.part(slice(max(0, len(found) - count), None))

    def between(self, series: SeriesId, since: datetime, until: datetime) -> Iterator[Candles]:
        """Give the candles that start from `since` on and before `until`, file by file. Raises DamagedFile."""
        first, end = int(since.timestamp()), int(until.timestamp())
        for part in self.parts(series).values():
            if part.last >= first and part.first < end:
                found = self._read(series, part)
                yield found.part((found.starts >= first) & (found.starts < end))

    def add(self, series: SeriesId, pieces: Iterable[Candles]) -> int:
        """Merge candles in, all of the pieces or none; return how many are new or differ. New ones count over old ones.

        Each piece's starts rise, also from piece to piece. Raises DamagedFile, OSError.
        """
        folder = self.folder / series.folder
        folder.mkdir(parents=True, exist_ok=True)
        with fasteners.InterProcessLock(folder / "lock"):
            parts, changed = self.parts(series), 0
            drafts = _Drafts(series, folder)
            for piece in pieces:
                for period, candles in _by_period(piece, series.seconds):
                    part = drafts.made.get(period) or parts.get(period)
                    known = self._read(series, part) if part is not None else Candles.none(candles.digits)
                    whole = merged(known, candles)
                    changed += _differences(known, whole)
                    drafts.write(period, whole)
            if changed:
                self._publish(series, parts | drafts.made)
            self._sweep(series)
        return changed

    def verify(self, series: SeriesId) -> list[str]:
        """Read every file and say what is wrong, a line each: checksums, order, equal rows, times off the grid."""
        problems = []
        for part in self.parts(series).values():
            try:
                found = self._read(series, part)
            except (DamagedFile, FileNotFoundError) as problem:
                problems.append(str(problem))
                continue
            if len(found) != part.rows or (len(found) > 1 and (np.diff(found.starts) <= 0).any()):
                problems.append(f"{part.file}: its rows are not those of the manifest, or not in order")
            if (found.starts % min(series.seconds, DAY)).any():
                problems.append(f"{part.file}: a candle does not start on a multiple of its length")
        return problems

    def gaps(self, series: SeriesId, *, longer_than: timedelta) -> list[tuple[datetime, datetime]]:
        """Return the times without candles, within and between files, that no weekend explains."""
        found: list[tuple[datetime, datetime]] = []
        before: int | None = None
        for part in self.parts(series).values():
            starts = self._read(series, part).starts
            edges = starts if before is None else np.concatenate([[before], starts])
            wide = np.flatnonzero(np.diff(edges) > longer_than.total_seconds())
            found += [(_time(edges[n]), _time(edges[n + 1])) for n in wide]
            before = int(starts[-1]) if len(starts) else before
        return [gap for gap in found if not _is_weekend(*gap)]

    def _read(self, series: SeriesId, part: Part) -> Candles:
        return read_candles(self.folder / series.folder / part.file)

    def _publish(self, series: SeriesId, parts: Mapping[str, Part]) -> None:
        folder = self.folder / series.folder
        ordered = [asdict(parts[period]) for period in sorted(parts)]
        draft = folder / f"{MANIFEST}.draft"
        draft.write_text(json.dumps({**asdict(series), "parts": ordered}), encoding="utf-8")
        os.replace(draft, folder / MANIFEST)

    def _sweep(self, series: SeriesId) -> None:
        """Remove files that no manifest names: of before, and of an import that was broken off."""
        folder = self.folder / series.folder
        named = {part.file for part in self.parts(series).values()}
        for path in folder.glob("*.candles"):
            if path.name not in named:
                path.unlink(missing_ok=True)


class _Drafts:
    """Files that were written for an import that is not published yet; a period that changes again is replaced."""

    def __init__(self, series: SeriesId, folder: Path) -> None:
        self.made: dict[str, Part] = {}
        self._folder = folder
        self._number = 0

    def write(self, period: str, candles: Candles) -> None:
        self._number += 1
        draft = self._folder / f"{period}.{self._number}.draft-candles"
        digest = write_candles(draft, candles)
        # Named by content: a file that a manifest names is never written again
        name = f"{period}-{digest[:16]}.candles"
        os.replace(draft, self._folder / name)
        starts = candles.starts
        self.made[period] = Part(period, name, len(candles), int(starts[0]), int(starts[-1]), digest)


def _by_period(candles: Candles, seconds: int) -> Iterator[tuple[str, Candles]]:
    if not len(candles):
        return
    unit = "datetime64[M]" if seconds >= MONTHLY_FROM_SECONDS else "datetime64[D]"
    periods = candles.starts.astype("datetime64[s]").astype(unit)
    edges = [0, *(np.flatnonzero(periods[1:] != periods[:-1]) + 1).tolist(), len(candles)]
    for begin, end in pairwise(edges):
        yield str(periods[begin]), candles.part(slice(begin, end))


def _differences(known: Candles, whole: Candles) -> int:
    """Count the rows of `whole` that are not in `known` as they are."""
    if len(known) == 0:
        return len(whole)
    known = known.at_digits(whole.digits)
    place = np.searchsorted(known.starts, whole.starts)
    same = place < len(known)
    inside = np.minimum(place, len(known) - 1)
    for old, new in zip(known.columns(), whole.columns(), strict=True):
        same &= old[inside] == new
    return int((~same).sum())


def _time(epoch: int) -> datetime:
    return datetime.fromtimestamp(int(epoch), UTC)


def _is_weekend(since: datetime, until: datetime) -> bool:
    """Tell whether a gap is a market's weekend: from Friday evening at most to Monday morning."""
    return since.weekday() in (4, 5) and until - since <= timedelta(hours=76) and until.weekday() in (6, 0)
