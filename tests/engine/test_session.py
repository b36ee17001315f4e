"""A whole account on a virtual clock: cycles open, extend and close, and the books equal the broker after each pass."""

import pytest

from cycles.models import Cycle
from engine.models import EngineState
from engine.report import compare_with_truth
from events.models import Event
from orders.models import AccountMarks, Deal, Order, OrderIntent
from tests.world import World


@pytest.mark.requirement("S0-42", "S1-31", "S1-35", "S1-39")
def test_a_cycle_opens_extends_and_closes_at_its_target(world: World) -> None:
    world.bot()
    world.run(3)
    (cycle,) = world.cycles("open")
    assert [(o.level, float(o.volume)) for o in world.open_orders()] == [(0, 0.1)]
    world.assert_equal()

    world.move(-11)
    assert [o.level for o in world.open_orders()] == [0, 1]
    world.assert_equal()

    world.move(+20, run=3)
    cycle.refresh_from_db()
    assert (cycle.status, cycle.close_reason) == ("closed", "target")
    assert cycle.realized_profit == sum(
        (d.profit + d.swap + d.commission for d in Deal.objects.exclude(position_id=0)), 0
    )
    assert cycle.realized_profit > 5
    world.assert_equal()
    kinds = world.kinds()
    assert kinds.index("CYCLE_OPENED") < kinds.index("CYCLE_CLOSED")


def test_every_order_goes_through_exactly_one_intent(world: World) -> None:
    world.bot()
    for _ in range(6):
        world.move(-11)
        world.move(+7)
    tokens = [p.comment.removeprefix("td:") for p in (*world.truth.positions,)]
    assert len(tokens) == len(set(tokens)) > 1
    assert set(tokens) <= set(OrderIntent.objects.values_list("token", flat=True))


def test_a_quiet_pass_writes_nothing(world: World) -> None:
    world.bot()
    world.run(30)
    passes, quiet = world.session.orders.statistics.total_syncs, world.session.orders.statistics.quiet_passes
    rows = [list(model.objects.values_list()) for model in (Order, Cycle, AccountMarks)]
    world.run(10)
    counted = world.session.orders.statistics
    assert counted.total_syncs - passes == counted.quiet_passes - quiet > 10
    assert [list(model.objects.values_list()) for model in (Order, Cycle, AccountMarks)] == rows


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize("function", ["positions_get", "account_info", "orders_get", "history_deals_get"])
def test_an_empty_answer_that_is_a_failure_closes_nothing(world: World, function: str) -> None:
    world.bot()
    world.run(3)
    before = world.open_orders()
    world.terminal.faults.none_from(function, 40)
    world.run(5)
    world.terminal.faults.armed.clear()
    world.run(70)
    assert world.open_orders() == before
    assert "ORDER_CLOSED_BY_MT5" not in world.kinds()
    world.assert_equal()


def test_a_lost_reply_after_the_fill_is_adopted_and_not_sent_again(world: World) -> None:
    world.terminal.faults.reply_lost_after_execution()
    world.bot()
    world.run(20)
    assert len(world.truth.positions) == 1
    assert [i.state for i in OrderIntent.objects.all()] == ["adopted"]
    assert len(world.open_orders()) == 1
    world.assert_equal()


def test_a_request_lost_on_its_way_is_proven_absent_before_another_is_made(world: World) -> None:
    world.terminal.faults.reply_lost_before_execution()
    world.bot()
    world.run(5)
    assert len(world.truth.positions) == 0
    assert [i.state for i in OrderIntent.objects.all()] == ["unknown"]
    world.run(75)
    assert len(world.truth.positions) == 1
    assert OrderIntent.objects.order_by("id").values_list("state", flat=True)[0] == "absent"
    world.assert_equal()


def test_a_position_closed_by_hand_is_booked_with_its_reason(world: World) -> None:
    world.bot(max_cycles=1, entry_cooldown=3600)
    world.run(3)
    assert world.by_hand().Close("EURUSD") is True
    world.run(3)
    assert world.open_orders() == []
    assert "ORDER_MANUALLY_CLOSED" in world.kinds() or "ORDER_CLOSED_BY_MT5" in world.kinds()
    assert world.cycles("open") == []
    world.assert_equal()


