"""Candles on disk: what goes in comes out, once, whole, and in order."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from brokers.simulator.recordings.bars import read_history
from brokers.simulator.recordings.lines import HistoryError
from marketdata import candleimport
from marketdata.candlefile import Candles, DamagedFile, merged, read_candles, write_candles
from marketdata.candleimport import BadLines, import_file
from marketdata.candlestore import CandleStore, SeriesId

START = datetime(2026, 3, 2, tzinfo=UTC)
SERIES = SeriesId("files", "EURUSD", 60)
EVER = {"since": datetime(1971, 1, 1, tzinfo=UTC), "until": datetime(2099, 1, 1, tzinfo=UTC)}


def candles(minutes: "list[int] | range", *, shift: int = 0, digits: int = 5) -> Candles:
    """Make candles of a minute; `shift` moves their prices."""
    at = np.array(minutes, np.int64)
    base = 110_000 + at % 500 + shift
    starts = int(START.timestamp()) + at * 60
    return Candles(starts, base, base + 9, base - 9, base + 3, at % 7, digits)


def everything(store: CandleStore, series: SeriesId = SERIES) -> Candles:
    found = Candles.none()
    for piece in store.between(series, **EVER):
        found = merged(found, piece)
    return found


def same(one: Candles, other: Candles) -> bool:
    digits = max(one.digits, other.digits)
    pairs = zip(one.at_digits(digits).columns(), other.at_digits(digits).columns(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@given(st.sets(st.integers(0, 200_000), max_size=50), st.sets(st.integers(0, 200_000), max_size=50))
def test_merging_keeps_each_start_once_and_the_newer_candle(known: set[int], new: set[int]) -> None:
    old, fresh = candles(sorted(known)), candles(sorted(new), shift=1000)
    found = merged(old, fresh)
    assert found.starts.tolist() == sorted({*old.starts.tolist(), *fresh.starts.tolist()})
    for start, price in zip(found.starts.tolist(), found.open.tolist(), strict=True):
        assert (price >= 111_000) == (start in set(fresh.starts.tolist()))
    assert same(merged(found, fresh), found)


def test_a_file_gives_back_what_was_written_and_tells_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.candles"
    write_candles(path, candles(range(5000)))
    assert same(read_candles(path), candles(range(5000)))
    content = bytearray(path.read_bytes())
    for place in (5, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"a\.candles is damaged"):
            read_candles(path)
    path.write_bytes(content[:-100])
    with pytest.raises(DamagedFile):
        read_candles(path)


@pytest.mark.requirement("S2-55", "S2-50")
def test_a_store_survives_a_restart_and_gives_the_newest(tmp_path: Path) -> None:
    assert CandleStore(tmp_path).add(SERIES, [candles(range(60_000))]) == 60_000
    store = CandleStore(tmp_path)
    assert len(store.parts(SERIES)) == 2, "a file a month"
    assert same(everything(store), candles(range(60_000)))
    assert same(store.last(SERIES, 500), candles(range(59_500, 60_000)))
    assert len(store.last(SERIES, 10**9)) == 60_000
    assert store.verify(SERIES) == []
    assert list(store.series()) == [SERIES]


def test_the_same_again_changes_nothing_and_an_overlap_adds_what_is_new(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    store.add(SERIES, [candles(range(100))])
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.candles")}
    assert store.add(SERIES, [candles(range(100))]) == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.candles")}.keys() == before.keys()
    assert store.add(SERIES, [candles(range(90, 130))]) == 30
    assert store.add(SERIES, [candles([5], shift=1)]) == 1
    assert len(everything(store)) == 130
    assert len(list(tmp_path.rglob("*.candles"))) == 1, "files that no manifest names are gone"


def test_what_breaks_off_leaves_everything_as_it_was(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    store.add(SERIES, [candles(range(100))])

    def pieces() -> Any:
        yield candles(range(100, 200))
        raise HistoryError("the second half can't be read")

    with pytest.raises(HistoryError):
        store.add(SERIES, pieces())
    assert same(everything(store), candles(range(100)))
    assert store.verify(SERIES) == []


def test_finer_prices_refine_the_older_ones(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    store.add(SERIES, [candles(range(10), digits=4)])
    store.add(SERIES, [candles(range(10, 20), digits=5)])
    found = everything(store)
    assert (found.digits, len(found)) == (5, 20)
    assert found.open[0] == candles([0]).open[0] * 10


def test_a_weekend_is_no_gap(tmp_path: Path) -> None:
    friday = int((datetime(2026, 3, 6, 22, tzinfo=UTC) - START).total_seconds()) // 60
    sunday = int((datetime(2026, 3, 8, 22, tzinfo=UTC) - START).total_seconds()) // 60
    tuesday = int((datetime(2026, 3, 10, 12, tzinfo=UTC) - START).total_seconds()) // 60
    store = CandleStore(tmp_path)
    store.add(SERIES, [candles([*range(friday - 50, friday), *range(sunday, sunday + 50), tuesday])])
    (gap,) = store.gaps(SERIES, longer_than=timedelta(hours=1))
    assert gap[1] == datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "é", "x" * 90, ""])
def test_no_name_leaves_the_store(tmp_path: Path, name: str) -> None:
    try:
        folder = SeriesId("files", name, 60).folder
    except ValueError:
        return
    assert (tmp_path / folder).resolve().is_relative_to(tmp_path / "files")


# Files

BARS = [(0, "1.10000", "1.10050", "1.09990", "1.10020"), (60, "1.10020", "1.10030", "1.10000", "1.10010"),
        (120, "1.10010", "1.10012", "1.09950", "1.09960")]  # fmt: skip
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def text_of(form: str) -> str:
    lines = {
        "mt5": ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"],
        "dukascopy": ["Gmt time,Open,High,Low,Close,Volume"], "iso": ["time,open,high,low,close"],
        "semicolon": ["Time;Open;High;Low;Close"],
    }.get(form, [])  # fmt: skip
    for seconds, *prices in BARS:
        at = AT + timedelta(seconds=seconds)
        server, eastern = at + timedelta(hours=2), at - timedelta(hours=5)
        lines.append(
            {
                "mt5": f"{server:%Y.%m.%d\t%H:%M:%S}\t" + "\t".join(prices) + "\t77\t0\t1",
                "histdata": f"{eastern:%Y%m%d %H%M%S};" + ";".join(prices) + ";0",
                "histdata-mt": f"{eastern:%Y.%m.%d,%H:%M}," + ",".join(prices) + ",0",
                "dukascopy": f"{at:%d.%m.%Y %H:%M:%S}.000," + ",".join(prices) + ",123.45",
                "iso": f"{at:%Y-%m-%dT%H:%M:%S}Z," + ",".join(prices),
                "semicolon": f'"{at:%Y-%m-%d %H:%M:%S}";' + ";".join(p.replace(".", ",") for p in prices),
            }[form]
        )
    return "\n".join(lines) + "\n"


FORMS = ["mt5", "histdata", "histdata-mt", "dukascopy", "iso", "semicolon"]


def taken(tmp_path: Path, content: "str | bytes", name: str = "file.csv") -> tuple[CandleStore, Any]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    store = CandleStore(tmp_path / "store")
    return store, import_file(store, path, source="files", symbol="EURUSD")


@pytest.mark.requirement("S2-47", "S2-48")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_alike(tmp_path: Path, form: str) -> None:
    store, found = taken(tmp_path, text_of(form))
    assert (found.rows, found.changed, found.seconds, found.digits, found.first) == (3, 3, 60, 5, AT)
    read = everything(store)
    assert (read.starts - int(AT.timestamp())).tolist() == [0, 60, 120]
    for column, n in ((read.open, 1), (read.high, 2), (read.low, 3), (read.close, 4)):
        assert column.tolist() == [round(float(bar[n]) * 10**5) for bar in BARS]
    assert read.volume.tolist() == [{"mt5": 77, "dukascopy": 123}.get(form, 0)] * 3


@pytest.mark.parametrize("form", [form for form in FORMS if form != "semicolon"])
def test_the_simulator_s_reader_agrees(tmp_path: Path, form: str) -> None:
    store, _ = taken(tmp_path, text_of(form))
    other = read_history(tmp_path / "file.csv")
    read = everything(store)
    assert read.starts.tolist() == other.starts.tolist()
    assert np.allclose(read.close / 10**read.digits, other.bars[:, 3])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "gzip", "crlf", "no end"])
def test_files_come_in_many_wrappings(tmp_path: Path, encoding: str) -> None:
    text = text_of("iso")
    match encoding:
        case "gzip":
            store, _ = taken(tmp_path, gzip.compress(text.encode()), "file.csv.gz")
        case "crlf":
            store, _ = taken(tmp_path, text.replace("\n", "\r\n"))
        case "no end":
            store, _ = taken(tmp_path, text.rstrip())
        case "utf-16-be":
            store, _ = taken(tmp_path, b"\xfe\xff" + text.encode("utf-16-be"))
        case _:
            store, _ = taken(tmp_path, text.encode(encoding))
    assert len(everything(store)) == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("1.10050", "1.00000"), "line 2: open, high, low and close contradict"),
        (("1.10030", "0"), "line 3: a price is zero"),
        (("1.10030", "-1.1"), "line 3: a price is zero"),
        (("1.10030", "NaN"), "line 3: a price or volume can't be read"),
        (("1.10030", "1e5"), "line 3: a price or volume can't be read"),
        (("1.10030", ""), "line 3: a price or volume can't be read"),
        (("10:01:00", "10:00:00"), "line 3: its time is not after"),
        (("10:01:00", "09:00:00"), "line 3: its time is not after"),
        (("10:01:00", "25:01:00"), "line 3: its time can't be read"),
        (("2026-03-02T10:01", "1970-03-02T10:01"), "line 3: its year"),
        (("2026-03-02T10:01", "2100-03-02T10:01"), "line 3: its year"),
        (("1.10020,1.10030,1.10000,1.10010", "1.10020,1.10030"), "line 3: it has too few columns"),
    ],
)
def test_bad_lines_are_named_and_nothing_is_imported(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = text_of("iso")
    assert change[0] in text
    with pytest.raises(BadLines, match=says):
        taken(tmp_path, text.replace(*change, 1))
    assert list(CandleStore(tmp_path / "store").series()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"hello\nworld\n", "unknown format"),
        (b"time,open,high,low\n", "unknown format"),
        (b"time,open,high,low,close\n", "write times as"),
        (b"time,open,high,low,close\n29/03/2026 10:00,1,1,1,1\n", "write times as"),
        (b"time,open,high,low,close\n2026-03-29T10:00:00+02:00,1,1,1,1\n", "write times as"),
        (b"time,open,high,low,close\n2026-03-29T10:00:00Z,1,1,1,1\n", "two candles"),
        (text_of("iso").encode().replace(b"Z", b"Z\0", 1), "NUL"),
        (b"x" * 5000, "longer than"),
        (text_of("iso").replace("1.09960", "110960.0").replace("1.10010,1.10012,1.09950", "110010.0,110970.0,109950.0")
         .encode(), "another scale"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        taken(tmp_path, content)
    assert list(CandleStore(tmp_path / "store").series()) == []


def test_the_first_hundred_problems_are_told(tmp_path: Path) -> None:
    text = text_of("iso") + "rubbish\n" * 250
    with pytest.raises(BadLines, match="250 lines") as problem:
        taken(tmp_path, text)
    assert len(problem.value.lines) == 100
    assert "line 5:" in problem.value.lines[0]


def test_chunks_join_where_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candleimport, "CHUNK_BYTES", 300)
    lines = ["time,open,high,low,close,volume"]
    for n in range(500):
        at = AT + timedelta(minutes=n)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%S}Z,1.1{n:04d},1.2{n:04d},1.0{n:04d},1.1{n:04d},{n}")
    store, found = taken(tmp_path, "\n".join(lines))
    assert found.rows == 500
    assert everything(store).volume.tolist() == list(range(500))
    bad = [*lines, lines[-1]]
    with pytest.raises(BadLines, match="line 502: its time is not after"):
        taken(tmp_path, "\n".join(bad), "other.csv")


def test_server_time_follows_summer_time(tmp_path: Path) -> None:
    head = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    rows = [f"2026.{month}.02\t12:{minute:02d}:00\t1\t1\t1\t1\t1\t0\t1" for month in ("03", "07") for minute in (0, 1)]
    store, _ = taken(tmp_path, head + "\n".join(rows))
    hours = [datetime.fromtimestamp(start, UTC).hour for start in everything(store).starts.tolist()]
    assert hours == [10, 10, 9, 9], "New York plus seven: UTC+2 in winter, UTC+3 in summer"


# The command line


@pytest.mark.requirement("S2-46")
def test_the_command_imports_exports_verifies_and_lists(tmp_path: Path, settings: Any, capsys: Any) -> None:
    settings.VAR_DIR = tmp_path / "var"
    call_command("history", "status")
    assert "No candles yet" in capsys.readouterr().out
    file, out = tmp_path / "a.csv", tmp_path / "out.csv"
    file.write_text(text_of("mt5"))
    call_command("history", "import", str(file), "--symbol", "EURUSD", "--json")
    (told,) = json.loads(capsys.readouterr().out)["files"]
    assert (told["rows"], told["changed"], told["form"]) == (3, 3, "MetaTrader 5")
    call_command("history", "export", "--symbol", "EURUSD", "--output", str(out))
    capsys.readouterr()
    call_command("history", "import", str(out), "--symbol", "EURUSD", "--json")
    assert json.loads(capsys.readouterr().out)["files"][0]["changed"] == 0
    call_command("history", "verify", "--json")
    assert json.loads(capsys.readouterr().out) == {"series": 1, "problems": []}
    (path,) = (tmp_path / "var").rglob("*.candles")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SystemExit) as ended:
        call_command("history", "verify")
    assert ended.value.code == 2
    for line in ("import gone.csv --symbol X", "export --symbol GBPUSD", "export --symbol EURUSD --from 1.1.2026"):
        with pytest.raises(CommandError):
            call_command("history", *line.split())
    with pytest.raises(CommandError, match="--symbol"):
        call_command("history", "import", str(file), "--symbol", "a b")
