"""Guards of market, day, broker and calendar on the simulated terminal, and the kill switch."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from core.clock import VirtualClock
from events.models import Event
from orders.models import OrderIntent
from risk.models import Block, DayStart, GuardAlarm, KillSwitch, NewsEvent, RiskProjection
from risk.services.killing import kill, release
from risk.services.news import import_calendar
from strategies import services as bot_services
from tests.risk.test_scenarios import ONE_LOT, configure
from tests.world import START, VALUES, World


def alarm(world: World, guard: str) -> GuardAlarm | None:
    return GuardAlarm.objects.filter(account=world.account, guard=guard).order_by("-id").first()


def until(world: World, at: datetime) -> None:
    """Let the time pass at once."""
    world.clock.advance((at - world.clock.now()).total_seconds())
    world.price(world.bid)


def entries() -> int:
    return OrderIntent.objects.filter(kind="open").count()


@pytest.mark.requirement("S3-48")
def test_a_gap_on_a_candle_close_closes_the_symbol(world: World) -> None:
    """The price opens six percent lower in a new minute; the guard fires when that minute's candle has closed."""
    configure(world)
    world.bot(lot_size=0.01, distance=5000.0, target_profit=1e6, entry_cooldown=1.0)
    world.run(3)
    at = START.replace(second=1)
    world.bid = round(world.bid * 0.94, 5)
    until(world, at + timedelta(minutes=1))
    world.run(2)
    assert len(world.truth.positions) == 1
    until(world, at + timedelta(minutes=2))
    world.run(4)
    assert not world.truth.positions
    found = alarm(world, "gap")
    assert found is not None
    assert (found.subject, found.figure) == ("EURUSD", pytest.approx(6.0, abs=0.01))
    assert entries() == 1
    until(world, at + timedelta(minutes=3))
    world.run(6)
    found.refresh_from_db()
    assert found.phase == "ended"
    assert entries() == 2


@pytest.mark.requirement("S3-49")
def test_a_spread_far_above_its_median_stops_entries_on_the_symbol(world: World) -> None:
    configure(world, spread_floor=2.0)
    world.bot(lot_size=0.1, distance=5.0)
    world.run(25)
    world.clock.advance(0.001)
    # A level is reached in the same tick
    world.bid = round(world.bid - 0.0015, 5)
    world.terminal.push_tick("EURUSD", world.bid, round(world.bid + 0.0006, 5))
    world._said_at = world.clock.ticks() + 3
    world.run(3)
    found = alarm(world, "spread")
    assert found is not None
    assert (found.phase, found.subject, entries()) == ("standing", "EURUSD", 1)
    assert Block.objects.get(lifted_at=None, cause="guard spread").symbol == "EURUSD"
    world.run(4)
    assert entries() == 2


def test_without_a_tick_in_session_nothing_is_entered(world: World) -> None:
    configure(world)
    world.bot(lot_size=0.1)
    world.run(2)
    world._said_at = world.clock.ticks() + 60
    world.run(7)
    found = alarm(world, "stale_data")
    assert found is not None
    assert found.phase == "standing"
    world._said_at = 0.0
    world.run(3)
    found.refresh_from_db()
    assert found.phase == "ended"


def test_the_day_begins_at_the_brokers_midnight_also_when_its_summer_time_has_begun(world: World) -> None:
    """New York changes its clocks on 8 March 2026, so the broker's midnight moves from 22:00 to 21:00 UTC."""
    configure(world, daily_warn=None, daily_reduce=2.0, broker_time_zone="ny+7", stale_seconds=3600.0)
    assert isinstance(world.clock, VirtualClock)
    world.run(2)
    for night, last_minute in ((6, 21), (9, 20)):
        world.clock.advance(
            (datetime(2026, 3, night, last_minute, 59, 50, tzinfo=UTC) - world.clock.now()).total_seconds()
        )
        world.price(world.bid)
        world.run(3)
        day = DayStart.objects.latest("day").day
        world.run(12)
        assert DayStart.objects.latest("day").day == day + timedelta(days=1)


