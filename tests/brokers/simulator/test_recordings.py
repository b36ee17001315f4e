"""Bars of other sources: every format's clock and numbers, what is refused and why, and prices that follow the bars."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.recordings import HistoryError, Recording, keep, load, read_history
from tests.realdata import GBPUSD_BID, needs_real_data

FORMATS = {
    "metatrader5": """
        <DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>
        2012.02.01\t02:00:00\t1.57608\t1.57610\t1.57585\t1.57586\t64\t0\t12
        2012.02.01\t02:01:00\t1.57585\t1.57591\t1.57552\t1.57553\t70\t0\t12
        2012.02.01\t02:02:00\t1.57552\t1.57560\t1.57550\t1.57551\t70\t0\t12
    """,
    "histdata-ascii": """
        20120131 190000;1.57608;1.57610;1.57585;1.57586;0
        20120131 190100;1.57585;1.57591;1.57552;1.57553;0
        20120131 190200;1.57552;1.57560;1.57550;1.57551;0
    """,
    "histdata-metatrader": """
        2012.01.31,19:00,1.57608,1.57610,1.57585,1.57586,0
        2012.01.31,19:01,1.57585,1.57591,1.57552,1.57553,0
        2012.01.31,19:02,1.57552,1.57560,1.57550,1.57551,0
    """,
    "dukascopy": """
        Gmt time,Open,High,Low,Close,Volume
        01.02.2012 00:00:00.000,1.57608,1.57610,1.57585,1.57586,120.5
        01.02.2012 00:01:00.000,1.57585,1.57591,1.57552,1.57553,98.1
        01.02.2012 00:02:00.000,1.57552,1.57560,1.57550,1.57551,98.1
    """,
    "plain": """
        timestamp,open,high,low,close
        2012-02-01 00:00:00+00:00,1.57608,1.57610,1.57585,1.57586
        2012-02-01T00:01:00Z,1.57585,1.57591,1.57552,1.57553
        2012-02-01 00:02:00,1.57552,1.57560,1.57550,1.57551
    """,
}


def written(folder: Path, text: str, name: str = "GBPUSD.csv") -> Path:
    path = folder / name
    path.write_text(dedent(text).strip() + "\n", "utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_all_formats_say_the_same_bars_at_the_same_times(tmp_path: Path, name: str, packed: bool) -> None:
    path = written(tmp_path, FORMATS[name])
    if packed:
        path = tmp_path / "GBPUSD.csv.gz"
        path.write_bytes(gzip.compress(dedent(FORMATS[name]).strip().encode()))
    found = read_history(path)
    assert datetime.fromtimestamp(int(found.starts[0]), UTC) == datetime(2012, 2, 1, tzinfo=UTC)
    assert (found.seconds, found.digits, len(found.bars)) == (60, 5, 3)
    assert found.bars[1].tolist() == [1.57585, 1.57591, 1.57552, 1.57553]


def test_what_is_kept_is_what_was_read(tmp_path: Path) -> None:
    found = read_history(written(tmp_path, FORMATS["plain"]))
    keep(found, tmp_path / "kept.npz")
    again = load(str(tmp_path / "kept.npz"))
    assert np.allclose(again.bars, found.bars, atol=1e-9)
    assert (again.starts == found.starts).all()
    assert (again.seconds, again.digits) == (60, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b,c\n1,2,3", "line 1: unknown format"),
        ("time,open,high,low\n2012-02-01,1,2,1", "line 1: unknown format"),
        ("time,open,high,low,close\n2012-02-01,1,2,x,1.5", "line 2: '2012-02-01,1,2,x,1.5' is no bar"),
        ("time,open,high,low,close\nyesterday,1,2,1,1", "line 2"),
        ("time,open,high,low,close\n2012-02-01,1,2", "line 2"),
        ("time,open,high,low,close\n2012-02-01,1,0.9,0.8,1", "contradict each other"),
        ("time,open,high,low,close\n2012-02-01,nan,nan,nan,nan", "contradict each other"),
        ("time,open,high,low,close\n2012-02-01,-1,1,-2,1", "contradict each other"),
        ("time,open,high,low,close\n2012-02-02,1,1,1,1\n2012-02-01,1,1,1,1", "line 3: its time is not after"),
        ("time,open,high,low,close\n2012-02-02,1,1,1,1", "two bars are needed"),
    ],
)
def test_unsound_files_are_refused_with_line_and_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "GBPUSD.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(HistoryError, match=r"GBPUSD\.csv") as refused:
        read_history(path)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x1f\x8b broken"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("x.csv", "x.csv.gz", "missing.csv"):
        if name != "missing.csv":
            (tmp_path / name).write_bytes(content)
        with pytest.raises(HistoryError):
            read_history(tmp_path / name)


def test_a_start_is_found_by_time(tmp_path: Path) -> None:
    found = read_history(written(tmp_path, FORMATS["plain"]))
    assert found.index_at(datetime(2012, 2, 1, 0, 1, tzinfo=UTC)) == 1
    with pytest.raises(HistoryError, match="ends at 2012-02-01 00:02"):
        found.index_at(datetime(2013, 1, 1, tzinfo=UTC))
    with pytest.raises(HistoryError, match="no times"):
        Recording(found.bars, np.empty(0, np.int64), 60, 5).index_at(datetime(2012, 2, 1, tzinfo=UTC))


def test_ticks_stay_within_each_bar_but_for_the_noise(tmp_path: Path) -> None:
    keep(read_history(written(tmp_path, FORMATS["plain"])), tmp_path / "kept.npz")
    anchor = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    feed = Feed(FeedSpec.recorded(str(tmp_path / "kept.npz"), anchor=anchor, first_bar=1), "GBPUSD", 1e-5)
    at = anchor.timestamp()
    ticks = feed.between(at - 1, at + 59.9)
    assert abs(ticks.ask[0] - 1.57585) < 4e-5
    assert ticks.ask.max() <= 1.57591 + 4e-5
    assert ticks.ask.min() >= 1.57552 - 4e-5
    assert len(ticks) == 150


@needs_real_data
def test_a_month_of_real_minutes_is_read() -> None:
    found = read_history(GBPUSD_BID)
    assert (len(found.bars), found.seconds, found.digits) == (30_117, 60, 5)
    assert timedelta(seconds=int(found.starts[-1] - found.starts[0])) > timedelta(days=28)
