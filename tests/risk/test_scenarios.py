"""Each guard on the simulated terminal: what it does, what it survives, and who may stop it."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from brokers.simulator.state import Deal
from events.models import Event
from orders.models import OrderIntent
from risk.models import Block, EquityPeak, GuardAlarm
from risk.services.alarms import rearm_alarm, veto_alarm
from risk.services.configs import save_guards
from tests.world import World

ONE_LOT: dict[str, Any] = {"lot_size": 1.0, "distance": 5000.0, "target_profit": 1e6}


def alarms(world: World, *phases: str) -> list[GuardAlarm]:
    found = GuardAlarm.objects.filter(account=world.account).order_by("id")
    return list(found.filter(phase__in=phases) if phases else found)


def drawdown(world: World) -> GuardAlarm:
    return GuardAlarm.objects.filter(guard="drawdown").latest("id")


def pay(world: World, amount: float, *, kind: int = 2) -> None:
    """Let the broker book a deposit, withdrawal (negative) or credit (kind 3)."""
    exchange = world.terminal._exchange
    assert exchange is not None
    with exchange.state.change():
        at = world.clock.now().timestamp()
        deal = Deal(exchange.state.next("deal"), 0, 0, "", kind, 0, 0, 0.0, 0.0, amount, 0.0, 0.0, 0, "", at)
        exchange.state.add_deal(deal)
        if kind == 3:
            exchange.state.meta["balance"] = round(exchange.state.meta["balance"] - amount, 2)
            exchange.state.meta["credit"] = round(exchange.state.meta["credit"] + amount, 2)


def configure(world: World, **values: object) -> None:
    """Set the account's guards; the daily loss is off unless the test is about it."""
    settings = {"daily_warn": None, "daily_reduce": None, "worst_case": False, **values}
    save_guards(account=world.account, values=settings, at=world.clock.now(), by=world.ada)


def crash(world: World, pips: float = 210) -> None:
    """Let the price fall so far that one lot takes more than a fifth of the account."""
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    assert len(world.open_orders()) == 1
    world.move(-pips, run=2)


@pytest.mark.requirement("S3-44", "S3-45", "S3-46", "S3-47", "S3-51")
def test_a_drawdown_of_a_fifth_counts_down_ten_seconds_and_closes_everything(world: World) -> None:
    crash(world)
    alarm = drawdown(world)
    assert (alarm.phase, alarm.tier) == ("countdown", 3)
    assert alarm.figure > 20
    world.run(7)
    assert len(world.truth.positions) == 1
    world.run(5)
    assert not world.truth.positions
    world.run(3)
    assert drawdown(world).phase == "closed"
    world.assert_equal()
    assert {i.state for i in OrderIntent.objects.filter(kind="close")} == {"filled"}
    # It stays closed: the bot would enter again at once
    world.run(25)
    assert not world.truth.positions
    assert OrderIntent.objects.filter(kind="open").count() == 1


def test_a_re_armed_guard_begins_anew_and_entries_go_on(world: World) -> None:
    crash(world)
    world.run(15)
    rearm_alarm(alarm_id=drawdown(world).pk, reason="looked at it", by=world.ada, at=world.clock.now())
    world.run(5)
    assert Block.objects.filter(lifted_at=None).count() == 0
    assert len(world.truth.positions) == 1
    assert EquityPeak.objects.get().value < 8_000
    assert alarms(world, "countdown", "closing", "closed") == []