def test_a_loss_since_midnight_allows_exits_only_and_the_next_day_is_new(world: World) -> None:
    configure(world, daily_reduce=3.0, broker_time_zone="ny+7", stale_seconds=3600.0)
    world.bot(**ONE_LOT)
    world.run(3)
    world.move(-40, run=3)
    found = alarm(world, "daily_loss")
    assert found is not None
    assert (found.tier, found.phase) == (2, "standing")
    until(world, datetime(2026, 3, 3, 21, 59, 52, tzinfo=UTC))
    world.run(24)
    found.refresh_from_db()
    assert found.phase == "ended"


def test_five_failures_in_a_minute_open_the_circuit_and_one_trial_follows(world: World) -> None:
    configure(world, error_failures=3)
    world.terminal.faults.too_many_requests(3)
    world.bot(lot_size=0.1, entry_cooldown=0.0)
    world.run(12)
    failed = entries()
    assert failed == 3
    found = alarm(world, "errors")
    assert found is not None
    assert found.phase == "standing"
    world.run(40)
    assert entries() == 3
    world.run(25)
    assert entries() == 4
    assert len(world.truth.positions) == 1


def test_no_more_entries_than_the_rate_allows(world: World) -> None:
    configure(world, orders_per_minute=2)
    world.bot(lot_size=0.1, distance=5.0)
    world.run(2)
    for _ in range(4):
        world.move(-6, run=1.5)
    assert entries() == 2
    found = alarm(world, "order_rate")
    assert found is not None


def test_news_and_sessions_hold_entries_back(world: World) -> None:
    configure(world, news_before=5, news_after=5)
    at = world.clock.now() + timedelta(minutes=2)
    csv = f"time,currency,impact,title\n{at.isoformat()},USD,high,Payrolls\n{at.isoformat()},JPY,high,Other\n"
    assert import_calendar(text=csv, by=world.ada, at=world.clock.now()) == 2
    assert import_calendar(text=csv, by=world.ada, at=world.clock.now()) == 0
    world.session.guards._news = None
    bot = world.bot(lot_size=0.1)
    bot_services.set_bot_state(bot=bot, state="paused", at=world.clock.now())
    world.run(2)
    bot_services.set_bot_state(bot=bot, state="running", at=world.clock.now())
    world.run(2)
    found = alarm(world, "news")
    assert found is not None
    assert "Payrolls" in found.text
    assert entries() == 0
    NewsEvent.objects.all().delete()
    # 09:00 UTC in March is 11:00 at a broker on New York + 7 h
    configure(world, broker_time_zone="ny+7", session_start="12:00", session_end="20:00")
    world.session.guards._news = None
    world.run(3)
    assert alarm(world, "session") is not None
    assert entries() == 0
    configure(world, broker_time_zone="ny+7", session_start="10:00", session_end="20:00")
    world.run(4)
    assert entries() == 1


def test_a_level_that_margin_could_not_carry_is_refused(world: World) -> None:
    configure(world, margin_after=950.0)
    world.bot(lot_size=1.0, distance=5.0, target_profit=1e6)
    world.run(3)
    assert entries() == 0
    configure(world, margin_after=500.0)
    world.run(3)
    assert entries() == 1
    world.move(-6, run=3)
    assert entries() == 1
    vetoes = [v.code for asked in world.session.trader.asked.values() for v in asked.vetoes]
    assert vetoes == ["margin_after"]


# The kill switch


def throw(world: World, mode: str, **target: Any) -> KillSwitch:
    target = target or {"account": world.account}
    bot = target.get("bot")
    name = bot.name if bot else target["account"].name if target.get("account") else "everything"
    return kill(mode=mode, reason="odd", confirmation=name, by=world.ada, at=world.clock.now(), **target)


