"""The ticks that an account's session saw: one file a symbol and UTC day, columns in pieces that are only appended.

A piece is a header (rows, bytes, CRC-32) and the columns seen, bid, ask, quoted of 64-bit floats, compressed with zlib:
when the session saw a price, and when the broker quoted it. A row with the quote of the row before says only that
somebody looked. A piece that was cut off by a crash ends the file: what follows it is written over. Days older than the
store keeps are removed.
"""

import logging
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brokers.domain import Quote
from brokers.simulator.scan import Floats, Ticks
from core.clock import Clock
from marketdata.candlestore import safe_name

log = logging.getLogger("trading.marketdata")

HEAD = struct.Struct("<4sIII")
MAGIC = b"tk1\n"
COLUMNS = 4
ROWS_MAX = 1_000_000
# A quote that stays is written again so often, so that a pause of the session can be told from a quiet market
SIGN_OF_LIFE_SECONDS = 30.0
# Longer times without a tick are gaps: nobody looked
GAP_SECONDS = 90.0
FLUSH_SECONDS, FLUSH_ROWS = 60.0, 5_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a session saw of one symbol, in UTC epoch seconds."""

    at: Floats
    bid: Floats
    ask: Floats
    quoted: Floats

    def __len__(self) -> int:
        return len(self.at)

    @property
    def ticks(self) -> Ticks:
        """Each quote once, at the time at which it was seen first."""
        is_new = np.diff(self.quoted, prepend=np.nan) != 0
        return Ticks(self.at[is_new], self.bid[is_new], self.ask[is_new])


class TickStore:
    """The ticks of one account below one folder. One process writes, any may read."""

    def __init__(self, folder: Path, *, days: int) -> None:
        """`days` are kept besides the newest one."""
        self.folder = folder
        self._days = days

    def append(self, symbol: str, rows: Floats) -> None:
        """Add rows of seen, bid, ask, quoted, ascending and none before those that are stored. Raises OSError."""
        days = np.floor(rows[:, 0] / 86_400).astype(np.int64)
        for day in np.unique(days):
            path = self._path(symbol, _date(int(day)))
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._remove_old(symbol, _date(int(day)))
            _append(path, rows[days == day])

    def between(self, symbol: str, begin: datetime, end: datetime) -> Seen:
        """Return what was seen from `begin` on and before `end`, oldest first; days that were removed have nothing."""
        first, last = begin.timestamp(), end.timestamp()
        pieces, day = [], begin.astimezone(UTC).date()
        while day <= end.astimezone(UTC).date():
            pieces += list(_read(self._path(symbol, day)))
            day += timedelta(days=1)
        rows = np.concatenate(pieces, axis=1) if pieces else np.empty((COLUMNS, 0))
        chosen = rows[:, (rows[0] >= first) & (rows[0] < last)]
        # A clock that was set back wrote earlier times behind later ones
        chosen = chosen[:, np.argsort(chosen[0], kind="stable")]
        return Seen(*(np.ascontiguousarray(column) for column in chosen))

    def _path(self, symbol: str, day: date) -> Path:
        return self.folder / safe_name(symbol) / f"{day.isoformat()}.ticks"

    def _remove_old(self, symbol: str, newest: date) -> None:
        oldest = (newest - timedelta(days=self._days)).isoformat()
        for path in (self.folder / safe_name(symbol)).glob("*.ticks"):
            if path.stem < oldest:
                path.unlink(missing_ok=True)


def gaps(at: Floats, begin: float, end: float) -> list[tuple[float, float]]:
    """Return when nobody looked, from … to: the times of more than 90 s without a tick, edges included."""
    edges = np.concatenate([[begin], at[(at >= begin) & (at <= end)], [end]])
    wide = np.flatnonzero(np.diff(edges) > GAP_SECONDS)
    return [(float(edges[n]), float(edges[n + 1])) for n in wide]


class TickRecorder:
    """Collects what a session sees, and writes it every minute. A full disk costs the recording, never the session."""

    def __init__(self, store: TickStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rows: dict[str, list[tuple[float, float, float, float]]] = {}
        self._last: dict[str, tuple[float, float, float, float]] = {}
        self._flushed_at = clock.ticks()

    def take(self, quote: Quote) -> None:
        """Keep a quote at the time at which it was seen: a new one, or a sign of life each half minute."""
        at = self._clock.now().timestamp()
        row, last = (at, quote.bid, quote.ask, quote.at.timestamp()), self._last.get(quote.symbol)
        if last is not None and (at <= last[0] or (last[1:] == row[1:] and at - last[0] < SIGN_OF_LIFE_SECONDS)):
            return
        self._last[quote.symbol] = row
        rows = self._rows.setdefault(quote.symbol, [])
        rows.append(row)
        if len(rows) >= FLUSH_ROWS or self._clock.ticks() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        self._flushed_at = self._clock.ticks()
        collected, self._rows = self._rows, {}
        for symbol, rows in collected.items():
            try:
                self._store.append(symbol, np.array(rows))
            except OSError as problem:
                log.warning("ticks of %s are not recorded: %s", symbol, problem)


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)


def _append(path: Path, rows: Floats) -> None:
    body = zlib.compress(rows.T.astype("<f8").tobytes())
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(_whole_until(file))
        file.write(HEAD.pack(MAGIC, len(rows), len(body), zlib.crc32(body)) + body)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _whole_until(file: BinaryIO) -> int:
    """Return where the whole pieces of a file end."""
    return max((end for _, end in _pieces(file)), default=0)


def _pieces(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Give the bodies of whole pieces, each with where it ends."""
    while len(head := file.read(HEAD.size)) == HEAD.size:
        magic, rows, size, checksum = HEAD.unpack(head)
        body = file.read(size) if magic == MAGIC and 0 < rows <= ROWS_MAX else b""
        if len(body) != size or zlib.crc32(body) != checksum:
            return
        yield body, file.tell()


def _read(path: Path) -> Iterator[Floats]:
    try:
        with path.open("rb") as file:
            for body, _ in _pieces(file):
                yield np.frombuffer(zlib.decompress(body), "<f8").reshape(COLUMNS, -1)
    except FileNotFoundError:
        return