def test_a_stop_loss_hit_while_away_is_found_at_the_start(world: World) -> None:
    world.bot(take_profit=20.0, target_profit=1000.0, entry_cooldown=3600)
    world.run(3)
    assert world.truth.positions[0].tp > 0
    world.crash()
    world._session = None
    hand = world.by_hand()
    world.clock.advance(60)
    hand.push_tick("EURUSD", 1.1050, 1.1051)
    world.bid = 1.1050
    world.start()
    assert world.open_orders() == []
    closed = Order.objects.get()
    assert (closed.status, closed.close_reason) == ("closed", "take_profit")
    assert "ORDER_CLOSED_BY_MT5" in world.kinds()


def test_a_paused_account_closes_but_opens_nothing(world: World) -> None:
    from accounts.services import set_desired_state

    world.bot(max_cycles=3, entry_cooldown=0)
    world.run(3)
    set_desired_state(account=world.account, state="paused", at=world.clock.now(), by=world.ada)
    world.run(3)
    opened = Order.objects.count()
    world.move(-30, run=5)
    world.move(+45, run=5)
    assert Order.objects.count() == opened
    assert world.cycles("open") == []
    assert EngineState.objects.get().status == "paused"
    set_desired_state(account=world.account, state="running", at=world.clock.now(), by=world.ada)
    world.run(5)
    assert len(world.cycles("open")) == 1


def test_a_crash_at_any_time_loses_and_doubles_nothing(world: World) -> None:
    world.bot()
    world.run(3)
    for round_ in range(5):
        world.move(-11)
        world.restart()
        world.assert_equal()
        assert len(world.truth.positions) == round_ + 2
    assert len(world.cycles("open")) == 1


@pytest.mark.requirement("S0-53", "S0-57", "S0-56")
def test_the_state_row_tells_health_positions_and_statistics(world: World) -> None:
    world.bot()
    world.run(65)
    state = EngineState.objects.get()
    assert (state.status, state.manager_health_status, state.active_positions_count) == ("running", "healthy", 1)
    assert set(state.statistics["jobs"]) == set(world.session.loop.jobs)
    assert Event.objects.filter(kind="SYSTEM_HEALTH").exists()


def test_a_wrong_password_is_said_in_one_line_and_trades_nothing(world: World) -> None:
    from brokers.gateway import ConnectError

    world.bot()
    with pytest.raises(ConnectError, match=r"Login 1001 at Sim-Server was refused.*Check login, server and password"):
        world.start(password="wrong")
    state = EngineState.objects.get()
    assert (state.status, "refused" in state.error_message) == ("error", True)
    assert OrderIntent.objects.count() == 0


def test_a_lot_below_the_minimum_is_a_refusal_that_says_why(world: World) -> None:
    world.bot(lot_size=0.001)
    world.run(5)
    assert world.truth.positions == ()
    (refusals,) = world.session.statistics()["refusals"].values()
    assert refusals[0] == ("volume: 0.001 lots: EURUSD takes 0.01 to 100; change lot_size, or how it grows")
    assert Event.objects.filter(kind="ENTRY_REFUSED").count() == 1


def test_an_unknown_symbol_is_said_and_other_bots_go_on(world: World) -> None:
    world.bot("Lost", symbols=["XAUUSD"])
    world.bot("Grid")
    world.run(10)
    assert len(world.truth.positions) == 1
    assert Event.objects.filter(text__contains="XAUUSD").exclude(kind__startswith="BOT").exists()


def test_a_stop_books_what_happened_since_the_last_pass(world: World) -> None:
    world.bot()
    world.run(3)
    world.session.trader.close_all("the test wants it")
    compared = compare_with_truth(world.account.pk, world.truth)
    assert compared.deals_missing, "the closing deal is not booked yet"
    world.session.stop()
    world.assert_equal()
    assert EngineState.objects.get().status == "stopped"


def test_a_stop_goes_on_when_the_broker_does_not_answer(world: World) -> None:
    world.bot()
    world.run(3)
    world.terminal.faults.none_from("positions_get", 40)
    world.session.stop()
    assert EngineState.objects.get().status == "stopped"
