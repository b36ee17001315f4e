"""A pass on a whole world: what is opened, followed and ended, what policies do, and when entries stop (S3)."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from events.models import Event
from orders.models import Deal, Order, OrderIntent
from reconciliation.models import BookSnapshot, Divergence, DivergenceStep, PolicyRule, ThresholdRule
from reconciliation.services import settling
from risk.models import Block
from tests.world import World

ONE_CYCLE: dict[str, Any] = {"max_cycles": 1, "entry_cooldown": 86400, "target_profit": 1000.0}


@pytest.fixture
def held(world: World) -> World:
    """A world with one cycle of one leg."""
    world.bot(**ONE_CYCLE)
    world.run(3)
    assert len(world.open_orders()) == 1
    return world


def by_hand(world: World, **fields: Any) -> int:
    """Ask for something at a second terminal, as a person would; return the order's ticket."""
    result = world.by_hand().order_send({"symbol": "EURUSD", **fields})
    assert result is not None
    assert result.retcode == 10009, result
    return int(result.order)


def check(world: World, times: int = 1) -> None:
    """Reconcile now, and again as often; the seconds between the session's own checks pass in between."""
    for _ in range(times):
        world.clock.advance(1)
        world.session.reconciler.run()
        world.session.cycles.run()


def opened(world: World, kind: str) -> Divergence:
    """Return the only open divergence of a kind."""
    return Divergence.objects.get(kind=kind, state="open")


@pytest.mark.requirement("S3-05", "S3-07", "S3-34", "S3-40")
def test_full_sync_workflow(held: World) -> None:
    found = held.session.reconciler.run()
    assert (found.positions, found.orders, found.matched, found.findings) == (1, 1, 1, ())
    assert found.quiet


@pytest.mark.requirement("S3-06")
def test_fetch_account_snapshot(held: World) -> None:
    book = held.session.gateway.book()
    assert book.account.equity == pytest.approx(book.account.balance + book.unrealized_pnl)
    assert book.total_open_volume == 0.1


def test_a_second_pass_over_an_unchanged_world_writes_nothing_and_says_so(held: World) -> None:
    by_hand(held, action=1, volume=0.5, type=1, magic=0)
    by_hand(held, action=6, position=held.open_orders()[0].ticket, sl=1.05)
    held.session.reconciler.run()
    held.session.reconciler.run()
    before = (Event.objects.count(), Divergence.objects.count(), held.session.reconciler.statistics.quiet_passes)
    with CaptureQueriesContext(connection) as seen:
        found = held.session.reconciler.run()
    assert found.quiet
    assert len(found.findings) == 2
    writes = [
        q["sql"] for q in seen if q["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE") or "pg_notify" in q["sql"]
    ]
    assert writes == []
    after = (Event.objects.count(), Divergence.objects.count(), held.session.reconciler.statistics.quiet_passes)
    assert after == (before[0], before[1], before[2] + 1)
    assert held.session.reconciler.status()["last_writes"] == 0


@pytest.mark.requirement("S3-10", "S3-13", "S3-27", "S3-32", "S3-38", "S3-40")
def test_divergence_workflow_and_record_divergence(held: World) -> None:
    order = held.open_orders()[0]
    by_hand(held, action=6, position=order.ticket, sl=1.05)
    held.run(11)
    row = opened(held, "stop_loss")
    assert (row.order, row.ours["sl"], row.theirs["sl"], row.matched) == (order, 0.0, 1.05, 1)
    assert row.rule == "stop loss set at the broker"
    assert row.automatic == "none: the policy is to tell people"
    assert row.snapshot is not None
    assert row.snapshot.broker[0]["sl"] == 1.05
    assert row.snapshot.books[0]["sl"] == 0.0
    assert Event.objects.filter(kind="DIVERGENCE_OPENED").count() == 1
    by_hand(held, action=6, position=order.ticket, sl=1.04)
    check(held)
    row.refresh_from_db()
    assert (row.state, row.theirs["sl"]) == ("open", 1.04)
    assert row.updated_at > row.opened_at
    by_hand(held, action=6, position=order.ticket, sl=0.0)
    check(held)
    row.refresh_from_db()
    assert (row.state, row.closed_how, row.closed_by) == ("closed", "gone", None)
    assert Divergence.objects.count() == 1


def test_snapshots_and_steps_are_facts(held: World) -> None:
    by_hand(held, action=1, volume=0.5, type=1)
    check(held)
    settling.add_note(divergence=Divergence.objects.get(), text="mine", by=held.ada, at=held.clock.now())
    for model in (BookSnapshot, DivergenceStep):
        with pytest.raises(DatabaseError, match="fact"), transaction.atomic():
            model.objects.update(at=held.clock.now())


