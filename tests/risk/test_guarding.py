"""Each safety line around the guards, shown by what happens at it (`make mutants` removes them)."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import TradingAccount
from cycles.models import Cycle
from engine.rounds import standing_of
from orders.models import OrderIntent
from risk.domain.alarms import Alarm, Phase
from risk.domain.readings import Level, Tier
from risk.models import Block, EquityPeak, GuardAlarm, KillSwitch
from risk.selectors import block_on, flattened_bots, standing_blocks
from risk.services import lift_block, raise_block
from risk.services.alarms import acknowledge_alarm, rearm_alarm, veto_alarm, write_alarm
from risk.services.killing import kill, release
from strategies.models import Bot
from tests.risk.test_scenarios import configure
from tests.world import START, World, later

NEVER = 1e9


def fired(phase: Phase = Phase.COUNTDOWN, tier: Tier = Tier.CLOSE, **changes: Any) -> Alarm:
    values = {
        "guard": "drawdown", "level": Level.ACCOUNT, "subject": "", "figure": 25.0, "limit": 20.0, "text": "fell",
        "since": START, "deadline": later(10), **changes,
    }  # fmt: skip
    return Alarm(tier=tier, phase=phase, **values)


def write(world: World, alarm: Alarm, before: GuardAlarm | None = None) -> GuardAlarm | None:
    return write_alarm(world.account.pk, before, alarm, left=1, trouble="", at=START)


def raised(world: World, alarm: Alarm) -> GuardAlarm:
    row = write(world, alarm)
    assert row is not None
    return row


def blocks() -> list[tuple[str, int | None, str]]:
    return list(Block.objects.filter(lifted_at=None).order_by("id").values_list("cause", "bot_id", "symbol"))


def entries() -> int:
    return OrderIntent.objects.filter(kind__in=("open", "place")).count()


def throw(world: World, mode: str, *, bot: Bot | None = None, everything: bool = False) -> int:
    account = None if everything or bot else world.account
    name = "everything" if everything else bot.name if bot else world.account.name
    return kill(
        mode=mode, reason="odd", confirmation=name, account=account, bot=bot, by=world.ada, at=world.clock.now()
    ).pk


# Rows of alarms, without a session


def test_an_alarm_is_not_overwritten_when_a_person_was_faster(world: World) -> None:
    row = raised(world, fired())
    veto_alarm(alarm_id=row.pk, reason="news", by=world.ada, at=later(9))
    assert write(world, fired(Phase.CLOSING), row) is None
    row.refresh_from_db()
    assert row.phase == "vetoed"


def test_who_saw_a_warning_has_not_seen_what_became_of_it(world: World) -> None:
    row = raised(world, fired(Phase.STANDING, Tier.WARN))

    def seen_by_after(phase: Phase, tier: Tier) -> Any:
        acknowledge_alarm(alarm_id=row.pk, reason="seen", by=world.ada, at=START)
        after = write(world, fired(phase, tier), GuardAlarm.objects.get())
        assert after is not None
        return after.acknowledged_by

    assert seen_by_after(Phase.STANDING, Tier.WARN) == world.ada
    assert seen_by_after(Phase.STANDING, Tier.REDUCE) is None
    assert seen_by_after(Phase.COUNTDOWN, Tier.CLOSE) is None
    acknowledge_alarm(alarm_id=row.pk, reason="seen", by=world.ada, at=START)
    veto_alarm(alarm_id=row.pk, reason="news", by=world.ada, at=START)
    assert seen_by_after(Phase.VETOED, Tier.CLOSE) == world.ada
    assert seen_by_after(Phase.COUNTDOWN, Tier.CLOSE) is None


def test_a_veto_comes_in_time_or_not_at_all(world: World) -> None:
    row = raised(world, fired())
    with pytest.raises(ValidationError, match="no countdown"):
        veto_alarm(alarm_id=row.pk, reason="news", by=world.ada, at=later(10))
    closing = write(world, fired(Phase.CLOSING), row)
    assert closing is not None
    GuardAlarm.objects.update(deadline=later(99))
    with pytest.raises(ValidationError, match="no countdown"):
        veto_alarm(alarm_id=row.pk, reason="news", by=world.ada, at=START)
    assert GuardAlarm.objects.get().phase == "closing"


@pytest.mark.parametrize("phase", [Phase.STANDING, Phase.COUNTDOWN, Phase.CLOSING])
def test_what_is_not_over_is_not_re_armed(world: World, phase: Phase) -> None:
    row = raised(world, fired(phase))
    with pytest.raises(ValidationError, match="Only a fired or vetoed guard"):
        rearm_alarm(alarm_id=row.pk, reason="fine", by=world.ada, at=START)
    assert blocks() == [("guard drawdown", None, "")]


def test_re_arming_wants_a_reason_lifts_the_block_and_forgets_the_peak(world: World) -> None:
    row = raised(world, fired(Phase.CLOSED))
    EquityPeak.objects.create(account=world.account, demo=True, value=1, at=START, start_value=1, start_at=START)
    with pytest.raises(ValidationError, match="why"):
        rearm_alarm(alarm_id=row.pk, reason=" ", by=world.ada, at=START)
    assert blocks() != []
    rearm_alarm(alarm_id=row.pk, reason="looked at it", by=world.ada, at=START)
    assert blocks() == []
    assert not EquityPeak.objects.exists()


def test_a_block_stands_exactly_while_its_alarm_forbids_entries(world: World) -> None:
    bot = world.bot()
    warned = raised(world, fired(Phase.STANDING, Tier.WARN))
    assert blocks() == []
    assert write(world, fired(Phase.STANDING, Tier.REDUCE), warned) is not None
    raised(world, fired(Phase.STANDING, Tier.REDUCE, guard="spread", level=Level.SYMBOL, subject="EURUSD"))
    raised(world, fired(Phase.STANDING, Tier.REDUCE, guard="loss", level=Level.BOT, subject="1", bot_id=bot.pk))
    assert blocks() == [
        ("guard drawdown", None, ""), ("guard spread", None, "EURUSD"), ("guard loss 1", bot.pk, ""),
    ]  # fmt: skip
    for row in GuardAlarm.objects.all():
        over = fired(Phase.ENDED, Tier.REDUCE, guard=row.guard, level=Level(row.level), subject=row.subject)
        assert write(world, over, row) is not None
    assert blocks() == []


def test_a_person_lifts_blocks_but_not_a_guards(world: World) -> None:
    raised(world, fired())
    person = raise_block(account_id=world.account.pk, cause="person", reason="holiday", at=START)
    guard = Block.objects.get(cause="guard drawdown")
    with pytest.raises(ValidationError, match="re-arm"):
        lift_block(block_id=guard.pk, why="no", by_id=world.ada.pk, at=START)
    assert lift_block(block_id=person.pk, why="back", by_id=world.ada.pk, at=START)
    assert blocks() == [("guard drawdown", None, "")]


def test_kill_switches_are_blocks_of_their_bot_account_or_everything_until_released(world: World) -> None:
    bot, other = world.bot(), world.bot("Other")
    account = world.account.pk
    of_bot = throw(world, "exits_only", bot=bot)
    assert block_on(standing_blocks(account), bot.pk, "EURUSD") is not None
    assert block_on(standing_blocks(account), other.pk, "EURUSD") is None
    everything = throw(world, "flatten", everything=True)
    assert block_on(standing_blocks(account), other.pk, "EURUSD") is not None
    assert flattened_bots(account) == {None}
    for switch in (of_bot, everything):
        release(switch_id=switch, reason="fine", by=world.ada, at=START)
    throw(world, "no_entries")
    assert standing_blocks(account) == ()


# A session


def test_no_entries_opens_no_cycle(world: World) -> None:
    world.bot()
    throw(world, "no_entries")
    world.run(4)
    assert entries() == 0


def test_who_is_flattened_is_not_asked(world: World) -> None:
    bot, other = world.bot(), world.bot("Other")
    throw(world, "flatten", bot=bot)
    assert [b.pk for b in world.session.trader.bots()] == [other.pk]
    throw(world, "flatten", everything=True)
    assert world.session.trader.bots() == []


def test_a_frozen_bot_does_not_even_close(world: World) -> None:
    world.bot(target_profit=10.0)
    world.run(3)
    TradingAccount.objects.update(restart_policy="adopt_and_freeze")
    world.restart()
    world.move(+40, run=4)
    assert OrderIntent.objects.filter(kind="close").count() == 0
    assert world.session.trader.bots() == []
    block = Block.objects.get(cause="restart frozen", lifted_at=None)
    assert lift_block(block_id=block.pk, why="looked at it", by_id=world.ada.pk, at=world.clock.now())
    world.run(3)
    assert OrderIntent.objects.filter(kind="close").count() == 1


def test_entries_need_guards_that_looked_within_ten_seconds(world: World) -> None:
    configure(world)
    world.run(2)
    world.session.loop.jobs["guards"].due_at = NEVER
    world.run(12)
    world.bot()
    world.run(3)
    assert entries() == 0
    (asked,) = world.session.trader.asked.values()
    assert asked.view.entries_blocked is not None
    assert "guards have not looked" in asked.view.entries_blocked
    world.session.loop.jobs["guards"].due_at = 0.0
    world.run(4)
    assert entries() == 1


def test_an_account_that_was_not_read_for_ten_seconds_allows_exits_only(world: World) -> None:
    configure(world)
    world.run(2)
    for job in ("orders", "reconciliation", "integrity"):
        world.session.loop.jobs[job].due_at = NEVER
    world.run(12)
    alarm = GuardAlarm.objects.get(guard="drawdown")
    assert (alarm.tier, alarm.phase) == (2, "standing")
    assert "don't agree" in alarm.text


def test_limits_hold_within_one_pass(world: World) -> None:
    """Several bots enter at once: what the first of them has just opened counts for the others."""
    configure(world, max_cycles=2)
    for n in range(4):
        world.bot(f"Bot {n}")
    world.run(1.2)
    assert entries() == 2
    world.run(3)
    assert entries() == 2
    configure(world, max_cycles=9, max_lots=0.3)
    world.run(3)
    assert entries() == 3


@pytest.mark.parametrize("mode", ["no_entries", "exits_only", "flatten"])
def test_a_kill_switch_that_comes_after_the_review_still_holds_the_entry_back(
    mode: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person stops the account between the review's look and the moment at which the request would leave."""
    from risk.domain import review as honest

    def review(*args: Any) -> Any:
        verdict = honest(*args)
        if entries() == 0:
            throw(world, mode)
        return verdict

    monkeypatch.setattr("engine.trading.review", review)
    world.bot()
    world.run(3)
    assert world.truth.positions == ()
    assert {(i.state, i.sent_at) for i in OrderIntent.objects.all()} == {("refused", None)}
    assert OrderIntent.objects.count() == 1


