"""Import and export of candle files: streamed, so that memory stays small however long the file is."""

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from brokers.simulator.recordings.lines import HistoryError
from brokers.simulator.server_time import to_utc
from marketdata.candlefile import Candles
from marketdata.candleformat import DIGITS_MAX, PROBLEMS, Layout, check, layout_of, scan
from marketdata.candlestore import CandleStore, SeriesId

CHUNK_BYTES = 1_500_000
LINE_BYTES_MAX = 1_000
PROBLEMS_TOLD = 100
ROWS_MAX = 200_000_000
# A price that is ten times the one before is another scale, not a market
JUMP = 10
Progress = Callable[[int], object]


class BadLines(HistoryError):
    """A file has lines that can't be used; nothing of it was imported. `lines` names the first 100."""

    def __init__(self, name: str, lines: list[str], total: int) -> None:
        super().__init__(f"{name}: {total} lines can't be used, nothing was imported; the first: {lines[0]}")
        self.lines = lines


@dataclass(slots=True)
class Imported:
    """What an import found: rows read, how many of them were new or differed, the file's form, digits and span."""

    rows: int = 0
    changed: int = 0
    form: str = ""
    digits: int = 0
    first: datetime | None = None
    last: datetime | None = None
    seconds: int = 0


@dataclass(slots=True)
class _State:
    """What is carried from chunk to chunk."""

    layout: Layout | None = None
    line: int = 0
    before: int | None = None
    close: int = 0
    digits: int = 0
    bad: list[str] = field(default_factory=list)
    bad_total: int = 0
    rest: bytes = b""


def import_file(
    store: CandleStore,
    path: Path,
    *,
    source: str,
    symbol: str,
    server_clock: str = "ny+7",
    progress: Progress = lambda _: None,
) -> Imported:
    """Merge a file's candles into the store, all of them or none; `progress` gets the bytes read so far.

    The length of the candles is what most of them are apart. Times of MetaTrader's exports are in `server_clock`.
    Raises HistoryError (BadLines with line numbers), DamagedFile, OSError.
    """
    seconds = _length_of(path, server_clock)
    found = Imported(seconds=seconds)
    series = SeriesId(source, symbol, seconds)
    found.changed = store.add(series, _pieces(path, server_clock, found, progress))
    return found


def _pieces(path: Path, server_clock: str, found: Imported, progress: Progress) -> Iterator[Candles]:
    """Give the file's candles chunk by chunk. Raises BadLines at its end when a line can't be used."""
    state = _State()
    read = 0
    for chunk in _chunks(path):
        read += len(chunk)
        piece = _parse(chunk, state, path.name, server_clock)
        progress(read)
        if state.bad_total == 0 and len(piece):
            _note(found, piece, state)
            yield piece
    if state.bad:
        raise BadLines(path.name, state.bad, state.bad_total)
    if not found.rows:
        raise HistoryError(f"{path.name}: the file has no candles")


def _note(found: Imported, piece: Candles, state: _State) -> None:
    assert state.layout is not None
    found.rows += len(piece)
    if found.rows > ROWS_MAX:
        raise HistoryError(f"more than {ROWS_MAX:,} rows are too many for one file: split it")
    found.form, found.digits = state.layout.name, piece.digits
    found.first = found.first or datetime.fromtimestamp(int(piece.starts[0]), UTC)
    found.last = datetime.fromtimestamp(int(piece.starts[-1]), UTC)


def _length_of(path: Path, server_clock: str) -> int:
    """Return what most of the first candles are apart, in seconds. Raises HistoryError."""
    state = _State()
    first = next(iter(_chunks(path)), b"")
    piece = _parse(first[:CHUNK_BYTES], state, path.name, server_clock)
    if state.bad and not len(piece):
        raise BadLines(path.name, state.bad, state.bad_total)
    if len(piece) < 2:
        raise HistoryError(f"{path.name}: two candles are needed at least")
    steps, counts = np.unique(np.diff(piece.starts), return_counts=True)
    return int(steps[np.argmax(counts)])


def _chunks(path: Path) -> Iterator[bytes]:
    """Give a file's content as UTF-8 in pieces of whole lines. Raises HistoryError."""
    try:
        with _opened(path) as file:
            head = file.read(4)
            file.seek(0)
            decode = _decoder(head)
            rest = b""
            while True:
                raw = file.read(CHUNK_BYTES)
                text = decode(raw, not raw)
                content = rest + text
                cut = content.rfind(b"\n") + 1 if raw else len(content)
                rest = content[cut:]
                if len(rest) > LINE_BYTES_MAX:
                    raise HistoryError(f"{path.name}: a line is longer than {LINE_BYTES_MAX} characters")
                if b"\0" in content:
                    raise HistoryError(f"{path.name}: the file holds NUL characters, so it is no text")
                if content[:cut]:
                    yield content[:cut]
                if not raw:
                    return
    except (OSError, EOFError, zlib.error, UnicodeError) as problem:
        raise HistoryError(f"{path.name}: can't be read ({type(problem).__name__})") from None


