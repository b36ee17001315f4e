"""What proposed limits would have done to recorded equity."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AccountSnapshot
from marketdata.candlefile import Candles
from marketdata.candlestore import CandleStore, SeriesId
from marketdata.selectors import tick_store
from marketdata.tickstore import Seen
from orders.models import Deal
from risk.domain.peak import Reading
from risk.domain.pricepath import (
    Stretch,
    Trade,
    floating_lows,
    floating_seen,
    least_by_minute,
    minutes_held,
    realized_by,
    stretches,
)
from risk.domain.readings import Tier
from risk.domain.settings import GuardSettings
from risk.domain.whatif import Recorded, what_if
from risk.replaying import recorded
from tests.risk.test_scenarios import ONE_LOT, configure, pay
from tests.world import World

START = datetime(2026, 3, 3, tzinfo=UTC)


def records(*bases: float, flows: dict[int, float] | None = None, hours: float = 1.0) -> list[Recorded]:
    return [
        Recorded(Reading(at, base, True, (flows or {}).get(n, 0.0)), at.date())
        for n, base in enumerate(bases)
        for at in [START + timedelta(hours=hours * n)]
    ]


OFF = {"daily_warn": None, "daily_reduce": None}


def test_it_says_when_limits_would_have_fired_and_what_closing_would_have_saved() -> None:
    settings = GuardSettings(**OFF)
    found = what_if(settings, records(1000, 1000, 880, 840, 790, 600, 700))
    assert [(f.tier, f.equity) for f in found] == [(Tier.WARN, 880), (Tier.REDUCE, 840), (Tier.CLOSE, 790)]
    assert (found[-1].lowest, found[-1].last, found[-1].saved) == (600, 700, 90)
    assert (
        what_if(GuardSettings(**OFF, drawdown_warn=None, drawdown_reduce=None, drawdown_close=50.0), records(1000, 600))
        == ()
    )


def test_a_recovery_means_that_closing_would_have_cost() -> None:
    found = what_if(GuardSettings(**OFF), records(1000, 780, 1100))
    assert found[-1].saved == -320


def test_payments_neither_fire_nor_count_as_saved() -> None:
    assert what_if(GuardSettings(**OFF), records(1000, 500, flows={1: -500.0})) == ()
    found = what_if(GuardSettings(**OFF), records(1000, 780, 1780, flows={2: 1000.0}))
    assert found[-1].saved == 0


def test_each_day_begins_anew() -> None:
    settings = GuardSettings(drawdown_warn=None, drawdown_reduce=None, drawdown_close=None, daily_warn=3.0)
    found = what_if(settings, records(1000, 960, 960, 920, 880, hours=8.0))
    assert [(f.guard, f.at.day) for f in found] == [("daily", 3), ("daily", 4)]


def test_a_fall_between_two_readings_fires_and_raises_no_peak() -> None:
    before, after = records(1000, 1000)
    dip = [(before.reading.at + timedelta(minutes=n), base) for n, base in ((10, 5000.0), (20, 780.0), (30, 700.0))]
    found = what_if(GuardSettings(**OFF), [before, replace(after, lows=tuple(dip)), *records(1000, 1000, 990)[2:]])
    assert [(f.tier, f.at, f.equity) for f in found] == [(Tier.CLOSE, dip[1][0], 780.0)]
    assert (found[0].lowest, found[0].last, found[0].saved) == (700.0, 990.0, -210.0)


def test_positions_are_followed_through_the_ledger() -> None:
    trades = [
        Trade(0, 1, "EURUSD", 1.0, 1.10, 0.0, 0.0),
        Trade(600, 1, "EURUSD", -0.4, 1.11, 400.0, 396.0),
        Trade(1200, 1, "EURUSD", -0.6, 1.09, -600.0, -606.0),
        Trade(1200, 2, "USDJPY", -0.5, 150.0, 0.0, 0.0),
    ]
    held, worth = stretches(trades, 1800)
    assert [(s.symbol, s.signed_lots, s.price, s.since, s.until) for s in held] == [
        ("EURUSD", 1.0, 1.10, 0, 600), ("EURUSD", 0.6, 1.10, 600, 1200), ("USDJPY", -0.5, 150.0, 1200, 1800),
    ]  # fmt: skip
    assert worth == {"EURUSD": pytest.approx(100_000)}
    assert realized_by(trades, np.array([0, 600, 1199, 1200])).tolist() == [0.0, 396.0, 396.0, -210.0]


def test_the_worst_prices_of_a_minute_count_for_what_is_held_through_it() -> None:
    buy, sell = Stretch("A", 1.0, 10.0, 30, 300), Stretch("B", -2.0, 20.0, 120, 240)
    bars = {
        "A": np.array([[60.0 * n, 9.0 - n, 11.0] for n in range(6)]),
        "B": np.array([[60.0 * n, 19.0, 21.0 + n] for n in range(6)]),
    }
    starts, lows = floating_lows([buy, sell], {"A": 10.0, "B": 1.0}, bars)
    # The minutes at 60, 120, 180 and 240 are held whole by A, those at 120 and 180 by B too
    assert dict(zip(starts.tolist(), lows.tolist(), strict=True)) == {
        60.0: -20.0, 120.0: -30.0 - 6.0, 180.0: -40.0 - 8.0, 240.0: -50.0
    }  # fmt: skip
    assert len(floating_lows([buy], {}, bars)[0]) == 0, "what a price is worth is not known"
    assert len(floating_lows([buy, sell], {"A": 10.0, "B": 1.0}, {"A": bars["A"]})[0]) == 2, "no candles of B"


def looks(*rows: tuple[float, float]) -> Seen:
    at, bid = np.array(rows, dtype=float).reshape(-1, 2).T
    return Seen(at, bid, bid + 0.5, at)


def test_ticks_are_taken_at_the_same_moments_at_bid_and_ask() -> None:
    buy, sell = Stretch("A", 1.0, 10.0, 60, 300), Stretch("B", -2.0, 20.0, 90, 150)
    seen = {"A": looks((50, 9.0), (100, 12.0), (130, 8.0)), "B": looks((50, 19.0), (100, 21.0), (130, 19.0))}
    moments, sums, whole = floating_seen([buy, sell], {"A": 10.0, "B": 1.0}, seen)
    # The dearest moment of B is the best of A: together they never were as low as each alone
    assert moments.tolist() == [100.0, 130.0]
    assert sums.tolist() == [20.0 - 3.0, -20.0 + 1.0]
    assert whole.tolist() == [True, False], "nobody looked after the last one"
    assert not floating_seen([buy, sell], {"A": 10.0}, seen)[2].any(), "what a price of B is worth is not known"
    assert floating_seen([buy], {"A": 10.0}, {})[0].size == 0


def test_a_pause_between_two_looks_leaves_their_minutes_to_the_candles() -> None:
    buy = Stretch("A", 1.0, 10.0, 0, 1000)
    seen = {"A": looks(*((30.0 * n, 9.0) for n in range(10)), *((400.0 + 30 * n, 9.0) for n in range(10)))}
    moments, sums, whole = floating_seen([buy], {"A": 1.0}, seen)
    minutes, _ = least_by_minute(moments, sums, whole)
    assert [int(at // 60) for at in minutes] == [1, 2, 3, 7, 8, 9, 10]


@given(
    values=st.lists(
        st.tuples(st.integers(0, 600), st.integers(-50, 50), st.booleans()), max_size=40, unique_by=lambda v: v[0]
    )
)
def test_of_each_whole_minute_the_least_is_told_at_its_moment(values: list[tuple[int, int, bool]]) -> None:
    rows = sorted(values)
    moments, sums = (np.array([row[n] for row in rows], dtype=float) for n in (0, 1))
    at, least = least_by_minute(moments, sums, np.array([row[2] for row in rows], dtype=bool))
    expected = {}
    for minute in {second // 60 for second, _, _ in rows}:
        inside = [row for row in rows if row[0] // 60 == minute]
        if all(whole for _, _, whole in inside):
            expected[minute] = min(inside, key=lambda row: (row[1], row[0]))[:2]
    assert list(zip(at.tolist(), least.tolist(), strict=True)) == [expected[minute] for minute in sorted(expected)]


def test_minutes_in_which_something_was_held_are_counted_once() -> None:
    found = [Stretch("A", 1.0, 1.0, 30, 90), Stretch("B", 1.0, 1.0, 60, 120), Stretch("A", 1.0, 1.0, 299, 301)]
    assert minutes_held(found, 0, 600) == 4
    assert minutes_held(found, 60, 300) == 2
    assert minutes_held([], 0, 600) == minutes_held(found, 600, 600) == 0


def test_what_was_recorded_of_an_account_is_replayed(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    world.move(+20, run=8)
    world.move(-60, run=60)
    pay(world, -1_000)
    world.run(60)
    assert AccountSnapshot.objects.count() > 3
    replayed = recorded(world.account.pk, since=world.clock.now() - timedelta(days=1), zone="ny+7").records
    assert replayed[0].lows == ()
    settings = GuardSettings(**OFF, drawdown_warn=4.0, drawdown_reduce=None, drawdown_close=None)
    (fired,) = what_if(settings, replayed)
    assert fired.figure == pytest.approx(5.8, abs=0.3)
    assert fired.saved == pytest.approx(0, abs=15)


def test_recorded_prices_show_a_dip_that_no_snapshot_saw(world: World, settings: Any) -> None:
    """A buy of one lot is held for an hour; the candles in between fall by 300 pips and come back."""
    account, at = world.account, START
    epoch = int(at.timestamp())
    AccountSnapshot.objects.create(
        account=account, at=at, balance=10_000, equity=10_000, margin=0, margin_level=0, positions=0,
        total_open_volume=0,
    )  # fmt: skip
    for n, (kind, entry, price, profit, minutes) in enumerate(
        (("buy", "in", "1.10000", 0, 1), ("sell", "out", "1.10100", 100, 58))
    ):
        Deal.objects.create(
            account=account, ticket=n + 1, position_id=7, symbol="EURUSD", kind=kind, entry=entry, reason="expert",
            volume="1", price=price, profit=profit, swap=0, commission=0, fee=0, at=at + timedelta(minutes=minutes),
        )  # fmt: skip
    AccountSnapshot.objects.create(
        account=account, at=at + timedelta(hours=1), balance=10_100, equity=10_100, margin=0, margin_level=0,
        positions=0, total_open_volume=0,
    )  # fmt: skip
    starts = np.array([epoch + 60 * n for n in range(60)])
    middle = np.where((starts >= epoch + 1800) & (starts < epoch + 1860), 107_000, 110_000)
    CandleStore(settings.VAR_DIR / "candles").add(
        SeriesId("Sim-Server", "EURUSD", 60),
        [Candles(starts, middle + 20, middle + 40, middle, middle + 10, np.ones(60, dtype=int), 5)],
    )
    replayed = recorded(account.pk, since=at - timedelta(minutes=1), zone="")
    # In the minutes of the entry and of the exit it was not held throughout, and no tick was recorded
    assert (replayed.by_ticks, replayed.by_candles, replayed.unknown) == (0, 57, 0)
    limits = GuardSettings(**OFF, drawdown_warn=10.0)
    (closed,) = what_if(limits, replayed.records)
    assert (closed.tier, closed.equity, closed.at) == (Tier.CLOSE, 7_000.0, at + timedelta(minutes=31))
    assert (closed.lowest, closed.last, closed.saved) == (10_000.0, 10_100.0, -3_100.0)


def test_recorded_ticks_tell_the_dip_at_its_moment_and_candles_only_the_rest(world: World, settings: Any) -> None:
    """A buy of one lot; the ticks of its first half hour fall by 200 pips for a second, a candle later by 300."""
    account, at = world.account, START
    epoch = int(at.timestamp())
    for minutes, equity in ((0, 10_000), (60, 10_100)):
        AccountSnapshot.objects.create(
            account=account, at=at + timedelta(minutes=minutes), balance=equity, equity=equity, margin=0,
            margin_level=0, positions=0, total_open_volume=0,
        )  # fmt: skip
    for n, (kind, entry, price, profit, minutes) in enumerate(
        (("buy", "in", "1.10000", 0, 1), ("sell", "out", "1.10100", 100, 58))
    ):
        Deal.objects.create(
            account=account, ticket=n + 1, position_id=7, symbol="EURUSD", kind=kind, entry=entry, reason="expert",
            volume="1", price=price, profit=profit, swap=0, commission=0, fee=0, at=at + timedelta(minutes=minutes),
        )  # fmt: skip
    seconds = epoch + np.arange(0.0, 1800.0, 20.0)
    bids = np.where(seconds == epoch + 900, 1.08, 1.1)
    rows = np.array([seconds, bids, bids + 0.0001, seconds]).T
    tick_store(account.pk).append("EURUSD", rows)
    starts = np.array([epoch + 60 * n for n in range(60)])
    # In the ticks' half hour a candle knows worse, which the ticks refute
    low = np.where((starts == epoch + 900) | (starts == epoch + 2400), 107_000, 110_000)
    CandleStore(settings.VAR_DIR / "candles").add(
        SeriesId("Sim-Server", "EURUSD", 60), [Candles(starts, low, low, low, low, np.ones(60, dtype=int), 5)]
    )
    replayed = recorded(account.pk, since=at - timedelta(minutes=1), zone="")
    assert (replayed.by_ticks, replayed.by_candles, replayed.unknown) == (28, 29, 0)
    lows = {when: low for record in replayed.records for when, low in record.lows}
    assert lows[at + timedelta(minutes=15)] == pytest.approx(8_000)
    assert lows[at + timedelta(minutes=41)] == pytest.approx(7_000)
    assert min(lows.values()) == pytest.approx(7_000)
    (first,) = what_if(
        GuardSettings(**OFF, drawdown_warn=None, drawdown_reduce=None, drawdown_close=15.0), replayed.records[:2]
    )
    assert first.at == at + timedelta(minutes=15)
