"""The parity meter on the whole engine: nothing drifts when nothing is wrong, and what is wrong is named."""

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django_q.models import OrmQ, Schedule

from accounts.models import ServerOffset
from backtesting.management.commands import parity as command
from backtesting.models import ParityReport
from backtesting.parity.books import day_of, flat_from, span_of
from backtesting.parity.domain import Cause
from backtesting.parity.measuring import DRIFTED, ask_for_due, measure
from backtesting.parity.prices import completed, standing
from backtesting.tasks import measure_parity
from brokers.simulator.scan import Ticks
from core.clock import VirtualClock
from cycles.models import Cycle
from events.models import Event
from marketdata.candlefile import Candles
from risk.models import GuardAlarm
from risk.services import lift_cause, raise_block
from risk.services.configs import save_guards
from strategies.models import Bot, BotConfig
from tests.world import START, World

DAY = date(2026, 3, 3)
STEP_SECONDS, STEPS = 5.0, 12


@pytest.fixture
def desk(world: World, settings: Any) -> tuple[World, Bot]:
    settings.TICKS_DAYS, settings.PARITY_LIMIT = 5, 0.001
    bot = world.bot(direction="both", max_cycles=3, distance=4.0, target_profit=6.0, entry_cooldown=22.0)
    # Rows are stamped with this machine's clock, the world has one of its own
    BotConfig.objects.update(created_at=START - timedelta(days=1))
    return world, bot


def trade(world: World, seed: int = 3, steps: int = STEPS) -> None:
    noise = np.random.default_rng(seed)
    world.run(STEP_SECONDS)
    for step in noise.normal(0, 3.0, steps):
        world.price(world.bid + round(float(step) * 1e-4, 5), run=STEP_SECONDS)


def measured(bot: Bot) -> ParityReport:
    return measure(Bot.objects.select_related("account").get(pk=bot.pk), DAY, clock=VirtualClock(START))


