"""Each guard by itself: what it finds at its limit, what it leaves alone, and that one which fails is never "fine"."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brokers.domain import Candle, Quote, Side, SymbolSpec
from risk.domain.calendar import NewsItem
from risk.domain.circuit import circuit_of
from risk.domain.exposure import largest_risk_first
from risk.domain.guards import evaluate, marked_by
from risk.domain.readings import Finding, Held, Level, MarketSeen, Seen, Tier, Worth
from risk.domain.settings import GuardSettings

NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
SPEC = SymbolSpec("EURUSD", 5, 1e-5, 100_000, 0.01, 100, 0.01, 0, 0, 100_000, "EUR", "USD", 1, 2, True, 1100.0)
QUOTE = Quote("EURUSD", 1.1, 1.1001, NOW)
CANDLE = Candle(NOW, 1.1, 1.1, 1.1, 1.1, 1, 1)
EURUSD = MarketSeen(QUOTE, SPEC, 1e-4, (CANDLE, CANDLE))
WORTH = Worth(10_000.0, 10_000.0, 0.0, 1_000.0, 1_000.0)
LEG = Held(7, "EURUSD", Side.BUY, 0.1, 1.1, 0.0, bot_id=3, cycle_id=5, order_id=7)
SEEN = Seen(NOW, WORTH, 10_000.0, 10_000.0, 600, (LEG,), {"EURUSD": EURUSD}, cycle_bots={5: 3})
SETTINGS = GuardSettings()
LOSING = replace(SEEN, positions=(replace(LEG, profit=-600.0),))


def worth(equity: float, **changes: Any) -> Worth:
    return replace(WORTH, equity=equity, **changes)


def market(**changes: Any) -> dict[str, MarketSeen]:
    return {"EURUSD": replace(EURUSD, **changes)}


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=s) for s in seconds)


def test_nothing_is_found_when_all_is_well() -> None:
    assert evaluate(SETTINGS, SEEN) == ()


FOUND: list[tuple[str, Seen, dict[str, Any], Tier, Level]] = [
    ("drawdown", replace(SEEN, worth=worth(8_900)), {}, Tier.WARN, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(8_400)), {}, Tier.REDUCE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(7_900)), {}, Tier.CLOSE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(11_900, credit=4_000.0)), {}, Tier.CLOSE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(-50), peak=0.0), {}, Tier.CLOSE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, peak=None), {}, Tier.REDUCE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(10_000, complete=False)), {}, Tier.REDUCE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(7_900), ledger_gap_seconds=5.0), {}, Tier.REDUCE, Level.ACCOUNT),
    ("drawdown", replace(SEEN, worth=worth(7_900), ledger_gap_seconds=61.0), {}, Tier.CLOSE, Level.ACCOUNT),
    ("daily_loss", replace(SEEN, worth=worth(9_400)), {}, Tier.REDUCE, Level.ACCOUNT),
    ("daily_loss", replace(SEEN, worth=worth(9_400)), {"daily_close": 5.5}, Tier.CLOSE, Level.ACCOUNT),
    ("daily_loss", replace(SEEN, day_base=None), {}, Tier.REDUCE, Level.ACCOUNT),
    ("margin", replace(SEEN, worth=worth(10_000, margin_level=190.0)), {}, Tier.REDUCE, Level.ACCOUNT),
    ("margin", replace(SEEN, worth=worth(10_000, margin_level=99.0)), {"margin_close": 100.0}, Tier.CLOSE,
     Level.ACCOUNT),
    ("loss", LOSING, {"position_close": 5.0}, Tier.CLOSE, Level.POSITION),
    ("loss", LOSING, {"cycle_close": 5.0}, Tier.CLOSE, Level.CYCLE),
    ("loss", LOSING, {"bot_close": 5.0}, Tier.CLOSE, Level.BOT),
    ("loss", replace(SEEN, cycle_realized={5: -600.0}), {"cycle_reduce": 5.0}, Tier.REDUCE, Level.CYCLE),
    ("loss", replace(SEEN, bot_realized={3: -600.0}), {"bot_reduce": 5.0}, Tier.REDUCE, Level.BOT),
    ("portfolio", replace(SEEN, portfolio_drawdown=12.0), {"portfolio_close": 10.0}, Tier.CLOSE, Level.PORTFOLIO),
    ("portfolio", SEEN, {"portfolio_close": 10.0}, Tier.REDUCE, Level.PORTFOLIO),
    (
        "portfolio", replace(SEEN, portfolio_drawdown=0.0, portfolio_silent=("Second",)), {"portfolio_warn": 10.0},
        Tier.REDUCE, Level.PORTFOLIO,
    ),
    (
        "portfolio", replace(SEEN, portfolio_drawdown=12.0, portfolio_silent=("Second",)), {"portfolio_close": 10.0},
        Tier.CLOSE, Level.PORTFOLIO,
    ),
    ("loss", replace(SEEN, worth=worth(500, balance=0.0, credit=500.0)), {"cycle_close": 5.0}, Tier.REDUCE,
     Level.ACCOUNT),
    ("exposure", replace(SEEN, worth=worth(0.0)), {}, Tier.REDUCE, Level.ACCOUNT),
    ("stale_data", replace(SEEN, markets={}), {}, Tier.REDUCE, Level.SYMBOL),
    ("broken", replace(SEEN, worth=worth(10_000, margin_level=float("nan"))), {}, Tier.REDUCE, Level.ACCOUNT),
    ("gap", replace(SEEN, markets=market(candles=(replace(CANDLE, close=1.16), CANDLE))), {}, Tier.CLOSE,
     Level.SYMBOL),
    ("spread", replace(SEEN, markets=market(quote=replace(QUOTE, ask=1.10052))), {}, Tier.REDUCE, Level.SYMBOL),
    ("spread", replace(SEEN, markets=market(quote=replace(QUOTE, ask=1.10052))), {"spread_close": True}, Tier.CLOSE,
     Level.SYMBOL),
    ("thin_book", replace(SEEN, markets=market(best_lots=0.4)), {"thin_book_lots": 0.5}, Tier.REDUCE, Level.SYMBOL),
    ("thin_book", SEEN, {"thin_book_lots": 0.5}, Tier.WARN, Level.SYMBOL),
    ("stale_data", replace(SEEN, now=NOW + timedelta(seconds=6)), {}, Tier.REDUCE, Level.SYMBOL),
    ("errors", replace(SEEN, requests=tuple((at, False) for at in ago(9, 8, 7, 6, 5))), {}, Tier.REDUCE,
     Level.ACCOUNT),
    ("order_rate", replace(SEEN, entries=ago(50, 40)), {"orders_per_minute": 2}, Tier.REDUCE, Level.ACCOUNT),
    ("order_rate", replace(SEEN, entries=ago(5_000, 4_000)), {"orders_per_day": 2}, Tier.REDUCE, Level.ACCOUNT),
    ("exposure", SEEN, {"max_currency_leverage": 1.0}, Tier.REDUCE, Level.ACCOUNT),
    ("session", SEEN, {"session_start": "11:00", "session_end": "20:00"}, Tier.REDUCE, Level.ACCOUNT),
    ("session", SEEN, {"session_start": "22:00", "session_end": "06:00"}, Tier.REDUCE, Level.ACCOUNT),
    ("news", replace(SEEN, news=(NewsItem(NOW + timedelta(minutes=29), "USD", "high", "Jobs"),)), {}, Tier.REDUCE,
     Level.SYMBOL),
    ("news", replace(SEEN, news=(NewsItem(NOW - timedelta(minutes=14), "", "high", "Jobs"),)), {}, Tier.REDUCE,
     Level.SYMBOL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("guard", "seen", "limits", "tier", "level"), FOUND, ids=[f"{n}-{case[0]}" for n, case in enumerate(FOUND)]
)
def test_a_guard_finds_what_passed_its_limit(
    guard: str, seen: Seen, limits: dict[str, Any], tier: Tier, level: Level
) -> None:
    found = [f for f in evaluate(GuardSettings(**limits), seen) if f.guard == guard]
    assert [(f.tier, f.level) for f in found if f.subject != "USD"] == [(tier, level)]
    assert all(f.text for f in found)


FINE: list[tuple[Seen, dict[str, Any]]] = [
    (replace(SEEN, worth=worth(9_750, credit=0.0)), {}),
    (replace(SEEN, worth=worth(10_000, margin=0.0, margin_level=0.0)), {}),
    (replace(SEEN, markets=market(best_lots=50.0)), {"thin_book_lots": 50.0}),
    (replace(SEEN, markets=market(best_lots=0.0)), {}),
    (replace(SEEN, markets=market(in_session=False), now=NOW + timedelta(hours=9)), {}),
    (replace(SEEN, entries=ago(61, 62, 63)), {"orders_per_minute": 2}),
    (replace(SEEN, markets=market(quote=replace(QUOTE, ask=1.1009), spread_median=2e-4)), {}),
    (replace(SEEN, news=(NewsItem(NOW, "JPY", "high", "x"), NewsItem(NOW, "USD", "medium", "x"))), {}),
    (SEEN, {"session_start": "22:00", "session_end": "10:01"}),
    (LOSING, {"daily_warn": None, "daily_reduce": None}),
]


@pytest.mark.parametrize(("seen", "limits"), FINE)
def test_what_is_within_its_limits_is_left_alone(seen: Seen, limits: dict[str, Any]) -> None:
    assert evaluate(GuardSettings(**limits), seen) == ()


def test_a_guard_that_raises_allows_exits_only_and_the_others_go_on() -> None:
    def torn(settings: GuardSettings, seen: Seen) -> Any:
        raise ZeroDivisionError("a bug")

    def works(settings: GuardSettings, seen: Seen) -> Any:
        yield Finding("works", Level.ACCOUNT, "", Tier.WARN, 1.0, 0.0, "asked")

    broken, asked = evaluate(SETTINGS, SEEN, (torn, works))
    assert (broken.guard, broken.tier, broken.level) == ("broken", Tier.REDUCE, Level.ACCOUNT)
    assert "torn failed: ZeroDivisionError: a bug" in broken.text
    assert asked.guard == "works"


def test_the_worst_finding_about_one_thing_counts() -> None:
    def twice(settings: GuardSettings, seen: Seen) -> Any:
        for tier in (Tier.WARN, Tier.CLOSE, Tier.REDUCE):
            yield Finding("twice", Level.ACCOUNT, "", tier, 1.0, 0.0, "x")

    assert [f.tier for f in evaluate(SETTINGS, SEEN, (twice,))] == [Tier.CLOSE]


@pytest.mark.parametrize(
    ("level", "mine", "other"),
    [
        (Level.POSITION, "7", "8"),
        (Level.CYCLE, "5", "6"),
        (Level.BOT, "3", "4"),
        (Level.SYMBOL, "EURUSD", "GBPUSD"),
    ],
)
def test_a_finding_marks_what_it_is_about_and_nothing_else(level: Level, mine: str, other: str) -> None:
    marks = [
        marked_by(Finding("loss", level, subject, Tier.CLOSE, 1.0, 0.0, "x"), LEG) for subject in (mine, other)
    ]  # fmt: skip
    assert marks == [True, False]


@pytest.mark.parametrize("level", [Level.ACCOUNT, Level.PORTFOLIO])
def test_what_is_about_the_account_marks_everything(level: Level) -> None:
    assert marked_by(Finding("drawdown", level, "", Tier.CLOSE, 1.0, 0.0, "x"), LEG)


# The circuit of a broker's failures

WINDOW, PAUSE = timedelta(seconds=60), timedelta(seconds=60)


def circuit(*outcomes: tuple[float, bool]) -> Any:
    """Follow (second, worked)."""
    return circuit_of([(NOW + timedelta(seconds=s), ok) for s, ok in outcomes], window=WINDOW, pause=PAUSE)


def test_failures_in_a_window_open_the_circuit_and_older_ones_do_not_count() -> None:
    five = circuit(*((float(s), False) for s in range(5)))
    assert five.blocks(NOW + timedelta(seconds=63))
    assert not five.blocks(NOW + timedelta(seconds=64))
    assert five.blocks(NOW + timedelta(seconds=64), trial_under_way=True)
    assert circuit(*((s * 20.0, False) for s in range(9))).open_until is None


def test_a_failed_trial_doubles_the_pause_up_to_a_quarter_of_an_hour_and_one_that_works_closes_it() -> None:
    outcomes, at, pauses = [(float(s), False) for s in range(5)], 4.0, []
    for _ in range(6):
        opened = circuit(*outcomes)
        pauses.append(opened.pause.total_seconds())
        at += pauses[-1]
        outcomes.append((at, False))
    assert pauses == [60, 120, 240, 480, 900, 900]
    assert circuit(*outcomes, (at + 901, True)).open_until is None


# Which position goes first

legs = st.lists(
    st.builds(
        Held,
        identifier=st.integers(1, 10**6),
        symbol=st.sampled_from(("EURUSD", "GBPUSD")),
        side=st.sampled_from(tuple(Side)),
        volume=st.integers(1, 50).map(lambda n: n / 100),
        price_open=st.just(1.1),
        profit=st.integers(-500, 500).map(float),
    ),
    max_size=12,
)


@given(legs)
def test_closing_never_leaves_more_exposed_than_any_other_next_step(positions: list[Held]) -> None:
    def net(of: list[Held]) -> float:
        sums = dict.fromkeys({h.symbol for h in of}, 0.0)
        for h in of:
            sums[h.symbol] += h.side.sign * h.volume
        return sum(abs(lots) for lots in sums.values())

    order = largest_risk_first(positions, {})
    assert sorted(map(id, order)) == sorted(map(id, positions))
    for n, chosen in enumerate(order):
        left = order[n:]
        after = {id(h): net([o for o in left if o is not h]) for h in left}
        assert after[id(chosen)] <= min(after.values()) + 1e-6


def test_among_equals_the_larger_loss_goes_first() -> None:
    a, b = replace(LEG, identifier=1, profit=-5.0), replace(LEG, identifier=2, profit=-50.0)
    assert [h.identifier for h in largest_risk_first([a, b], {})] == [2, 1]


@pytest.mark.parametrize(
    "values",
    [
        {"drawdown_warn": 16.0},
        {"drawdown_reduce": 21.0},
        {"margin_warn": 150.0},
        {"session_start": "07:00"},
        {"session_start": "7", "session_end": "25:00"},
        {"broker_time_zone": "Mars/Olympus"},
        {"drawdown_close": -1.0},
        {"peak_readings": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GuardSettings.model_validate(values)
