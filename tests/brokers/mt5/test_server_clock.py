"""The broker's clock: proved by prices that arrive, changed by DST, and never by a weekend."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.gateway import ClockOffset
from brokers.mt5.server_clock import ServerClock

TWO, THREE = timedelta(hours=2), timedelta(hours=3)
TUESDAY = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
# New York goes to summer time on 8 March 2026, and back on 1 November
SUMMER, WINTER = datetime(2026, 3, 8, 22, 0, tzinfo=UTC), datetime(2026, 11, 1, 22, 30, tzinfo=UTC)


def live(clock: ServerClock, start: datetime, offset: timedelta, *, seconds: int = 10, symbol: str = "EURUSD") -> None:
    """Let a price arrive each second."""
    for n in range(seconds):
        now = start + timedelta(seconds=n)
        clock.measure(symbol, (now + offset).timestamp() - 0.2, now)


@pytest.mark.parametrize("hours", [-5, 0, 2, 3, 5.5, 5.75, 12])
def test_prices_that_arrive_prove_the_offset(hours: float) -> None:
    clock = ServerClock()
    live(clock, TUESDAY, timedelta(hours=hours))
    assert clock.current is not None
    assert (clock.offset, clock.current.is_confirmed) == (timedelta(hours=hours), True)


@given(age=st.integers(0, 3 * 86_400), looks=st.integers(1, 200), kept=st.booleans())
def test_a_price_that_lies_there_never_proves_anything(age: int, looks: int, kept: bool) -> None:
    """Over a weekend the last price of Friday grows older; at every quarter of an hour it looks like another offset."""
    friday = datetime(2026, 3, 6, 21, 59, 58, tzinfo=UTC)
    clock = ServerClock([ClockOffset(TWO, TUESDAY, is_confirmed=True)] if kept else [])
    for n in range(looks):
        clock.measure("EURUSD", (friday + TWO).timestamp(), friday + timedelta(seconds=age + 7 * n))
    assert clock.offset == (TWO if kept else timedelta(0)) or (age < 60 and clock.offset == TWO)
    assert clock.current is None or clock.current.is_confirmed is kept


def test_an_old_price_that_a_reconnected_terminal_shows_as_new_proves_nothing() -> None:
    clock = ServerClock([ClockOffset(TWO, TUESDAY, is_confirmed=True)])
    saturday = datetime(2026, 3, 7, 1, 0, tzinfo=UTC)
    clock.measure("EURUSD", (saturday - 4 * THREE).timestamp(), saturday)
    for n in range(60):
        clock.measure("EURUSD", (saturday + TWO - THREE).timestamp(), saturday + timedelta(seconds=n))
    assert clock.offset == TWO


def test_dst_is_a_change_and_history_keeps_the_offset_of_its_time() -> None:
    clock = ServerClock()
    live(clock, TUESDAY, TWO)
    live(clock, SUMMER, THREE)
    assert clock.current == ClockOffset(THREE, SUMMER + timedelta(seconds=1), is_confirmed=True)
    before, after = TUESDAY + timedelta(hours=1), SUMMER + timedelta(hours=1)
    assert clock.offset_at((before + TWO).timestamp()) == TWO
    assert clock.offset_at((after + THREE).timestamp()) == THREE
    assert clock.to_server(before) == int((before + TWO).timestamp())
    assert clock.to_server(after) == int((after + THREE).timestamp())
    live(clock, WINTER, TWO)
    assert clock.offset == TWO
    assert clock.offset_at((after + THREE).timestamp()) == THREE


def test_times_of_a_year_convert_as_new_york_plus_seven_hours_says() -> None:
    clock = ServerClock()
    start = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    days = [start + timedelta(days=n) for n in range(360) if (start + timedelta(days=n)).weekday() < 5]
    for day in days:
        live(clock, day, server(day) - day.replace(tzinfo=None), seconds=8)
    # The first price of a day proves nothing yet
    days = [day + timedelta(seconds=5) for day in days]
    for day in days:
        wall = server(day).replace(tzinfo=UTC).timestamp()
        assert day == datetime.fromtimestamp(wall, UTC) - clock.offset_at(wall)
        assert clock.to_server(day) == int(wall)
    changes = [
        (a, b) for a, b in pairwise(days) if clock.to_server(a) - a.timestamp() != clock.to_server(b) - b.timestamp()
    ]
    assert [b.date().isoformat() for _, b in changes] == ["2026-03-09", "2026-11-02"]


def server(at: datetime) -> datetime:
    """Return the wall clock of a server that runs seven hours ahead of New York."""
    return at.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None) + timedelta(hours=7)


def test_one_symbols_late_price_says_nothing_of_anothers() -> None:
    clock = ServerClock([ClockOffset(TWO, TUESDAY, is_confirmed=True)])
    clock.measure("GOLD", (TUESDAY + TWO - 4 * TWO).timestamp(), TUESDAY)
    for n in range(60):
        clock.measure("EURUSD", (TUESDAY + TWO - THREE).timestamp(), TUESDAY + timedelta(seconds=n))
    assert clock.offset == TWO


def test_at_a_weekend_the_first_price_that_arrives_counts_provisionally() -> None:
    saturday = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
    clock = ServerClock()
    clock.measure("BTCUSD", (saturday + TWO).timestamp() - 1, saturday)
    assert not clock.known
    clock.measure("BTCUSD", (saturday + TWO).timestamp(), saturday + timedelta(seconds=1))
    assert clock.current is not None
    assert (clock.offset, clock.current.is_confirmed) == (TWO, False)


@given(st.lists(st.integers(-8 * 86_400, 8 * 86_400), max_size=20))
def test_many_times_are_converted_as_each_alone(around: list[int]) -> None:
    """Times before, at and after a change, at once and one by one."""
    for history in (
        [],
        [ClockOffset(TWO, TUESDAY, True)],
        [ClockOffset(TWO, TUESDAY, True), ClockOffset(THREE, SUMMER, True)],
    ):
        clock = ServerClock(history)
        times = np.array([(SUMMER + THREE).timestamp() + seconds for seconds in around])
        alone = [at - clock.offset_at(at).total_seconds() for at in times.tolist()]
        assert clock.to_utc(times).tolist() == alone
