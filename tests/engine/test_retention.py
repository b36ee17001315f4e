"""What is old is removed, and no fact of money ever is."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import InternalError, connection, transaction
from django.db.utils import IntegrityError
from django.test import Client
from django_q.models import Schedule

from core.clock import SystemClock, VirtualClock
from engine import retention
from engine.retention import retire
from engine.tasks import retire_old
from events.models import Command, Event
from events.services import record
from notifications.models import Delivery, Target
from orders.models import Deal, IntentHistory, NotSent, OrderIntent
from tests.world import World

# Long before any clock's present: the database itself keeps what is younger than a week by its own clock
OLD = datetime(2020, 1, 1, 12, 0, tzinfo=UTC)
NOW = OLD + timedelta(days=20)


def kinds() -> list[str]:
    return sorted(Event.objects.exclude(kind=retention.EVENT).values_list("kind", flat=True))


@pytest.fixture
def clock(transactional_db: None) -> VirtualClock:
    return VirtualClock(NOW)


def test_each_kind_goes_after_its_days(clock: VirtualClock, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    settings.RETENTION_DEBUG_DAYS, settings.RETENTION_EVENTS_DAYS = 10, 30
    for _ in range(5):
        record(kind="SYSTEM_HEALTH", level="debug", text="fine", at=OLD)
    record(kind="SYSTEM_HEALTH", level="debug", text="fine", at=NOW - timedelta(days=9))
    record(kind="WARNED", level="warning", text="look", at=OLD)
    rehearsed = {one.kind: one.rows for one in retire(clock=clock, dry_run=True)}
    assert len(kinds()) == 7
    found = {one.kind: one.rows for one in retire(clock=clock)}
    assert found == rehearsed
    assert found["events for debugging"] == 5
    assert kinds() == ["SYSTEM_HEALTH", "WARNED"]
    clock.advance(11 * 86_400)
    assert {one.kind: one.rows for one in retire(clock=clock)}["events"] == 1
    assert kinds() == []
    last = retention.last_retention()
    assert last is not None
    assert (last["rows"], last["at"]) == (2, clock.now())


def test_what_was_answered_goes_and_what_waits_stays(world: World, settings: Any) -> None:
    now = NOW + timedelta(days=300)
    for state, done in (("done", OLD), ("failed", OLD), ("waiting", None), ("done", now - timedelta(days=1))):
        Command.objects.create(account=world.account, kind="x", requested_at=OLD, state=state, done_at=done)
    target = Target.objects.create(user=world.ada, name="phone", kind="webhook", created_at=OLD)
    events = [record(kind=f"E{n}", level="debug", text="t", at=OLD) for n in range(2)]
    for event, state in zip(events, ("sent", "waiting"), strict=True):
        Delivery.objects.create(target=target, event=event, state=state, due_at=OLD)
    bot = world.bot()
    for last_at in (OLD, now):
        NotSent.objects.create(
            account=world.account, bot=bot, symbol="EURUSD", code="c", detail="d", first_at=OLD, last_at=last_at
        )
    retire(clock=VirtualClock(now))
    assert sorted(Command.objects.filter(kind="x").values_list("state", flat=True)) == ["done", "waiting"]
    assert Delivery.objects.get().state == "waiting"
    assert Event.objects.filter(kind__in=("E0", "E1")).get().kind == "E1", "a notification still names it"
    assert NotSent.objects.get().last_at == now


def test_facts_of_money_stay_however_old(world: World) -> None:
    world.bot()
    world.run(3)
    world.move(30, run=4)
    kept = (OrderIntent, IntentHistory, Deal)
    before = [model.objects.count() for model in kept]
    story = Event.objects.exclude(cycle=None, order=None).count()
    assert all(before)
    assert story
    retire(clock=VirtualClock(world.clock.now() + timedelta(days=40_000)))
    assert [model.objects.count() for model in kept] == before
    assert Event.objects.exclude(cycle=None, order=None).count() == story


def test_the_database_gives_up_no_event_but_old_ones_of_no_cycle(world: World) -> None:
    """Whatever a program asks for: an event about a cycle or of this week is a fact."""
    world.bot()
    world.run(3)
    young = record(kind="YOUNG", level="debug", text="t", at=SystemClock().now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT retire_events('infinity', 'infinity', 1000)")
        assert Event.objects.filter(pk=young.pk).exists()
        assert Event.objects.exclude(cycle=None).exists()
        statement = "SELECT set_config('trading.retention', 'on', true); DELETE FROM events_event WHERE id = {}"
        for number in (young.pk, Event.objects.exclude(cycle=None)[0].pk):
            with pytest.raises((InternalError, IntegrityError), match="holds facts"), transaction.atomic():
                cursor.execute(statement.format(number))


def test_the_command_rehearses_and_removes(clock: VirtualClock) -> None:
    record(kind="SYSTEM_HEALTH", level="debug", text="fine", at=OLD)
    out = StringIO()
    call_command("retention", "--dry-run", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert {one["kind"]: one["rows"] for one in found["removed"]}["events for debugging"] == 1
    assert kinds() == ["SYSTEM_HEALTH"]
    call_command("retention", stdout=(out := StringIO()))
    assert "events for debugging older than 14 days: 1 removed" in out.getvalue()
    assert kinds() == []
    assert retire_old() == 0
    assert Schedule.objects.get(name="retention").func == "engine.tasks.retire_old"


def test_the_engine_page_tells_of_it(world: World, client: Client) -> None:
    world.ada.is_superuser = True
    world.ada.save()
    client.force_login(world.ada)
    assert "Never cleared yet" in client.get("/admin/engine-room/").content.decode()
    retire(clock=VirtualClock(NOW))
    page = client.get("/admin/engine-room/").content.decode()
    assert "Removed: nothing was old enough." in page
    assert "events_event" in page
    world.ada.is_superuser = False
    world.ada.save()
    assert "events_event" not in client.get("/admin/engine-room/").content.decode()
