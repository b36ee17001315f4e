"""Ticks of other sources: every format's clock, sides and numbers, what is refused and why, and their replay."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from brokers.simulator.feed import Feed, FeedSpec
from brokers.simulator.recordings import (
    HistoryError,
    expand,
    has_ticks,
    keep_ticks,
    load_ticks,
    paired,
    read_history,
    read_ticks,
)
from tests.realdata import GBPUSD_ASK, GBPUSD_BID, needs_real_data

FORMATS = {
    "metatrader5": """
        <DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>
        2012.02.01\t02:00:03.660\t1.57608\t1.57620\t\t\t6
        2012.02.01\t02:00:04.100\t1.57609\t\t\t\t2
        2012.02.01\t02:00:04.100\t\t1.57622\t\t\t4
    """,
    "histdata": """
        20120131 190003660,1.57608,1.57620,0
        20120131 190004100,1.57609,1.57620,0
        20120131 190004100,1.57609,1.57622,0
    """,
    "dukascopy": """
        Gmt time,Ask,Bid,AskVolume,BidVolume
        01.02.2012 00:00:03.660,1.57620,1.57608,1.5,0.75
        01.02.2012 00:00:04.100,1.57620,1.57609,1.5,0.75
        01.02.2012 00:00:04.100,1.57622,1.57609,1.5,0.75
    """,
    "plain": """
        timestamp,bid,ask
        2012-02-01 00:00:03.660+00:00,1.57608,1.57620
        2012-02-01T00:00:04.100Z,1.57609,1.57620
        2012-02-01 00:00:04.100,1.57609,1.57622
    """,
}
BARS = "time,open,high,low,close\n2012-02-01 00:00,1.1,1.4,1.0,1.2\n2012-02-01 00:01,1.2,1.3,1.05,1.1\n"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_all_formats_say_the_same_ticks_at_the_same_times(tmp_path: Path, name: str, packed: bool) -> None:
    text = (dedent(FORMATS[name]).strip() + "\n").encode()
    path = tmp_path / ("GBPUSD.csv.gz" if packed else "GBPUSD.csv")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert has_ticks(path)
    found = read_ticks(path)
    start = datetime(2012, 2, 1, tzinfo=UTC).timestamp()
    assert found.ticks.at.tolist() == pytest.approx([start + 3.66, start + 4.1, start + 4.1], abs=1e-4)
    assert found.ticks.bid.tolist() == [1.57608, 1.57609, 1.57609]
    assert found.ticks.ask.tolist() == [1.57620, 1.57620, 1.57622]
    assert found.digits == 5


def test_ticks_before_both_sides_are_known_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    lines = ["<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>"]
    lines += [f"2012.02.01\t02:00:0{n}.000\t1.5\t{ask}\t\t" for n, ask in enumerate(("", "1.6", ""))]
    path.write_text("\n".join(lines), "utf-8")
    assert read_ticks(path).ticks.ask.tolist() == [1.6, 1.6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,c\n1,2,3", "line 1: unknown format"),
        ("time,bid,ask\n2012-02-01,1,x", "line 2: '2012-02-01,1,x' is no tick"),
        ("time,bid,ask\n2012-02-01,1", "line 2"),
        ("time,bid,ask\nyesterday,1,2", "line 2"),
        ("time,bid,ask\n2012-02-01,2,1", "line 2: bid 2 and ask 1 are no prices"),
        ("time,bid,ask\n2012-02-01,-1,1", "are no prices"),
        ("time,bid,ask\n2012-02-01,1,inf", "are no prices"),
        ("time,bid,ask\n2012-02-02,1,2\n2012-02-01,1,2", "line 3: its time is before"),
        ("time,bid,ask\n2012-02-02,1,2", "two ticks"),
    ],
)
def test_unsound_files_are_refused_with_line_and_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "GBPUSD.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(HistoryError, match=r"GBPUSD\.csv") as refused:
        read_ticks(path)
    assert said in str(refused.value)


def test_ticks_are_replayed_at_their_own_times_or_faster(tmp_path: Path) -> None:
    path = tmp_path / "GBPUSD.csv"
    path.write_text(dedent(FORMATS["plain"]).strip(), "utf-8")
    found = read_ticks(path)
    keep_ticks(found, tmp_path / "kept.npz")
    again = load_ticks(str(tmp_path / "kept.npz"))
    assert again.ticks.bid.tolist() == found.ticks.bid.tolist()
    assert again.digits == 5
    anchor = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    feed = Feed(FeedSpec.ticks(str(tmp_path / "kept.npz"), anchor=anchor, speed=2.0), "GBPUSD", 1e-5)
    at = anchor.timestamp()
    assert (feed.between(at - 1, at + 10).at - at).tolist() == pytest.approx([0.0, 0.22, 0.22], abs=1e-6)
    assert feed.latest(at - 0.1) is None
    assert (feed.latest(at + 1e6) or ())[1:] == (1.57609, 1.57622)
    later = Feed(FeedSpec.ticks(str(tmp_path / "kept.npz"), anchor=anchor, first_tick=1), "GBPUSD", 1e-5)
    assert len(later.between(at - 10, at + 10)) == 2
    assert len(later.between(at - 10, at + 10, history=True)) == 3
    with pytest.raises(HistoryError, match="ends at"):
        found.index_at(anchor)


def test_bars_become_four_ticks_by_a_stated_path(tmp_path: Path) -> None:
    path = tmp_path / "GBPUSD.csv"
    path.write_text(BARS, "utf-8")
    bars = read_history(path)
    assert not has_ticks(path)
    ticks = expand(bars, None, spread=0.01)
    assert ticks.bid.tolist() == [1.1, 1.0, 1.4, 1.2, 1.2, 1.3, 1.05, 1.1]
    assert np.allclose(ticks.ask - ticks.bid, 0.01)
    assert (ticks.at - bars.starts[0]).tolist() == pytest.approx([0, 20, 40, 59.999, 60, 80, 100, 119.999])


@needs_real_data
def test_bid_and_ask_bars_of_a_real_month_are_paired() -> None:
    bid, ask = paired(read_history(GBPUSD_ASK), read_history(GBPUSD_BID))
    assert bid.starts.tolist() == ask.starts.tolist()
    ticks = expand(bid, ask, spread=0.0)
    assert len(ticks) == 4 * len(bid.starts) > 100_000
    assert (ticks.ask >= ticks.bid).all()
    assert 0.5e-4 < float((ticks.ask - ticks.bid).mean()) < 5e-4
    assert timedelta(seconds=float(ticks.at[-1] - ticks.at[0])) > timedelta(days=28)


def test_files_of_two_markets_are_no_pair(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text(BARS, "utf-8")
    other.write_text(BARS.replace("2012", "2013"), "utf-8")
    with pytest.raises(HistoryError, match="no times in common"):
        paired(read_history(one), read_history(other))