def test_no_new_cycles_lets_an_open_one_go_on_however_late_it_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from risk.domain import review as honest

    world.bot()
    world.run(3)
    assert len(world.truth.positions) == 1

    def review(*args: Any) -> Any:
        if not KillSwitch.objects.exists():
            throw(world, "no_entries")
        return honest(*args)

    monkeypatch.setattr("engine.trading.review", review)
    world.move(-11, run=3)
    assert KillSwitch.objects.exists()
    assert len(world.truth.positions) == 2


def test_a_veto_in_the_moment_of_the_deadline_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from risk.domain.alarms import follow as honest

    configure(world)
    world.bot(lot_size=1.0, distance=5000.0, target_profit=1e6)
    world.run(3)
    world.move(-210, run=2)
    row = GuardAlarm.objects.get(guard="drawdown", phase="countdown")
    deadline = row.deadline
    assert deadline is not None

    def follow(*args: Any, **names: Any) -> Any:
        after = honest(*args, **names)
        if after is not None and after.phase is Phase.CLOSING and GuardAlarm.objects.get(pk=row.pk).phase != "vetoed":
            veto_alarm(alarm_id=row.pk, reason="just in time", by=world.ada, at=deadline - timedelta(seconds=0.1))
        return after

    monkeypatch.setattr("engine.guarding.follow", follow)
    world.run(14)
    row.refresh_from_db()
    assert row.phase == "vetoed"
    assert len(world.truth.positions) == 1


