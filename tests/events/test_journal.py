"""The journal and the command inbox, on a real database."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction
from pytest_django import DjangoAssertNumQueries

from events.domain import EventDraft
from events.models import Command, Event
from events.selectors import last_events, waiting_commands
from events.services import ask, finish_command, record, record_many
from tests.dashboard.desks import Desk, build_desk

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def desk(db: None) -> Desk:
    return build_desk()


def test_an_event_is_kept_with_everything_it_is_about(desk: Desk) -> None:
    leg = desk.legs[0]
    event = record(
        kind="ORDER_FILLED",
        text="filled",
        at=AT,
        account_id=desk.account.pk,
        bot_id=desk.bot.pk,
        cycle_id=desk.cycle.pk,
        order_id=leg.pk,
        data={"price": 1.08},
    )
    event.refresh_from_db()
    assert (event.account, event.bot, event.cycle, event.order) == (desk.account, desk.bot, desk.cycle, leg)
    assert (event.level, event.at, event.data) == ("info", AT, {"price": 1.08})


def test_a_text_that_is_too_long_is_cut_not_refused(db: None) -> None:
    assert record(kind="NOTE", text="x" * 900, at=AT).text == "x" * 499 + "…"


def test_many_events_are_one_insert_in_the_order_given(
    desk: Desk, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    drafts = [EventDraft("NOTE", f"number {n}", AT, account_id=desk.account.pk) for n in range(15)]
    with django_assert_num_queries(5):  # savepoint, insert, notify, who wants to hear of it, release
        events = record_many(drafts)
    assert [event.text for event in events] == [draft.text for draft in drafts]
    assert [event.pk for event in events] == sorted(event.pk for event in events)


def test_nothing_to_record_is_no_query(django_assert_num_queries: DjangoAssertNumQueries, db: None) -> None:
    with django_assert_num_queries(0):
        assert record_many([]) == []


def test_an_event_is_a_fact(desk: Desk) -> None:
    event = record(kind="NOTE", text="as it was", at=AT)
    with pytest.raises(DatabaseError), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(text="as it was not")
    with pytest.raises(DatabaseError), transaction.atomic():
        Event.objects.filter(pk=event.pk).delete()


@pytest.mark.requirement("S0-97")
def test_the_newest_events_of_the_accounts_asked_for(desk: Desk) -> None:
    other = build_desk(name="Other", login=2002)
    for text, account in (("first", desk.account), ("elsewhere", other.account), ("second", desk.account)):
        record(kind="NOTE", text=text, at=AT, account_id=account.pk)
    record(kind="NOTE", text="noise", level="debug", at=AT, account_id=desk.account.pk)
    record(kind="NOTE", text="of no account", at=AT)
    assert [event.text for event in last_events([desk.account.pk])] == ["second", "first"]
    assert [event.text for event in last_events(None, limit=1)] == ["of no account"]
    assert last_events([]) == []


def test_commands_wait_in_order_and_are_answered_once(desk: Desk) -> None:
    first = ask(account_id=desk.account.pk, kind="force_order_sync", args={}, by=desk.ada, at=AT)
    second = ask(account_id=desk.account.pk, kind="state_changed", args={"a": 1}, by=None, at=AT)
    assert waiting_commands(desk.account.pk) == [first, second]
    later = AT + timedelta(seconds=1)
    assert finish_command(first.pk, ok=True, result="12 at the broker", at=later)
    assert not finish_command(first.pk, ok=False, result="again", at=later)
    assert waiting_commands(desk.account.pk) == [second]
    first.refresh_from_db()
    assert (first.state, first.result, first.done_at) == (Command.State.DONE, "12 at the broker", later)
    assert first.requested_by == desk.ada
    assert finish_command(second.pk, ok=False, result="no", at=later)
    second.refresh_from_db()
    assert second.state == Command.State.FAILED