def _opened(path: Path) -> "gzip.GzipFile | IO[bytes]":
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _decoder(head: bytes) -> Callable[[bytes, bool], bytes]:
    """Return what turns the file's bytes into UTF-8: they are UTF-16 when it begins so, and of ASCII form otherwise."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wide = codecs.getincrementaldecoder("utf-16")()
        return lambda raw, final: wide.decode(raw, final).encode()
    begun = [False]

    def plain(raw: bytes, final: bool) -> bytes:
        del final
        if not begun[0]:
            begun[0] = True
            return raw.removeprefix(codecs.BOM_UTF8)
        return raw

    return plain


def _parse(chunk: bytes, state: _State, name: str, server_clock: str) -> Candles:
    """Parse whole lines; lines that can't be used are noted in the state."""
    if state.layout is None:
        chunk = _begin(chunk, state, name)
    layout = state.layout
    assert layout is not None
    count = chunk.count(b"\n") + 1
    rows, wrong = np.zeros((count, 6), np.int64), np.zeros(count, np.int64)
    data = np.frombuffer(chunk, np.uint8)
    columns = np.array([*layout.prices, layout.volume], np.int64)
    lines, most = scan(
        data, np.array(layout.time), layout.time_column, columns, layout.separator, DIGITS_MAX, rows, wrong
    )
    rows, wrong = rows[:lines], wrong[:lines]
    state.digits = max(state.digits, int(most))
    good = wrong == 0
    rows[good, 0] = _utc(rows[good, 0], layout, server_clock)
    check(rows, wrong, state.before)
    _tell(chunk, wrong, state, name)
    state.line += lines
    kept = rows[wrong == 0]
    if len(kept):
        _refuse_jumps(kept, state, name)
        state.before, state.close = int(kept[-1, 0]), int(kept[-1, 4])
    coarse = 10 ** (DIGITS_MAX - state.digits)
    prices = [kept[:, n] // coarse for n in (1, 2, 3, 4)]
    return Candles.of([kept[:, 0].copy(), *prices, kept[:, 5] // 10**DIGITS_MAX], state.digits)


def _begin(chunk: bytes, state: _State, name: str) -> bytes:
    """Tell the layout from the first lines, and take the header off."""
    texts = [line.decode("utf-8", "replace").strip(" \r") for line in chunk.split(b"\n", 2)[:2]]
    if not texts or not texts[0]:
        raise HistoryError(f"{name}: the file is empty, or begins with an empty line")
    state.layout = layout_of(texts[0], texts[1] if len(texts) > 1 else "", name)
    state.line = state.layout.header_lines
    return chunk.partition(b"\n")[2] if state.layout.header_lines else chunk


def _utc(starts: "np.ndarray[Any, np.dtype[np.int64]]", layout: Layout, clock: str) -> Any:
    """Turn the file's times into UTC: MetaTrader's by the server's clock, hour by hour."""
    if not layout.server_clock:
        return starts + layout.behind_seconds
    hours, inverse = np.unique(starts // 3600, return_inverse=True)
    offsets = np.array([round(to_utc(clock, float(hour * 3600))) - int(hour) * 3600 for hour in hours], np.int64)
    return starts + offsets[inverse] if len(hours) else starts


def _tell(chunk: bytes, wrong: Any, state: _State, name: str) -> None:
    found = np.flatnonzero(wrong > 0)
    state.bad_total += len(found)
    if not len(found) or len(state.bad) >= PROBLEMS_TOLD:
        return
    lines = chunk.split(b"\n")
    for n in found[: PROBLEMS_TOLD - len(state.bad)]:
        text = re.sub(r"[^ -~]", "?", lines[n].decode("ascii", "replace"))[:60]
        state.bad.append(f"{name}: line {state.line + int(n) + 1}: {PROBLEMS[int(wrong[n])]}: {text}")


def _refuse_jumps(kept: Any, state: _State, name: str) -> None:
    closes = np.concatenate([[state.close or kept[0, 1]], kept[:-1, 4]])
    jumped = (kept[:, 1] > closes * JUMP) | (kept[:, 1] * JUMP < closes)
    if jumped.any():
        at = datetime.fromtimestamp(int(kept[np.flatnonzero(jumped)[0], 0]), UTC)
        raise HistoryError(f"{name}: at {at:%Y-%m-%d %H:%M} the price jumps by more than {JUMP} times: another scale?")


def export_csv(store: CandleStore, series: SeriesId, out: IO[str], *, since: datetime, until: datetime) -> int:
    """Write candles as CSV that `import_file` reads again; return how many."""
    out.write("time,open,high,low,close,volume\n")
    rows = 0
    for piece in store.between(series, since, until):
        scale = 10**piece.digits
        for start, o, h, low, close, volume in zip(*(column.tolist() for column in piece.columns()), strict=True):
            at = datetime.fromtimestamp(start, UTC)
            prices = ",".join(f"{value / scale:.{piece.digits}f}" for value in (o, h, low, close))
            out.write(f"{at:%Y-%m-%dT%H:%M:%SZ},{prices},{volume}\n")
        rows += len(piece)
    return rows
