"""Guards in a backtest: what they forbid and close is what they do live, and jumping misses none of it."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from backtesting.domain import Plan, Result
from backtesting.history import History
from backtesting.replay import Replay
from backtesting.report import guards_said, plain
from brokers.simulator.account import AccountSpec, SymbolSetup
from brokers.simulator.scan import Ticks
from risk.domain.calendar import NewsItem
from risk.domain.peak import Peak, Reading, advance
from risk.domain.settings import GuardSettings
from tests.backtesting.markets import START, history, plan, traded
from tests.backtesting.test_replay import PLANS

ONE_LOT: dict[str, Any] = {
    "lot_size": 1.0, "distance": 5000.0, "target_profit": 1e6, "direction": "buy", "max_cycles": 1,
    "entry_cooldown": 0.0,
}  # fmt: skip
SPREAD = 1e-4


def told(result: Result) -> list[tuple[str, str, str, int]]:
    return [(step.guard, step.level, step.phase, step.tier) for step in result.guards]


def path(*pips: float, seconds: float = 1.0, start: datetime = START) -> History:
    """Prices that stand for a second each, as pips from 1.1."""
    at = start.timestamp() + np.arange(len(pips)) * seconds
    bid = 1.1 + np.array(pips) * 1e-4
    return History.of({"EURUSD": Ticks.of(at, bid, bid + SPREAD, 5)})


def limits(**values: Any) -> GuardSettings:
    """Nothing is limited but what is named."""
    tiers = {f"{g}_{t}": None for g in ("drawdown", "daily", "margin") for t in ("warn", "reduce", "close")}
    return GuardSettings.model_validate({**tiers, "worst_case": False} | values)


def drawn(seed: int) -> GuardSettings:
    """Limits so close that random markets meet them, all kinds of them over the seeds."""
    noise = np.random.default_rng(seed)

    def tiers(name: str, scale: float) -> dict[str, float | None]:
        reduce, close = sorted(noise.uniform(0.1, scale, 2).round(2).tolist())
        chosen = int(noise.integers(0, 4))
        return {f"{name}_warn": None, f"{name}_reduce": reduce if chosen & 1 else None,
                f"{name}_close": close if chosen & 2 else None}  # fmt: skip

    values: dict[str, Any] = {}
    for name, scale in (("drawdown", 1.2), ("daily", 1.0), ("portfolio", 2.0), ("bot", 1.0), ("cycle", 0.6),
                        ("position", 0.4)):  # fmt: skip
        values |= tiers(name, scale)
    if noise.integers(0, 2):
        values |= {"margin_close": float(noise.integers(150, 600)), "margin_reduce": 800.0}
    values |= {
        "countdown_seconds": int(noise.integers(0, 30)), "peak_readings": int(noise.integers(1, 5)),
        "daily_base": ["equity", "balance"][int(noise.integers(0, 2))],
        "spread_floor": float(noise.uniform(0.5, 2.5)), "spread_multiple": float(noise.uniform(1.1, 2.0)),
        "spread_close": bool(noise.integers(0, 2)), "gap_close": float(noise.uniform(0.02, 0.2)),
        "orders_per_minute": int(noise.integers(1, 6)), "max_currency_leverage": float(noise.uniform(1.0, 40.0)),
    }  # fmt: skip
    if noise.integers(0, 3) == 0:
        values |= {"session_start": "11:20", "session_end": "12:45"}
    return limits(**values)


SEEDS = int(os.environ.get("GUARDED_MARKETS", "96"))


def guarded(seed: int) -> tuple[Plan, History]:
    """One market with limits of its own; half of them have several ticks a second, and half a small account."""
    names = sorted(PLANS)
    prices = history(seed, 160) if seed % 8 < 4 else history(seed, 260, seconds=0.6, pips=0.6)
    news = (NewsItem(START + timedelta(minutes=65), "USD", "high", "rates"),)
    balance = 1_000.0 if seed // 32 % 2 else 10_000.0
    one = plan(limits=drawn(seed), balance=balance, **PLANS[names[seed // 4 % len(names)]])
    return replace(one, news=news), prices


def steps_of(result: Result) -> list[Any]:
    return [(s.at, s.guard, s.subject, s.phase, s.tier) for s in result.guards]


@pytest.mark.parametrize("part", range(4))
def test_jumping_comes_to_the_same_as_every_tick_whatever_guards_close(part: int) -> None:
    for seed in range(part, SEEDS, 4):
        asked, prices = guarded(seed)
        jumping, every = (Replay(asked, prices, every_tick=e).run() for e in (False, True))
        assert steps_of(jumping) == steps_of(every), seed
        assert traded(jumping) == traded(every), seed
        assert (jumping.balance, jumping.equity) == (every.balance, every.equity), seed
        assert jumping.looked <= every.looked


def test_in_these_markets_every_guard_that_a_backtest_has_finds_something() -> None:
    met = {f"{s.guard} {s.phase}" for seed in range(96) for s in Replay(*guarded(seed)).run().guards}
    assert met >= {
        "drawdown closed", "daily_loss closed", "loss closing", "portfolio standing", "margin closing", "gap closing",
        "spread closing", "spread standing", "order_rate standing", "news standing", "session standing",
    }  # fmt: skip


def run(limits: GuardSettings, prices: History, **values: Any) -> Result:
    return Replay(plan(limits=limits, **ONE_LOT | values), prices).run()


def test_a_drawdown_counts_down_ten_seconds_closes_at_the_brokers_price_and_stays_closed() -> None:
    # One lot loses 10 a pip; a fall of 100 pips is ten percent
    prices = path(*[0.0] * 5, *[-105.0] * 9, -120.0, -121.0, *[-90.0] * 50)
    found = run(limits(drawdown_close=10.0, drawdown_reduce=5.0), prices)
    begin = START.timestamp()
    assert [(s.guard, s.phase, s.at - begin) for s in found.guards] == [
        ("drawdown", "countdown", 5.0), ("drawdown", "closing", 15.0), ("drawdown", "closed", 16.0),
    ]  # fmt: skip
    (cycle,) = found.cycles
    (leg,) = cycle.legs
    assert (cycle.reason, leg.state) == ("guard drawdown", "closed")
    # The bid when the countdown was over
    assert leg.closed_at - begin == 15.0
    assert leg.price_close == pytest.approx(1.1 - 0.0121)
    assert found.balance == found.equity == pytest.approx(10_000 - 1210 - 10 - 7)


def test_a_margin_level_that_the_price_alone_brings_down_is_seen_when_it_is_reached() -> None:
    # A lot at a leverage of 100 takes 1,100 of 10,000; the level is below 700 % from 230 pips on
    prices = path(*[0.0] * 5, *np.arange(-10.0, -400.0, -10.0), *[0.0] * 50)
    asked = plan(limits=limits(margin_close=700.0), **ONE_LOT)
    jumping, every = (Replay(asked, prices, every_tick=each).run() for each in (False, True))
    assert steps_of(jumping) == steps_of(every)
    assert told(jumping)[0][:3] == ("margin", "account", "closing")
    (leg,) = jumping.legs
    assert 1.1 - 0.0240 <= leg.price_close <= 1.1 - 0.0220


def test_without_a_person_who_re_arms_nothing_is_entered_any_more() -> None:
    prices = path(*[0.0] * 5, *[-30.0] * 5, *[0.0] * 120)
    values = {"target_profit": 5.0, "lot_size": 1.0}
    entered = run(limits(), prices, **values)
    closed = run(limits(drawdown_close=2.0, countdown_seconds=0), prices, **values)
    assert entered.cycles[0].reason != "guard drawdown"
    assert [c.reason for c in closed.cycles] == ["guard drawdown"]
    assert closed.guards[-1].phase == "closed"


def test_exits_only_holds_entries_back_until_it_has_been_calm() -> None:
    # A level each 20 pips; the third would come while only exits are allowed, and comes after ten calm seconds
    prices = path(*[0.0] * 3, *[-25.0] * 3, *[-43.0] * 3, *[-50.0] * 20, *[-24.0] * 30, *[-45.0] * 5)
    values = {"distance": 20.0, "lot_size": 1.0, "max_levels": 8}
    free, held = run(limits(), prices, **values), run(limits(drawdown_reduce=6.0), prices, **values)
    begin = START.timestamp()
    assert [leg.opened_at - begin for leg in free.legs] == [0.0, 3.0, 9.0]
    assert [leg.opened_at - begin for leg in held.legs] == [0.0, 3.0, 59.0]
    assert [(s.phase, s.at - begin) for s in held.guards][:2] == [("standing", 6.0), ("ended", 39.0)]


def test_the_largest_risk_is_closed_first_and_hedges_in_turns() -> None:
    strategies = {
        "direction": "both",
        "distance": 10.0,
        "lot_mode": "add",
        "lot_size": 0.5,
        "max_levels": 4,
        "max_cycles": 3,
    }
    prices = path(*[0.0] * 3, *[-12.0] * 3, *[-24.0] * 3, *[-36.0] * 30)
    asked = limits(drawdown_close=4.0, countdown_seconds=0)
    replay = Replay(plan(limits=asked, **ONE_LOT | strategies), prices)
    found = replay.run()
    assert found.guards[-1].phase == "closed"
    exits = [d for d in replay.state.ledger if d.entry == 1]
    opened = {g.ticket: (g.side, g.volume) for g in found.legs}
    net = sum(v if s == "buy" else -v for s, v in opened.values())
    left = [abs(net)]
    for deal in exits:
        side, volume = opened[deal.position_id]
        net -= volume if side == "buy" else -volume
        left.append(abs(net))
    assert len(exits) == len(opened) >= 3
    # Each close takes exposure away for as long as one can
    assert left[1] == min(abs(left[0] - v) for s, v in opened.values() if s == "buy")
    assert left[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_loss_of_the_day_is_of_the_brokers_day() -> None:
    # The server's midnight is at 22:00 UTC; 30 pips are lost before it and 30 after
    start = datetime(2026, 3, 3, 21, 59, tzinfo=UTC)
    prices = path(*[0.0] * 10, *[-30.0] * 60, *[-60.0] * 60, *[-95.0] * 20, start=start)
    asked = limits(daily_close=5.0)
    found = run(asked, prices)
    assert [(s.guard, s.phase, s.at - start.timestamp()) for s in found.guards] == [
        ("daily_loss", "countdown", 130.0), ("daily_loss", "closing", 140.0), ("daily_loss", "closed", 141.0),
    ]  # fmt: skip
    assert "(9686.50" in found.guards[0].text


def test_a_gap_and_a_wide_spread_close_the_symbol_and_let_it_go_on_afterwards() -> None:
    prices = path(*[0.0] * 70, *[-30.0] * 130, seconds=1.0)
    asked = limits(gap_close=0.2)
    # The gap opens with the minute
    at = prices.stream.at
    begin = START.timestamp()
    moved = Ticks.of(at, np.where(at >= begin + 60, 1.097, 1.1), np.where(at >= begin + 60, 1.0971, 1.1001), 5)
    found = run(asked, History.of({"EURUSD": moved}))
    # Judged when the gapped minute's candle has closed, over with the next one
    assert [(s.phase, s.at - begin) for s in found.guards] == [("closing", 120.0), ("ended", 180.0)]
    assert [c.reason for c in found.cycles] == ["guard gap", ""]
    assert found.cycles[1].opened_at - begin == 180.0

    spread = np.where((at >= begin + 100) & (at < begin + 130), 6e-4, 1e-4)
    wide = Ticks.of(at, np.full(len(at), 1.1), 1.1 + spread, 5)
    asked = limits(spread_close=True)
    found = run(asked, History.of({"EURUSD": wide}))
    assert [(s.guard, s.phase, s.at - begin) for s in found.guards] == [
        ("spread", "closing", 100.0), ("spread", "ended", 130.0),
    ]  # fmt: skip
    assert [c.reason for c in found.cycles] == ["guard spread", ""]


def test_what_the_broker_refuses_is_asked_for_again() -> None:
    """The market closes within the countdown: the close is refused until it opens again."""
    # Friday, 21:59:50 UTC on the server's clock is 23:59:50; trading ends with its day
    start = datetime(2026, 3, 3, 21, 59, 40, tzinfo=UTC)
    setup = SymbolSetup("EURUSD", sessions="Tue 00:00-24:00, Wed 00:01-24:00")
    prices = path(*[0.0] * 5, *[-110.0] * 120, start=start)
    asked = limits(drawdown_close=10.0, countdown_seconds=20)
    one = Plan("cycle-trader", ONE_LOT, AccountSpec(1, "pw", "Sim"), (setup,), limits=asked)
    found = Replay(one, prices).run()
    assert [s.phase for s in found.guards if s.guard == "drawdown"] == ["countdown", "closing", "closed"]
    assert "errors" in {s.guard for s in found.guards}, "so many refusals open the circuit"
    (leg,) = found.legs
    # It is asked again at most five seconds apart
    opens = datetime(2026, 3, 3, 22, 1, tzinfo=UTC).timestamp()
    assert opens <= leg.closed_at <= opens + 6


def test_news_sessions_rates_and_failures_hold_entries_back() -> None:
    prices, begin = path(*[0.0] * 120), START.timestamp()
    item = NewsItem(START + timedelta(seconds=30), "USD", "high", "rates")
    found = Replay(replace(plan(limits=limits(news_before=0, news_after=1), **ONE_LOT), news=(item,)), prices).run()
    assert [(s.guard, s.phase, s.at - begin) for s in found.guards] == [
        ("news", "standing", 30.0), ("news", "ended", 90.0),
    ]  # fmt: skip
    # 9:00 UTC is 11:00 at the broker
    outside = run(limits(session_start="11:01", session_end="12:00"), prices)
    assert [(s.guard, s.phase, s.at - begin) for s in outside.guards] == [
        ("session", "standing", 0.0), ("session", "ended", 60.0),
    ]  # fmt: skip
    assert [c.opened_at - begin for c in outside.cycles] == [60.0]
    falling = path(*np.linspace(0, -80, 90))
    rated = run(limits(orders_per_minute=2), falling, distance=5.0, lot_size=0.01)
    assert [leg.opened_at - begin < 60 for leg in rated.legs] == [True, True, False, False]
    assert "order_rate" in {s.guard for s in rated.guards}


@pytest.mark.parametrize("seed", range(40))
def test_the_scan_raises_the_peak_as_the_guards_do(seed: int) -> None:
    """The peak of a replay is that of one reading a second of what then stands, k of them in a row."""
    noise = np.random.default_rng(seed)
    count, needed = 60, int(noise.integers(1, 5))
    at = START.timestamp() + np.cumsum(noise.choice([0.2, 0.5, 1.0, 2.0, 4.0], count))
    bid = 1.1 + np.cumsum(noise.normal(0, 5e-4, count))
    prices = History.of({"EURUSD": Ticks.of(at, bid, bid + SPREAD, 5)})
    asked = limits(peak_readings=needed)
    replay = Replay(plan(limits=asked, **ONE_LOT), prices)
    replay.run()
    times, bids = prices.stream.at, prices.stream.bid
    opened = replay.desk.cycles[0].legs[0].price_open
    worth = [round(10_000 - 3.5 + (b - opened) * 100_000, 6) for b in bids]
    peak, last, second = Peak(10_000.0, START), worth[0], np.floor(times[0])
    for t, equity in zip(times[1:], worth[1:], strict=True):
        if np.floor(t) == second:
            continue
        for _ in range(int(np.floor(t) - second) - 1):
            peak = advance(peak, Reading(START, last), needed)
        peak, last, second = advance(peak, Reading(START, equity), needed), equity, np.floor(t)
    assert replay.guards.readings[0] == pytest.approx(peak.value, abs=1e-4)


def test_the_future_decides_nothing_of_what_guards_do() -> None:
    for seed in range(0, 48, 3):
        asked, prices = guarded(seed)
        cut = float(prices.stream.at[90 + seed])
        part = History.of(prices.ticks, end=cut)
        whole, first = (Replay(asked, p).run() for p in (prices, part))
        assert [s for s in whole.guards if s.at < cut] == list(first.guards)


def test_the_report_says_what_guards_did() -> None:
    prices = path(*[0.0] * 5, *[-105.0] * 40)
    found = plain(run(limits(drawdown_close=10.0), prices))
    said = guards_said(found["guards"])
    assert "Closed by the drawdown guard at 2026-03-03 09:00:16 UTC" in said
    assert "nobody re-arms in a backtest" in said
    assert guards_said(()).startswith("none")