def test_a_position_that_a_guard_closes_ends_its_cycle(world: World) -> None:
    configure(world, position_close=1.0)
    world.bot(distance=30.0, lot_size=0.5)
    world.run(3)
    world.move(-31, run=2)
    assert not world.truth.positions
    (cycle,) = world.cycles()
    assert (cycle.status, cycle.close_reason) == ("closed", "guard loss")


def test_resting_orders_go_before_positions_and_nothing_goes_without_the_lease(world: World) -> None:
    configure(world)
    world.bot(pending=True, max_levels=3)
    world.run(5)
    assert len(world.truth.orders) > 0
    session = world.session
    session.guards.closer._may_go_on = lambda: False
    throw(world, "flatten")
    world.run(3)
    assert not OrderIntent.objects.filter(kind__in=("close", "cancel")).exists()
    session.guards.closer._may_go_on = lambda: True
    world.run(4)
    assert not world.truth.positions
    assert not world.truth.orders
    kinds = list(OrderIntent.objects.filter(kind__in=("close", "cancel")).order_by("id").values_list("kind", flat=True))
    assert kinds == sorted(kinds), "cancel comes before close"


def test_a_level_is_judged_by_the_worst_case_of_today(world: World) -> None:
    configure(world, worst_case=True)
    world.bot(max_levels=3, lot_size=0.5)
    world.run(3)
    # The broker now stops out early: 1,650 of margin at the last level would need 16,500 of equity
    configure(world, worst_case=True, stop_out=1000.0, margin_after=0.0, margin_warn=None, margin_reduce=None)
    world.move(-11, run=3)
    assert entries() == 1
    (asked,) = world.session.trader.asked.values()
    assert [v.code for v in asked.vetoes] == ["worst_case"]


