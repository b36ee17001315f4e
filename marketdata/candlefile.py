"""One file of candles: columns of equal candles on disk, with a checksum, written whole or not at all.

A header line of JSON (rows, digits, SHA-256 of what follows), then the columns one after the other as deltas,
compressed with zlib. Prices are whole points, so that what comes out is what went in.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
COLUMNS = ("starts", "open", "high", "low", "close", "volume")
MAGIC = "candles 1"
LEVEL = 1


class DamagedFile(ValueError):
    """A file's content is not what its checksum says; the text names it and the fix."""


@dataclass(frozen=True, slots=True)
class Candles:
    """Equal candles in columns: epoch seconds of their start in UTC, prices in points of 10^-digits, tick volume."""

    starts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    digits: int

    def __len__(self) -> int:
        return len(self.starts)

    def columns(self) -> tuple[Ints, ...]:
        """Return the columns in their order on disk."""
        return tuple(getattr(self, name) for name in COLUMNS)

    def at_digits(self, digits: int) -> "Candles":
        """Return the same candles in finer points. Raises ValueError for coarser ones, which would lose digits."""
        if digits < self.digits:
            raise ValueError(f"digits: {digits} are fewer than the {self.digits} that the candles have")
        factor = 10 ** (digits - self.digits)
        prices = [column * factor for column in (self.open, self.high, self.low, self.close)]
        return Candles.of([self.starts, *prices, self.volume], digits)

    def part(self, chosen: "slice | NDArray[np.bool_] | Ints") -> "Candles":
        """Return some of the candles."""
        return Candles.of([column[chosen] for column in self.columns()], self.digits)

    @classmethod
    def of(cls, columns: Sequence[Ints], digits: int) -> "Candles":
        """Return candles of the six columns in their order."""
        starts, o, high, low, close, volume = columns
        return cls(starts, o, high, low, close, volume, digits)

    @classmethod
    def none(cls, digits: int = 5) -> "Candles":
        """Return no candles."""
        return cls.of([np.empty(0, np.int64) for _ in COLUMNS], digits)


def merged(known: Candles, new: Candles) -> Candles:
    """Put candles together by their start, each once; where both have one, the new one counts."""
    if not len(known):
        return new
    if not len(new):
        return known
    digits = max(known.digits, new.digits)
    known, new = known.at_digits(digits), new.at_digits(digits)
    # The new ones first: of equal starts the first one is kept
    joined = [np.concatenate([b, a]) for a, b in zip(known.columns(), new.columns(), strict=True)]
    _, first = np.unique(joined[0], return_index=True)
    return Candles.of([column[first] for column in joined], digits)


def write_candles(path: Path, candles: Candles) -> str:
    """Write a file in place of an older one; return the SHA-256 of its content. Raises OSError, the old one stays."""
    deltas = [np.diff(column, prepend=0) for column in candles.columns()]
    body = zlib.compress(b"".join(delta.astype("<i8").tobytes() for delta in deltas), LEVEL)
    digest = hashlib.sha256(body).hexdigest()
    header = {"kind": MAGIC, "rows": len(candles), "digits": candles.digits, "sha256": digest}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return digest


def read_candles(path: Path) -> Candles:
    """Read a file. Raises DamagedFile, FileNotFoundError."""
    content = path.read_bytes()
    try:
        head, _, body = content.partition(b"\n")
        header = json.loads(head)
        rows, digits = int(header["rows"]), int(header["digits"])
        if header["kind"] != MAGIC or hashlib.sha256(body).hexdigest() != header["sha256"]:
            raise ValueError
        deltas = np.frombuffer(zlib.decompress(body), "<i8").reshape(len(COLUMNS), rows)
    except (ValueError, KeyError, TypeError, zlib.error):
        raise DamagedFile(f"{path} is damaged: delete its series and import it again") from None
    return Candles.of([np.cumsum(column, dtype=np.int64) for column in deltas], digits)
