"""Ticks on disk: what was seen comes back, a torn end costs the last piece only, and old days go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.domain import Quote
from brokers.simulator.scan import Floats
from core.clock import VirtualClock
from marketdata.tickstore import TickRecorder, TickStore, gaps

START = datetime(2026, 3, 3, 23, 58, tzinfo=UTC)
EVER = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))


def ticks(*seconds: float) -> Floats:
    at, n = START.timestamp() + np.array(seconds), np.arange(len(seconds))
    return np.stack([at, 1.1 + n * 1e-5, 1.1001 + n * 1e-5, at - 0.1], axis=1)


def test_what_was_written_comes_back_over_midnight_and_in_pieces(tmp_path: Path) -> None:
    store = TickStore(tmp_path, days=5)
    whole = ticks(0, 1, 2.5, 100, 200, 300)
    store.append("EURUSD.r", ticks(0, 1, 2.5, 100, 200, 300))
    found = store.between("EURUSD.r", *EVER)
    assert np.array_equal(np.stack([found.at, found.bid, found.ask, found.quoted], axis=1), whole)
    assert len(found.ticks) == 6
    assert len(list(tmp_path.glob("*/*.ticks"))) == 2
    part = store.between("EURUSD.r", START + timedelta(seconds=1), START + timedelta(seconds=200))
    assert len(part) == 3
    assert len(store.between("GBPUSD", *EVER)) == 0


def test_a_torn_end_costs_the_last_piece_and_is_written_over(tmp_path: Path) -> None:
    store = TickStore(tmp_path, days=5)
    store.append("EURUSD", ticks(0, 1))
    store.append("EURUSD", ticks(2, 3))
    (path,) = tmp_path.glob("*/*.ticks")
    whole = path.read_bytes()
    for cut in (1, 20, len(whole) // 2 - 1):
        path.write_bytes(whole[:-cut])
        kept = len(store.between("EURUSD", *EVER))
        assert kept in (0, 2)
        store.append("EURUSD", ticks(4, 5))
        assert list(store.between("EURUSD", *EVER).at[kept:] - START.timestamp()) == [4, 5]
    damaged = bytearray(whole)
    damaged[-3] ^= 1
    path.write_bytes(bytes(damaged))
    assert len(store.between("EURUSD", *EVER)) == 2


def test_times_come_back_in_order_though_the_clock_was_set_back(tmp_path: Path) -> None:
    store = TickStore(tmp_path, days=5)
    store.append("EURUSD", ticks(20, 30))
    store.append("EURUSD", ticks(5, 25))
    assert list(store.between("EURUSD", *EVER).at - START.timestamp()) == [5, 20, 25, 30]


def test_days_beyond_the_kept_ones_are_removed(tmp_path: Path) -> None:
    store = TickStore(tmp_path, days=2)
    for day in range(6):
        store.append("EURUSD", ticks(day * 86_400.0))
    assert sorted(path.stem for path in tmp_path.glob("*/*.ticks")) == ["2026-03-06", "2026-03-07", "2026-03-08"]


def test_a_recorder_keeps_moves_and_signs_of_life(tmp_path: Path) -> None:
    clock, store = VirtualClock(START), TickStore(tmp_path, days=5)
    recorder = TickRecorder(store, clock)
    for n in range(400):
        number = n // 200
        bid = 1.1 + number / 10
        recorder.take(Quote("EURUSD", bid, bid + 0.0001, START + timedelta(seconds=number)))
        clock.advance(0.3)
    assert len(store.between("EURUSD", *EVER)) >= 2
    recorder.flush()
    kept = store.between("EURUSD", *EVER)
    assert (np.diff(kept.at) <= 30.5).all()
    assert len(kept) >= 4
    assert list(kept.ticks.bid) == [1.1, 1.2000000000000002]
    assert list(kept.ticks.at - START.timestamp()) == pytest.approx([0.0, 60.0])


def test_a_disk_that_refuses_costs_the_recording_only(tmp_path: Path) -> None:
    (tmp_path / "EURUSD").write_text("in the way")
    clock = VirtualClock(START)
    recorder = TickRecorder(TickStore(tmp_path, days=5), clock)
    recorder.take(Quote("EURUSD", 1.1, 1.2, clock.now()))
    recorder.flush()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 5_000), max_size=40))
def test_gaps_are_the_times_without_ticks(times: list[float]) -> None:
    at = np.array(sorted(times))
    found = gaps(at, 0.0, 5_000.0)
    assert all(b - a > 90 for a, b in found)
    assert not any(a < t < b for a, b in found for t in times)
    quiet = sum(b - a for a, b in found)
    assert 5_000 - quiet <= 90 * (len(times) + 1) + 1e-6