@pytest.mark.requirement("S3-11", "S3-30")
def test_record_unmatched_position(held: World) -> None:
    ticket = by_hand(held, action=1, volume=0.5, type=1)
    check(held, 2)
    row = opened(held, "unmatched")
    assert (row.ticket, row.matched, row.severity, row.theirs["volume"]) == (ticket, 2, 1, 0.5)
    assert not Block.objects.filter(cause="reconciliation").exists()
    assert Event.objects.filter(kind__in=("POSITION_FOREIGN", "DIVERGENCE_OPENED")).count() == 1


@pytest.mark.requirement("S3-12", "S3-28", "S3-40")
def test_closed_position_workflow(held: World) -> None:
    order = held.open_orders()[0]
    by_hand(held, action=6, position=order.ticket, tp=1.1005)
    held.run(1)
    held.price(1.1010, run=1)
    check(held)
    row = Divergence.objects.get(kind="closed_by_broker")
    assert (row.matched, row.state, row.closed_how, row.order) == (0, "closed", "mirrored", order)
    assert row.theirs["reason"] == "take_profit"
    check(held, 2)
    assert Divergence.objects.filter(kind="closed_by_broker").count() == 1
    held.assert_equal()


@pytest.mark.requirement("S3-25", "S3-38")
def test_an_entry_away_from_the_decisions_price_is_told(held: World) -> None:
    intent = OrderIntent.objects.get()
    intent.trace["tick"]["ask"] = 1.0990
    intent.save()
    check(held)
    row = opened(held, "entry")
    assert (row.measured, row.threshold) == (11.0, 5.0)
    assert row.ours["price"] == 1.0990


def test_a_partial_close_by_hand_is_told_and_one_of_ours_is_not(held: World) -> None:
    order = held.open_orders()[0]
    by_hand(held, action=1, position=order.ticket, volume=0.04, type=1)
    check(held)
    row = opened(held, "volume")
    assert (row.ours["volume"], row.theirs["volume"], row.measured) == (0.1, 0.06, 0.4)
    OrderIntent.objects.create(
        account=held.account, order=order, kind="close", cause_key="x", token="closeof0001", state="filled",
        symbol="EURUSD", side="buy", volume="0.04", filled_volume="0.04", magic=order.magic, comment="",
        why="ours", fence=1, created_at=held.clock.now(), sent_at=held.clock.now(), deadline=held.clock.now(),
        done_at=held.clock.now(),
    )  # fmt: skip
    check(held)
    row.refresh_from_db()
    assert row.closed_how == "gone"


def test_a_failed_read_is_no_empty_book(held: World) -> None:
    """X-04: nothing is written, nothing is closed, and the error is told."""
    held.terminal.faults.disconnect()
    held.run(30)
    assert Divergence.objects.count() == 0
    assert held.session.reconciler.status()["errors"] > 0
    held.terminal.faults.reconnect()
    held.run(70)
    assert held.session.reconciler.status()["last_error"] == ""
    held.assert_equal()


def test_a_position_with_our_mark_that_the_books_lost_stops_entries_until_it_is_settled(held: World) -> None:
    by_hand(held, action=1, volume=0.2, type=0, magic=0, comment="td:zzzzzzzzzz")
    check(held)
    row = opened(held, "missing_books")
    assert row.severity == 3
    block = Block.objects.get(cause="reconciliation", lifted_at=None)
    assert "1 critical" in block.reason
    settling.mark_manual(divergence=row, why="mine", by=held.ada, at=held.clock.now())
    check(held)
    block.refresh_from_db()
    assert block.lifted_at is not None


@pytest.mark.requirement("X-01")
def test_an_order_without_a_position_and_without_a_deal_is_critical_and_nothing_is_closed_unproved(held: World) -> None:
    order = held.open_orders()[0]
    Order.objects.create(
        account=held.account, bot=order.bot, cycle=order.cycle, ticket=77, identifier=77, symbol="eurusd", side="buy",
        status="open", volume="0.2", volume_initial="0.2", price_open="1.1001", opened_at=held.clock.now(), level=1,
    )  # fmt: skip
    ticket = by_hand(held, action=1, volume=0.2, type=0)
    check(held)
    assert not Divergence.objects.filter(kind="missing_broker").exists(), "one look may be a matter of arrival"
    check(held)
    row = opened(held, "missing_broker")
    assert row.suggestion["ticket"] == ticket, "the same direction, volume and price: perhaps this one"
    assert opened(held, "unmatched").suggestion["ticket"] == 77
    assert Order.objects.get(identifier=77).status == "open"
    assert Block.objects.filter(cause="reconciliation", lifted_at=None).exists()
    settling.accept_broker(divergence=row, why="checked at the broker", by=held.ada, at=held.clock.now())
    check(held, 2)
    assert Order.objects.get(identifier=77).status == "closed"
    assert not Block.objects.filter(cause="reconciliation", lifted_at=None).exists()