@pytest.mark.requirement("S3-50")
def test_the_tiers_come_one_after_the_other_in_a_slow_bleed(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    seen = []
    for _ in range(11):
        world.move(-20, run=2)
        seen.append(max((a.tier for a in alarms(world) if a.guard == "drawdown"), default=0))
    assert sorted(seen) == seen
    assert set(seen) == {0, 1, 2, 3}
    assert [e.kind for e in Event.objects.filter(kind__startswith="GUARD_").order_by("id")][:3] == [
        "GUARD_WARNED",
        "GUARD_WARNED",
        "GUARD_COUNTDOWN",
    ]


def test_a_restart_in_the_countdown_closes_when_its_time_has_come(world: World) -> None:
    crash(world)
    deadline = drawdown(world).deadline
    world.crash()
    world.start()
    assert drawdown(world).deadline == deadline
    world.run(2)
    assert not world.truth.positions


def test_a_restart_before_anything_fired_finds_the_loss_and_the_peak(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    world.move(+50, run=20)
    peak = EquityPeak.objects.get().value
    assert peak > 10_400
    world.crash()
    world.start()
    world.move(-165, run=2)
    assert EquityPeak.objects.get().value == pytest.approx(peak, abs=1)
    assert drawdown(world).tier < 3
    world.move(-110, run=2)
    assert drawdown(world).phase == "countdown"


def test_a_manager_vetoes_with_a_reason_and_exits_only_remains(world: World) -> None:
    crash(world)
    alarm = drawdown(world)
    with pytest.raises(ValidationError, match="why"):
        veto_alarm(alarm_id=alarm.pk, reason=" ", by=world.ada, at=world.clock.now())
    veto_alarm(alarm_id=alarm.pk, reason="news, will recover", by=world.ada, at=world.clock.now())
    world.run(30)
    assert len(world.truth.positions) == 1
    assert drawdown(world).phase == "vetoed"
    assert Block.objects.filter(lifted_at=None, cause="guard drawdown").exists()
    with pytest.raises(ValidationError, match="no countdown"):
        veto_alarm(alarm_id=alarm.pk, reason="again", by=world.ada, at=world.clock.now())
    # Five percent deeper it asks again
    world.move(-60, run=2)
    assert drawdown(world).phase == "countdown"
    world.run(12)
    assert not world.truth.positions


def test_a_guards_block_is_not_lifted_by_hand(world: World) -> None:
    from risk.services import lift_block

    crash(world)
    block = Block.objects.get(lifted_at=None, cause="guard drawdown")
    with pytest.raises(ValidationError, match="re-arm"):
        lift_block(block_id=block.pk, why="no", by_id=world.ada.pk, at=world.clock.now())


def test_a_broker_that_refuses_closes_for_a_minute_is_asked_by_new_intents(world: World) -> None:
    crash(world)
    world.terminal.faults.too_many_requests(10_000)
    world.run(70)
    assert len(world.truth.positions) == 1
    alarm = drawdown(world)
    assert (alarm.phase, alarm.left) == ("closing", 1)
    assert alarm.trouble
    failed = OrderIntent.objects.filter(kind="close", state="refused").count()
    assert 10 < failed < 40
    assert Event.objects.filter(kind="ORDER_CLOSE_FAILED").count() == failed
    world.terminal.faults.armed.clear()
    world.run(8)
    assert not world.truth.positions
    assert drawdown(world).phase == "closed"
    closes = OrderIntent.objects.filter(kind="close").order_by("generation")
    assert [i.supersedes_id for i in closes[1:]] == [i.pk for i in closes][:-1]
    # Never the opposite side
    assert {d.side for d in OrderIntent.objects.filter(kind="open")} == {"buy"}
    world.assert_equal()


def test_a_withdrawal_in_a_drawdown_fires_nothing_and_a_deposit_hides_nothing(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    world.move(-90, run=2)
    assert alarms(world) == []
    pay(world, -5_000)
    world.run(15)
    assert alarms(world) == []
    assert EquityPeak.objects.get().value == pytest.approx(10_000 * 4_090 / 9_090, rel=0.01)
    pay(world, 6_000)
    world.run(15)
    peak = EquityPeak.objects.get()
    worth = world.terminal._exchange.equity()  # type: ignore[union-attr]
    assert (peak.value - worth) / peak.value == pytest.approx(0.091, abs=0.003)


def test_a_credit_is_no_gain(world: World) -> None:
    world.bot(**ONE_LOT)
    world.run(3)
    peak = EquityPeak.objects.get().value
    pay(world, 3_000, kind=3)
    world.run(20)
    assert EquityPeak.objects.get().value == peak
    pay(world, -3_000, kind=3)
    world.run(5)
    assert alarms(world) == []


def test_a_withdrawal_whose_deal_comes_late_does_not_close_anything(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    world.terminal.faults.history_late(20)
    pay(world, -5_000)
    world.run(10)
    assert [a.tier for a in alarms(world) if a.guard == "drawdown"] == [2]
    world.run(25)
    assert len(world.truth.positions) == 1
    assert alarms(world, "standing", "countdown", "closing") == []


def test_the_peak_is_computed_again_from_snapshots_and_deals(world: World) -> None:
    from risk.peaks import rebuilt

    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    for pips in (30, -10, 25, 15):
        world.move(pips, run=9)
    pay(world, -1_000)
    world.run(9)
    row = EquityPeak.objects.get()
    assert row.value > 9_400
    assert rebuilt(row, needed=3).value == pytest.approx(row.value, rel=1e-6)


def test_positions_opened_by_hand_go_too_unless_the_settings_keep_them(world: World) -> None:
    configure(world)
    world.bot(**ONE_LOT)
    world.run(3)
    hand = world.by_hand()
    assert hand.Buy("EURUSD", 0.2) is not None
    world.move(-210, run=14)
    world.run(5)
    assert not world.truth.positions

    configure(world, close_foreign=False)
    world.run(2)
    rearm_alarm(alarm_id=drawdown(world).pk, reason="on", by=world.ada, at=world.clock.now())
    world.run(4)
    assert world.by_hand().Buy("EURUSD", 0.2) is not None
    world.move(-190, run=18)
    (left,) = world.truth.positions
    assert left.magic == 0


def test_a_guard_that_fails_means_no_entries_and_exits_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.bot(lot_size=0.1, distance=50.0, target_profit=20.0)
    world.run(3)
    broken = {"now": True}
    from risk.domain.guards import evaluate as working

    def evaluate(*args: object) -> object:
        if broken["now"]:
            raise ZeroDivisionError("a bug")
        return working(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("engine.guarding.evaluate", evaluate)
    world.run(3)
    assert Block.objects.filter(lifted_at=None, cause="guards").exists()
    world.move(+25, run=4)
    assert not world.truth.positions
    assert OrderIntent.objects.filter(kind="open").count() == 1
    broken["now"] = False
    world.run(25)
    assert OrderIntent.objects.filter(kind="open").count() == 2


def test_a_bot_that_its_worst_case_keeps_out_says_so_once(world: World) -> None:
    world.bot(**ONE_LOT)
    world.run(10)
    assert not world.open_orders()
    (told,) = Event.objects.filter(kind="ENTRY_REFUSED")
    assert "stop-out" in told.text
