"""A guard that fires on the simulated terminal is told to people before anything is closed, past every queue."""

import json
import threading

import pytest
from django_q.models import OrmQ

from notifications import services
from orders.models import OrderIntent
from tests.notifications.test_delivery import Receiver, receiver
from tests.risk.test_scenarios import configure, crash, drawdown
from tests.world import World

__all__ = ["receiver"]


@pytest.fixture
def alerts(world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> list[tuple[threading.Thread, int]]:
    """Give every alert that leaves at once, with how many closes had been asked for when it left."""
    started: list[tuple[threading.Thread, int]] = []
    at_once = services.deliver_at_once

    def noted(target_id: int) -> None:
        closes = OrderIntent.objects.filter(kind="close").count()
        started.append((at_once(target_id), closes))

    monkeypatch.setattr(services, "deliver_at_once", noted)
    monkeypatch.setattr(services, "CLOCK", world.clock)
    # Somebody who wants hardly anything, late and at once for the whole day
    services.create_target(
        user=world.ada, name="Phone", kind="webhook", url=f"http://127.0.0.1:{receiver.port}/", account=world.account,
        at=world.clock.now(), kinds=["CYCLE_CLOSED"], level_min="error", digest_minutes=1440,
    )  # fmt: skip
    return started


def told(receiver: Receiver, alerts: list[tuple[threading.Thread, int]]) -> list[str]:
    for thread, _ in alerts:
        thread.join(60)
        assert not thread.is_alive()
    return [event["kind"] for _, body in receiver.got for event in json.loads(body)["events"]]


def test_a_countdown_and_a_closing_are_told_before_the_first_close(
    world: World, receiver: Receiver, alerts: list[tuple[threading.Thread, int]]
) -> None:
    crash(world)
    assert told(receiver, alerts) == ["GUARD_COUNTDOWN"]
    assert drawdown(world).phase == "countdown"
    assert len(world.truth.positions) == 1
    world.run(12)
    assert not world.truth.positions
    assert told(receiver, alerts) == ["GUARD_COUNTDOWN", "GUARD_CLOSING"]
    assert [closes for _, closes in alerts] == [0, 0]
    assert [task for task in OrmQ.objects.all() if "notifications" in str(task.task["func"])] == []


def test_a_guard_without_a_countdown_is_told_before_it_closes(
    world: World, receiver: Receiver, alerts: list[tuple[threading.Thread, int]]
) -> None:
    configure(world, drawdown_warn=None, drawdown_reduce=None, drawdown_close=1.0, countdown_seconds=0)
    world.bot(lot_size=1.0, distance=5000.0, target_profit=1e6)
    world.run(3)
    world.move(-20, run=2)
    assert not world.truth.positions
    assert told(receiver, alerts) == ["GUARD_CLOSING"]
    assert [closes for _, closes in alerts] == [0]


def test_a_receiver_that_hangs_delays_no_close(
    world: World, receiver: Receiver, alerts: list[tuple[threading.Thread, int]]
) -> None:
    receiver.mood = "hang"
    crash(world)
    world.run(14)
    assert not world.truth.positions
    assert drawdown(world).phase == "closed"
    receiver.release.set()
    assert "GUARD_COUNTDOWN" in told(receiver, alerts)
