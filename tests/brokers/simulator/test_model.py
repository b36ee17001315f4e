"""The price model: the same ticks whatever is asked for and wherever, and a market that looks like one."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import pytest

from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.datareads import MONTH, bars, openings
from brokers.simulator.exchange import Exchange
from brokers.simulator.feed import Feed, FeedSpec, TickPrices
from brokers.simulator.memory import MemoryState
from brokers.simulator.scan import Ticks
from core.clock import VirtualClock

# A Tuesday in winter: the server's day began at 22:00 UTC
START = datetime(2026, 3, 3, 0, 0, tzinfo=UTC)
FRIDAY = datetime(2026, 3, 6, 18, 0, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0


def feed(seed: int = 3, start: datetime = START) -> Feed:
    return Feed(FeedSpec.model(anchor=start, seed=seed), "EURUSD", 1e-5)


def digest(ticks: Ticks) -> str:
    points = np.rint(np.stack([ticks.at * 1000, ticks.bid * 1e5, ticks.ask * 1e5])).astype("<i8")
    return sha256(points.tobytes()).hexdigest()[:16]


def test_one_seed_gives_these_ticks_on_every_machine() -> None:
    at = START.timestamp()
    assert digest(feed().between(at, at + DAY)) == "13904fdc2e2b0cb5"
    assert digest(feed(4).between(at, at + DAY)) != "13904fdc2e2b0cb5"


def test_a_tick_is_the_same_in_whatever_piece_it_is_read() -> None:
    at = FRIDAY.timestamp()
    whole = feed(start=FRIDAY).between(at - 4 * HOUR, at + 2.4 * DAY, history=True)
    for first, last in ((at + 100, at + 200), (at + DAY, at + 2.3 * DAY), (at - 3 * HOUR, at - HOUR)):
        part = feed(start=FRIDAY).between(first, last, history=True)
        chosen = (whole.at > first) & (whole.at <= last)
        assert len(part) > 0
        assert part.bid.tolist() == whole.bid[chosen].tolist()
        assert part.ask.tolist() == whole.ask[chosen].tolist()
    number = len(whole) // 2
    assert feed(start=FRIDAY).latest(float(whole.at[number])) == (
        whole.at[number],
        whole.bid[number],
        whole.ask[number],
    )


def test_weekends_are_closed_and_open_with_a_gap() -> None:
    at = FRIDAY.timestamp()
    ticks = feed(start=FRIDAY).between(at, at + 2.3 * DAY)
    pauses = np.flatnonzero(np.diff(ticks.at) > HOUR)
    assert len(pauses) == 1
    closed, opened = (datetime.fromtimestamp(float(ticks.at[i]), UTC) for i in (pauses[0], pauses[0] + 1))
    # Friday and Sunday at 17:00 in New York, which begins summer time on that Sunday
    assert (closed + timedelta(seconds=1)).strftime("%a %H:%M") == "Fri 22:00"
    assert opened.strftime("%a %H:%M") == "Sun 21:00"
    moves = np.abs(np.diff(ticks.bid))
    assert moves[pauses[0]] > 10 * np.median(moves[moves > 0])
    fed = feed(start=FRIDAY)
    assert fed.latest(closed.timestamp() + DAY) == fed.latest(closed.timestamp() + 1)


def test_busy_hours_move_more_and_spreads_widen_at_night() -> None:
    at = START.timestamp()
    moved: dict[int, list[float]] = {}
    spreads: dict[int, list[float]] = {}
    for seed in range(5):
        ticks = feed(seed).between(at, at + DAY)
        hours = ((ticks.at - at) // HOUR).astype(int) % 24
        for hour in (1, 14, 21, 22):
            chosen = hours == hour
            moved.setdefault(hour, []).append(float(np.diff(ticks.bid[chosen]).std()))
            spreads.setdefault(hour, []).append(float(np.median((ticks.ask - ticks.bid)[chosen])))
    assert np.mean(moved[14]) > 1.4 * np.mean(moved[1])
    assert np.mean(spreads[22]) > 2 * np.mean(spreads[14])


def test_volatility_has_regimes_and_news() -> None:
    at = START.timestamp()
    blocks, widest = [], 0.0
    for seed in range(6):
        ticks = feed(seed).between(at, at + DAY)
        steps = np.diff(ticks.bid[::150])
        blocks += [float(part.std()) for part in np.array_split(steps, 12)]
        widest = max(widest, float((ticks.ask - ticks.bid).max()))
    assert max(blocks) > 4 * min(blocks)
    assert widest > 0.00045
    assert len(set(np.round(blocks, 7))) > 50


@pytest.mark.parametrize("start", [datetime(2026, 3, 7, 12, 0, tzinfo=UTC), datetime(2026, 3, 8, 3, 0, tzinfo=UTC)])
def test_a_market_that_begins_on_a_weekend_is_open(start: datetime) -> None:
    at = start.timestamp()
    assert len(feed(start=start).between(at, at + HOUR)) == 9000
    assert feed(start=start).latest(at) is not None


def test_months_are_those_of_the_calendar() -> None:
    days = [datetime(2024, 1, 15, 12, tzinfo=UTC) + timedelta(days=n) for n in range(0, 100, 3)]
    at = np.array([d.timestamp() for d in days])
    price = 1.0 + np.arange(len(at)) / 100
    prices = {"EURUSD": TickPrices(Ticks.of(at, price, price + 0.01, 5))}
    spec, setup = AccountSpec(1, "pw", "Sim", server_clock="utc"), SymbolSetup("EURUSD")
    clock = VirtualClock(days[-1])
    state = MemoryState.opened(spec, [setup], FeedSpec.script({}, anchor=START), at=at[0])
    exchange = Exchange(state, clock, feeds=prices)
    found = bars(exchange, "EURUSD", MONTH, at[0] - 31 * DAY, at[-1])
    opened = [datetime.fromtimestamp(int(t), UTC).date().isoformat() for t in found["time"]]
    assert opened == ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
    assert found["tick_volume"].sum() == len(at)
    first = [d.month == 2 for d in days].index(True)
    assert found["open"][1] == price[first]
    assert found["high"][1] == found["close"][1] == price[sum(d.month <= 2 for d in days) - 1]
    assert openings(np.array([datetime(2024, 2, 29, 23, tzinfo=UTC).timestamp()]), MONTH)[0] == found["time"][1]