def test_a_balance_without_a_deal_needs_a_second_look_and_is_accepted_once(held: World) -> None:
    check(held)
    Deal.objects.create(
        account=held.account, ticket=999, kind="balance", entry="in", reason="other", volume=0, price=0,
        profit="50.00", swap=0, commission=0, fee=0, at=held.clock.now(),
    )  # fmt: skip
    held.session.reconciler.run()
    assert not Divergence.objects.exists()
    held.session.reconciler.run()
    row = opened(held, "balance")
    assert (row.measured, row.severity) == (50.0, 2)
    settling.accept_broker(divergence=row, why="the broker's bonus", by=held.ada, at=held.clock.now())
    check(held, 3)
    assert Divergence.objects.filter(kind="balance").count() == 1
    held.restart()
    check(held, 3)
    assert Divergence.objects.filter(kind="balance").count() == 1, "a restart remembers what was accepted"


def test_wrong_figures_are_booked_from_the_deals_again(held: World) -> None:
    held.by_hand().Close("EURUSD")
    held.run(2)
    right = Order.objects.get().profit
    Order.objects.update(profit=right + 5)
    check(held, 2)
    row = Divergence.objects.get(kind="profit")
    assert (row.closed_how, row.measured) == ("mirrored", 5.0)
    assert Order.objects.get().profit == right


def test_an_unknown_outcome_is_told_while_it_lasts(world: World) -> None:
    world.terminal.faults.delayed_execution(25)
    world.bot(**ONE_CYCLE)
    world.run(15)
    row = opened(world, "unknown")
    assert (row.intent, row.ours["volume"]) == (OrderIntent.objects.get(), 0.1)
    world.run(25)
    row.refresh_from_db()
    assert row.closed_how == "gone"
    world.assert_equal()


def test_a_late_execution_is_told_once_and_waits_for_a_person(world: World) -> None:
    world.terminal.faults.delayed_execution(80)
    world.bot(**ONE_CYCLE)
    world.run(92)
    row = opened(world, "late")
    assert row.intent == OrderIntent.objects.order_by("id")[0]
    assert row.order is not None
    settling.accept_broker(divergence=row, why="seen", by=world.ada, at=world.clock.now())
    check(world, 2)
    assert Divergence.objects.filter(kind="late").count() == 1


def test_policies_ignore_alert_mirror_and_say_what_a_dry_run_would_do(held: World) -> None:
    ticket = held.open_orders()[0].ticket
    rule = PolicyRule.objects.create(account=held.account, kind="stop_loss", policy="ignore")
    by_hand(held, action=6, position=ticket, sl=1.05)
    check(held)
    assert not Divergence.objects.exists()
    PolicyRule.objects.filter(pk=rule.pk).update(policy="mirror", dry_run=True)
    check(held)
    row = opened(held, "stop_loss")
    assert row.automatic == "dry run: the books would have followed"
    settling.accept_broker(divergence=row, why="fine", by=held.ada, at=held.clock.now())
    PolicyRule.objects.filter(pk=rule.pk).update(dry_run=False)
    by_hand(held, action=6, position=ticket, sl=1.04)
    check(held)
    newest = Divergence.objects.latest("id")
    assert (newest.closed_how, newest.closed_by, newest.theirs["sl"]) == ("mirrored", None, 1.04)


def test_a_policy_of_adopting_takes_a_position_into_the_cycle_of_its_magic_number(held: World) -> None:
    cycle = held.cycles("open")[0]
    PolicyRule.objects.create(account=None, kind="missing_books", policy="adopt")
    by_hand(held, action=1, volume=0.2, type=0, magic=cycle.bot.magic)
    by_hand(held, action=1, volume=0.2, type=1, magic=cycle.bot.magic)
    check(held)
    adopted, left = Divergence.objects.filter(kind="missing_books").order_by("id")
    assert (adopted.state, adopted.closed_how) == ("closed", "adopted")
    assert (left.state, left.automatic[:11]) == ("open", "none: no bo")
    assert cycle.orders.filter(status="open").count() == 2


def test_thresholds_of_a_symbol_come_before_those_of_the_account(held: World) -> None:
    order = held.open_orders()[0]
    OrderIntent.objects.update(sl="1.0500")
    ThresholdRule.objects.create(account=held.account, symbol="", stops_pips=1.0)
    ThresholdRule.objects.create(account=None, symbol="EURUSD", stops_pips=2.0)
    ThresholdRule.objects.create(account=held.account, symbol="eurusd", stops_pips=500.0)
    by_hand(held, action=6, position=order.ticket, sl=1.0300)
    check(held)
    assert set(Divergence.objects.values_list("kind", "closed_how")) == {("foreign_change", "mirrored")}


def test_a_dry_run_of_a_pass_only_looks(held: World) -> None:
    by_hand(held, action=1, volume=0.5, type=1)
    found = held.session.reconciler.run(dry_run=True)
    assert [f.kind for f in found.findings] == ["unmatched"]
    assert not Divergence.objects.exists()
