"""Processes as rows: signs of life, what they use, and whether they are asked to stop."""

from datetime import UTC, datetime, timedelta

import psutil
import pytest

from engine.models import EngineProcess
from engine.registry import is_alive, live_runner_count, process_name, register

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def work(seconds: float) -> None:
    """Use the processor for so long."""
    spent = psutil.Process().cpu_times().user
    while psutil.Process().cpu_times().user - spent < seconds:
        sum(range(10_000))


@pytest.mark.requirement("S2-22", "S2-27")
def test_a_process_shows_its_life_memory_and_share_of_the_processor() -> None:
    registration = register(process_name("runner", "abc"), EngineProcess.Role.RUNNER, [], NOW)
    registration.beat(NOW)
    work(0.2)
    assert registration.beat(NOW + timedelta(seconds=1)) is False
    row = EngineProcess.objects.get()
    assert row.cpu_percent > 1
    assert row.rss_bytes > 10_000_000
    assert row.seen_at == NOW + timedelta(seconds=1)
    assert is_alive(row)


def test_a_lost_row_is_made_again_and_a_request_to_stop_is_seen() -> None:
    registration = register(process_name("runner", "abc"), EngineProcess.Role.RUNNER, [], NOW)
    EngineProcess.objects.all().delete()
    assert registration.beat(NOW) is False
    EngineProcess.objects.update(stop_requested=True)
    assert registration.beat(NOW) is True
    registration.leave()
    assert not EngineProcess.objects.exists()


def test_another_process_with_the_same_id_is_not_taken_for_the_old_one() -> None:
    row = register(process_name("runner", "abc"), EngineProcess.Role.RUNNER, [], NOW).row
    row.started_at = datetime(2001, 1, 1, tzinfo=UTC)
    assert not is_alive(row)
    row.pid = 2**22 + 1
    assert not is_alive(row)


def test_silent_runners_and_those_asked_to_stop_do_not_count() -> None:
    register("h:runner:1:a", EngineProcess.Role.RUNNER, [], NOW, pid=1)
    register("h:runner:2:b", EngineProcess.Role.RUNNER, [], NOW - timedelta(minutes=1), pid=2)
    register("h:runner:3:c", EngineProcess.Role.RUNNER, [], NOW, pid=3)
    EngineProcess.objects.filter(pid=3).update(stop_requested=True)
    assert live_runner_count(NOW) == 1