def test_bots_are_judged_together(world: World) -> None:
    """Each alone could run to its last level; both could not."""
    heavy: dict[str, Any] = {"lot_size": 1.0, "distance": 100.0, "max_levels": 2}
    configure(world, worst_case=True)
    world.bot("First", **heavy)
    world.run(8)
    assert entries() == 1
    configure(world, worst_case=True, stop_out=220.0, margin_after=0.0, margin_warn=None, margin_reduce=None)
    world.run(8)
    alone = world.session.projector
    bot = world.bot("Second", **heavy)
    world.run(3)
    assert entries() == 1
    asked = next(a for i, a in world.session.trader.asked.items() if i.bot_id == bot.pk)
    assert [v.code for v in asked.vetoes] == ["worst_case"]
    opening = asked.decision.actions[0]
    alone._runs = {}
    assert alone.objection(bot, asked.view, opening) is None, "alone it would do"  # type: ignore[arg-type]


def test_a_marked_order_that_nobody_knows_is_closed_whole(world: World) -> None:
    configure(world)
    world.run(2)
    assert world.by_hand().Buy("EURUSD", 0.3) is not None
    throw(world, "flatten")
    world.run(4)
    assert not world.truth.positions
    (close,) = OrderIntent.objects.filter(kind="close")
    assert (float(close.volume), close.order_id, close.trace["woken_by"]) == (0.3, None, "guard")
    assert entries() == 0


@pytest.mark.requirement("S4-32")
def test_the_review_knows_the_sets_that_are_traded_and_when_they_last_closed(world: World) -> None:
    """Two bots may follow the same set of pseudo positions: it has one position on the account all the same."""
    first, second = world.bot("First"), world.bot("Second")
    session = world.session
    for n, (bot, key, closed) in enumerate(((first, "a", None), (second, "b", 5), (first, "b", 9))):
        assert bot.config is not None
        Cycle.objects.create(
            account=world.account, bot=bot, config=bot.config, number=n + 1, symbol="EURUSD", side="buy",
            memory={"set": key}, opened_at=START, status="open" if closed is None else "closed",
            closed_at=None if closed is None else later(closed),
        )  # fmt: skip
    session.guards.run()
    current = session.trader._round()
    market = session.market
    quote, spec = market.quote("EURUSD"), market.spec("EURUSD")
    load = standing_of(world.clock.now(), quote, spec, current, session.guards).load
    assert (load.sets_open, load.sets_closed) == ({"a": 1}, {"b": later(9)})
    assert not current.with_sets(load, "GBPUSD").sets_open