def test_flatten_closes_everything_and_stands_over_a_restart(world: World) -> None:
    configure(world)
    world.bot(lot_size=0.1)
    world.run(3)
    world.move(-11)
    assert len(world.truth.positions) == 2
    switch = throw(world, "flatten")
    world.run(2)
    assert not world.truth.positions
    world.restart()
    world.run(5)
    assert not world.truth.positions
    assert entries() == 2
    release(switch_id=switch.pk, reason="fine again", by=world.ada, at=world.clock.now())
    world.run(4)
    assert len(world.truth.positions) == 1
    assert [k for k in world.kinds() if k.startswith("KILL")] == ["KILL_SWITCH", "KILL_RELEASED"]


def test_no_entries_lets_cycles_go_on_and_exits_only_does_not(world: World) -> None:
    configure(world)
    bot = world.bot(lot_size=0.1, max_cycles=2)
    world.run(3)
    throw(world, "no_entries", account=None)
    world.move(-11)
    assert [o.level for o in world.open_orders()] == [0, 1]
    throw(world, "exits_only", bot=bot)
    world.move(-11)
    assert len(world.open_orders()) == 2
    world.move(+40, run=4)
    assert not world.truth.positions
    world.run(25)
    assert entries() == 2


def test_the_switch_wants_the_name_typed_and_a_reason(world: World) -> None:
    for wrong in ({"confirmation": "sim"}, {"reason": " "}, {"mode": "stop"}):
        values: dict[str, Any] = {"mode": "flatten", "reason": "odd", "confirmation": "Sim", **wrong}
        with pytest.raises(ValidationError):
            kill(account=world.account, by=world.ada, at=world.clock.now(), **values)
    assert not KillSwitch.objects.exists()
    first = throw(world, "exits_only")
    assert throw(world, "flatten").pk == first.pk


def test_the_command_line_throws_lists_and_releases(world: World) -> None:
    said = io.StringIO()
    call_command("kill", "Sim", "--mode", "exits_only", "--why", "odd", "--yes", "Sim", "--json", stdout=said)
    assert json.loads(said.getvalue())["switches"][0]["mode"] == "exits_only"
    said = io.StringIO()
    call_command("kill", "--list", stdout=said)
    assert said.getvalue() == "Sim: exits_only, odd\n"
    with pytest.raises(CommandError, match="known: Sim"):
        call_command("kill", "Nobody", "--why", "odd", "--yes", "Nobody")
    with pytest.raises(CommandError, match="Type everything"):
        call_command("kill", "everything", "--why", "odd", "--yes", "Sim")
    call_command("kill", "1001", "--release", "--why", "fine", stdout=said)
    assert not KillSwitch.objects.filter(released_at=None).exists()
    with pytest.raises(CommandError, match="not stopped"):
        call_command("kill", "Sim", "--release", "--why", "fine")
    assert Event.objects.filter(kind="KILL_RELEASED").count() == 1


def test_the_worst_case_is_shown_and_a_level_that_would_reach_the_stop_out_is_refused(world: World) -> None:
    configure(world, worst_case=True, stop_out=50.0)
    bot = world.bot(lot_size=0.1, distance=10.0, max_levels=4)
    world.run(8)
    data = RiskProjection.objects.get(account=world.account).data
    (cycle,) = world.cycles("open")
    shown = data["cycles"][str(cycle.pk)]
    assert (shown["levels_left"], shown["is_stop_out"]) == (3, False)
    assert data["bots"][str(bot.pk)]["worst_change"] == pytest.approx(-63, abs=1)
    assert data["symbols"]["EURUSD"]["pips"] > 900
    assert data["to_stop_out"] == pytest.approx(10_000 - 55, abs=5)

    # Four lots a level: the first would do, the last would not
    config = {**VALUES, "lot_size": 2.0, "distance": 100.0, "max_levels": 4}
    world.bot("Heavy", **config)
    world.run(25)
    assert set(OrderIntent.objects.filter(kind="open").values_list("bot__name", flat=True)) == {"Grid"}
    heavy = [a for i, a in world.session.trader.asked.items() if i.bot_id != bot.pk]
    assert [v.code for v in heavy[0].vetoes] == ["worst_case"]
