"""What a person settles: the books or the broker follow, every step has a reason, and what can be is undone."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from cycles.models import Cycle
from events.models import Command, Event
from orders.models import Order, OrderIntent
from reconciliation.models import Claim, Divergence, DivergenceStep
from reconciliation.selectors import manual_positions
from reconciliation.services import claims, settling
from risk.models import Block
from tests.reconciliation.test_pass import by_hand, check, held, opened
from tests.world import World

__all__ = ["held"]


def said(world: World) -> dict[str, Any]:
    return {"why": "agreed with the broker", "by": world.ada, "at": world.clock.now()}


@pytest.fixture
def stops(held: World) -> Divergence:
    """A stop loss that somebody set at the broker."""
    by_hand(held, action=6, position=held.open_orders()[0].ticket, sl=1.05)
    check(held)
    return opened(held, "stop_loss")


@pytest.fixture
def manual(held: World) -> Divergence:
    """A position that somebody opened by hand."""
    by_hand(held, action=1, volume=0.2, type=0)
    check(held)
    return opened(held, "unmatched")


def test_accepting_the_brokers_side_sends_nothing_and_stays_quiet_until_it_changes(
    held: World, stops: Divergence
) -> None:
    intents = OrderIntent.objects.count()
    row = settling.accept_broker(divergence=stops, **said(held))
    assert (row.closed_how, row.closed_by, row.closed_why) == ("accepted", held.ada, "agreed with the broker")
    check(held, 3)
    assert Divergence.objects.count() == 1
    assert OrderIntent.objects.count() == intents
    assert float(held.open_orders()[0].sl) == 1.05
    by_hand(held, action=6, position=row.ticket, sl=1.01)
    check(held)
    assert opened(held, "stop_loss").theirs["sl"] == 1.01


def test_accepting_ours_sets_the_stops_at_the_broker_once_and_the_next_check_ends_it(
    held: World, stops: Divergence
) -> None:
    settling.accept_ours(divergence=stops, **said(held))
    with pytest.raises(ValidationError, match="asked already"):
        settling.accept_ours(divergence=stops, **said(held))
    held.run(2)
    assert held.truth.positions[0].sl == 0.0
    assert [i.state for i in OrderIntent.objects.filter(kind="stops")] == ["filled"]
    check(held)
    stops.refresh_from_db()
    assert (stops.closed_how, stops.closed_by) == ("enforced", held.ada)
    assert list(stops.steps.values_list("action", "by")) == [("accept_ours", held.ada.pk), ("accept_ours", None)]
    assert stops.steps.latest("id").text == "the broker did it"
    held.assert_equal()


def test_what_the_broker_refuses_is_said_and_can_be_asked_again(held: World, stops: Divergence) -> None:
    held.terminal.faults.too_many_requests()
    settling.accept_ours(divergence=stops, **said(held))
    held.run(2)
    stops.refresh_from_db()
    assert (stops.state, stops.asked_at) == ("open", None)
    assert "refused" in stops.steps.latest("id").text
    settling.accept_ours(divergence=stops, **said(held))
    held.run(1)
    check(held)
    stops.refresh_from_db()
    assert stops.closed_how == "enforced"
    first, second = OrderIntent.objects.filter(kind="stops").order_by("id")
    assert (first.state, second.state, second.supersedes) == ("refused", "filled", first)


def test_accepting_ours_closes_a_position_that_must_not_be_there(held: World, manual: Divergence) -> None:
    settling.accept_ours(divergence=manual, **said(held))
    held.run(1)
    check(held)
    manual.refresh_from_db()
    assert manual.closed_how == "enforced"
    assert len(held.truth.positions) == 1
    assert OrderIntent.objects.get(kind="close").state == "filled"


@pytest.mark.parametrize("is_executed", [True, False])
def test_a_lost_close_of_a_foreign_position_ends_as_what_it_came_to(
    held: World, manual: Divergence, *, is_executed: bool
) -> None:
    faults = held.terminal.faults
    (faults.reply_lost_after_execution if is_executed else faults.reply_lost_before_execution)()
    settling.accept_ours(divergence=manual, **said(held))
    held.run(80)
    (close,) = OrderIntent.objects.filter(kind="close")
    assert close.history.filter(to_state="unknown").exists()
    assert close.state == ("adopted" if is_executed else "absent")
    assert len(held.truth.positions) == (1 if is_executed else 2)


def test_accepting_ours_closes_no_more_than_the_excess(held: World) -> None:
    order = held.open_orders()[0]
    OrderIntent.objects.filter(pk=order.intent_id or 0).update(volume="0.06")
    check(held)
    row = opened(held, "volume")
    settling.accept_ours(divergence=row, **said(held))
    held.run(2)
    assert held.truth.positions[0].volume == pytest.approx(0.06)


def test_a_manual_position_stays_untouched_and_is_shown_apart(held: World, manual: Divergence) -> None:
    settling.mark_manual(divergence=manual, **said(held))
    check(held, 3)
    assert [d.pk for d in manual_positions()] == [manual.pk]
    assert len(held.truth.positions) == 2
    assert len(held.open_orders()) == 1
    assert Divergence.objects.count() == 1, "it is not told again"
    settling.undo(divergence=manual, **said(held))
    manual.refresh_from_db()
    assert manual.state == "open"


def test_a_manual_position_is_claimed_into_a_cycle_and_released_again(held: World, manual: Divergence) -> None:
    cycle = held.cycles("open")[0]
    claim = claims.claim(divergence=manual, cycle=cycle, **said(held))
    assert (claim.order.cycle, claim.order.bot, claim.order.level) == (cycle, cycle.bot, 1)
    assert not manual_positions().exists()
    check(held)
    cycle.refresh_from_db()
    assert float(cycle.total_volume) == pytest.approx(0.3)
    held.assert_equal()
    claims.release(claim=claim, **said(held))
    check(held)
    order = Order.objects.get(pk=claim.order_id)
    assert (order.status, order.cycle, len(held.truth.positions)) == ("released", None, 2)
    cycle.refresh_from_db()
    assert float(cycle.total_volume) == pytest.approx(0.1)
    again = opened(held, "unmatched")
    second = claims.claim(divergence=again, cycle=cycle, **said(held))
    assert second.order_id == order.pk, "the same position is one order"
    assert Claim.objects.count() == 2
    assert {e.kind for e in Event.objects.filter(order=order)} >= {"POSITION_CLAIMED", "POSITION_RELEASED"}


def test_a_bot_closes_a_claimed_leg_with_its_cycle(held: World, manual: Divergence) -> None:
    cycle = held.cycles("open")[0]
    claims.claim(divergence=manual, cycle=cycle, **said(held))
    Cycle.objects.filter(pk=cycle.pk).update(status="closing")
    held.run(10)
    assert held.truth.positions == ()
    assert held.cycles()[0].status == "closed"
    held.assert_equal()


def test_a_claim_that_does_not_fit_is_refused_with_the_reason(held: World, manual: Divergence) -> None:
    cycle = held.cycles("open")[0]
    Divergence.objects.filter(pk=manual.pk).update(theirs={**manual.theirs, "side": "sell"})
    with pytest.raises(ValidationError, match="is a buy cycle, the position is a sell"):
        claims.claim(divergence=manual, cycle=cycle, **said(held))
    Divergence.objects.filter(pk=manual.pk).update(theirs={**manual.theirs, "symbol": "GBPUSD"})
    with pytest.raises(ValidationError, match="trades EURUSD"):
        claims.claim(divergence=manual, cycle=cycle, **said(held))
    Cycle.objects.update(status="closing")
    with pytest.raises(ValidationError, match="choose an open cycle"):
        claims.claim(divergence=manual, cycle=cycle, **said(held))
    assert Order.objects.count() == 1


def test_a_closed_leg_is_not_released(held: World, manual: Divergence) -> None:
    claim = claims.claim(divergence=manual, cycle=held.cycles("open")[0], **said(held))
    by_hand(held, action=1, position=manual.ticket, volume=0.2, type=1)
    held.run(2)
    with pytest.raises(ValidationError, match="nothing to release"):
        claims.release(claim=claim, **said(held))


def test_ignored_until_a_time_it_comes_back_if_it_lasts(held: World, stops: Divergence) -> None:
    until = held.clock.now() + timedelta(seconds=30)
    with pytest.raises(ValidationError, match="future"):
        settling.ignore_until(divergence=stops, until=held.clock.now(), **said(held))
    settling.ignore_until(divergence=stops, until=until, **said(held))
    check(held, 2)
    stops.refresh_from_db()
    assert stops.state == "ignored"
    held.clock.advance(30)
    check(held)
    stops.refresh_from_db()
    assert (stops.state, stops.ignored_until) == ("open", None)


def test_an_ignored_critical_divergence_does_not_stop_entries(held: World) -> None:
    by_hand(held, action=1, volume=0.2, type=0, magic=held.open_orders()[0].magic)
    check(held)
    assert Block.objects.filter(cause="reconciliation", lifted_at=None).exists()
    until = held.clock.now() + timedelta(hours=1)
    settling.ignore_until(divergence=opened(held, "missing_books"), until=until, **said(held))
    check(held)
    assert not Block.objects.filter(cause="reconciliation", lifted_at=None).exists()


def test_assigning_and_notes_leave_steps_and_a_stranger_is_refused(held: World, stops: Divergence) -> None:
    settling.assign(divergence=stops, assignee=held.ben, **said(held))
    settling.add_note(divergence=stops, text="asked the broker", by=held.ben, at=held.clock.now())
    with pytest.raises(ValidationError, match="no role"):
        settling.assign(divergence=stops, assignee=held.cem, **said(held))
    stops.refresh_from_db()
    assert stops.assignee == held.ben
    assert list(DivergenceStep.objects.values_list("action", flat=True)) == ["assign", "note"]


def test_what_changed_the_books_or_the_broker_is_not_undone(held: World, stops: Divergence) -> None:
    with pytest.raises(ValidationError, match="nothing that a person did"):
        settling.undo(divergence=stops, **said(held))
    settling.accept_broker(divergence=stops, **said(held))
    settling.undo(divergence=stops, **said(held))
    check(held)
    assert opened(held, "stop_loss").pk == stops.pk
    settling.accept_ours(divergence=stops, **said(held))
    held.run(1)
    check(held)
    with pytest.raises(ValidationError, match="can't be undone"):
        settling.undo(divergence=stops, **said(held))


def test_a_command_for_a_divergence_of_another_account_does_nothing(held: World, stops: Divergence) -> None:
    from events.services import ask

    ask(account_id=held.account.pk, kind="settle_divergence", args={"divergence": 10**9}, by=None, at=held.clock.now())
    held.run(1)
    assert Command.objects.latest("id").state == "failed"