def test_a_calm_day_has_no_drift(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    trade(world)
    world.session.stop()
    report = measured(bot)
    assert report.status == "measured", report.note
    assert report.live_legs == report.replay_legs >= 3
    assert report.drift == 0
    assert set(report.causes) == {cause.value for cause in Cause}
    assert not any(report.causes.values())
    assert not Event.objects.filter(kind=DRIFTED).exists()
    assert measured(bot).pk == report.pk


def test_what_a_guard_costs_is_told_and_raises_an_alert(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    account = world.account.pk
    world.run(10)
    raise_block(account_id=account, cause="guard: test", reason="held back", at=world.clock.now())
    world.move(-6, run=8)
    world.move(-6, run=8)
    world.move(-60, run=8)
    lift_cause(account_id=account, cause="guard: test", why="over", at=world.clock.now())
    world.session.stop()
    report = measured(bot)
    assert report.status == "measured", report.note
    assert report.causes["guard"] != 0
    assert report.drift == pytest.approx(sum(report.causes.values()), abs=0.01)
    assert abs(report.causes["guard"]) >= abs(float(report.drift)) * 0.9
    assert report.is_over
    (event,) = Event.objects.filter(kind=DRIFTED)
    assert (event.bot_id, event.level) == (bot.pk, "warning")
    measured(bot)
    assert Event.objects.filter(kind=DRIFTED).count() == 1


def test_what_a_guard_closed_live_it_closes_in_the_replay(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    save_guards(
        account=world.account, at=world.clock.now(), by=world.ada,
        values={"drawdown_warn": None, "drawdown_reduce": None, "drawdown_close": 1.0, "countdown_seconds": 12,
                "daily_warn": None, "daily_reduce": None, "worst_case": False},
    )  # fmt: skip
    world.run(STEP_SECONDS)
    for pips in (-60, -50, -1, 1, 1, 1):
        world.move(pips, run=STEP_SECONDS)
    assert GuardAlarm.objects.get(guard="drawdown").phase == "closed"
    assert not world.truth.positions
    world.session.stop()
    report = measured(bot)
    assert report.status == "measured", report.note
    assert report.live_legs == report.replay_legs >= 2
    assert report.drift == 0


def test_fills_beside_the_price_are_slippage(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    world.run(1)
    world.terminal._exchange.redescribe({}, {"EURUSD": {"slippage_points": 20}})  # type: ignore[union-attr]
    trade(world)
    world.session.stop()
    report = measured(bot)
    assert report.status == "measured", report.note
    assert report.causes["slippage"] < 0
    assert max(report.causes.values(), key=abs) == report.causes["slippage"]


def test_what_was_missed_while_no_engine_ran_is_the_gaps(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    trade(world, steps=3)
    world.session.stop()
    world.crash()
    hand = world.by_hand()
    for pips in (-9, -9, 30, -9, -9, 30, -9, 20):
        world.clock.advance(20)
        world.bid = round(world.bid + pips * 1e-4, 5)
        hand.push_tick("EURUSD", world.bid, round(world.bid + 1e-4, 5))
    world.start()
    trade(world, seed=4, steps=3)
    world.session.stop()
    report = measured(bot)
    assert report.status == "measured", report.note
    assert report.replay_legs > report.live_legs
    assert report.causes["gap"] != 0
    assert max(report.causes, key=lambda cause: abs(report.causes[cause])) == "gap"


def test_without_ticks_or_a_flat_start_it_says_so(desk: tuple[World, Bot]) -> None:
    world, bot = desk
    assert "no ticks were recorded" in measured(bot).note
    trade(world, steps=2)
    world.session.stop()
    Cycle.objects.update(opened_at=START - timedelta(days=30), status="open", closed_at=None)
    report = measured(bot)
    assert (report.status, float(report.drift)) == ("skipped", 0.0)
    assert "never without an open cycle" in report.note


def test_the_command_prints_measures_and_ends_with_a_code(desk: tuple[World, Bot], monkeypatch: Any) -> None:
    world, bot = desk
    monkeypatch.setattr(command, "CLOCK", VirtualClock(START + timedelta(days=1)))
    with pytest.raises(SystemExit) as nothing:
        call_command("parity", stdout=StringIO())
    assert nothing.value.code == 3
    with pytest.raises(CommandError, match="no account"):
        call_command("parity", account=["Nowhere"], stdout=StringIO())
    trade(world, steps=4)
    world.session.stop()
    out = StringIO()
    call_command("parity", "--json", stdout=out)
    (report,) = json.loads(out.getvalue())["reports"]
    assert (report["bot"], report["day"], report["drift"], report["is_over"]) == (bot.name, str(DAY), 0.0, False)
    text = StringIO()
    call_command("parity", "--account", "Sim", "--date", str(DAY), stdout=text)
    assert "none" in text.getvalue()


def test_each_day_is_asked_for_once_and_measured_by_the_queue(desk: tuple[World, Bot]) -> None:
    _, bot = desk
    assert Schedule.objects.filter(func="backtesting.tasks.parity_round", schedule_type="H").count() == 1
    tomorrow = VirtualClock(datetime(2026, 3, 4, 1, 0, tzinfo=UTC))
    before = OrmQ.objects.count()
    assert ask_for_due(clock=tomorrow) == 1
    assert OrmQ.objects.count() == before + 1
    assert measure_parity(bot.pk, DAY.isoformat()) == "skipped"
    assert ask_for_due(clock=tomorrow) == 0


@pytest.mark.django_db
def test_a_day_is_the_brokers(world: World) -> None:
    account = world.account.pk
    ServerOffset.objects.create(account=world.account, since=START - timedelta(days=9), seconds=7200)
    assert day_of(account, datetime(2026, 3, 3, 21, 59, tzinfo=UTC)) == date(2026, 3, 2)
    assert day_of(account, datetime(2026, 3, 3, 22, 0, tzinfo=UTC)) == DAY
    assert span_of(account, DAY)[0] == datetime(2026, 3, 2, 22, 0, tzinfo=UTC)


def test_a_replay_begins_where_the_bot_was_flat(desk: tuple[World, Bot]) -> None:
    bot = desk[1]
    begin, end = START, START + timedelta(days=1)

    def cycle(number: int, opened: float, closed: float | None) -> None:
        Cycle.objects.create(
            account=bot.account, bot=bot, config_id=bot.config_id or 0, number=number, symbol="EURUSD", side="buy",
            status="open" if closed is None else "closed", opened_at=START + timedelta(hours=opened),
            closed_at=None if closed is None else START + timedelta(hours=closed),
        )  # fmt: skip

    early = START - timedelta(hours=10)
    assert flat_from(bot, begin, end, earliest=early) == begin
    cycle(1, -3, 2)
    cycle(2, -5, -2.9)
    assert flat_from(bot, begin, end, earliest=early) == START - timedelta(hours=5, seconds=5)
    assert flat_from(bot, begin, end, earliest=START - timedelta(hours=4)) == START + timedelta(hours=2)
    cycle(3, 1, None)
    assert flat_from(bot, begin, end, earliest=START - timedelta(hours=4)) is None


def minutes(*rows: tuple[int, int, int, int, int]) -> Candles:
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    return Candles.of([*columns, np.ones(len(rows), np.int64)], 5)


def test_candles_add_only_what_nobody_saw() -> None:
    seen = Ticks(np.array([0.0, 30.0, 70.0]), np.array([1.1, 1.1005, 1.1002]), np.array([1.1001, 1.1006, 1.1003]))
    same, nothing = completed(seen, minutes((0, 110000, 110050, 110000, 110050), (60, 110050, 110050, 110020, 110020)))
    assert (len(same), nothing) == (3, frozenset())
    full, missed = completed(seen, minutes((0, 110000, 110090, 110000, 110050), (120, 110020, 110030, 110010, 110025)))
    assert missed == {0, 120}
    assert list(full.bid) == [1.1, 1.1005, 1.1009, 1.1002, 1.1002, 1.1001, 1.1003, 1.10025]
    assert np.allclose(full.ask - full.bid, 1e-4)


def test_a_price_stands_while_it_is_fresh() -> None:
    found = standing(Ticks(np.array([0.0, 0.6, 60.0]), np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.5, 3.5])), 1.0)
    assert list(found.at) == pytest.approx([0, 0.25, 0.5, 0.6, 0.85, 1.1, 1.35, 1.6, 60, 60.25, 60.5, 60.75, 61])
    assert list(found.bid) == [1] * 3 + [2] * 5 + [3] * 5
