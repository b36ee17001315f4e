"""S4's performance monitor: what is measured, what is judged of it, and what is shown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import (
    SAMPLES_KEPT,
    STAGE_SECONDS,
    Component,
    Health,
    HostFigures,
    Samples,
    judge_host,
    judge_stage,
    worst,
)
from engine.models import EngineHost, EngineProcess, EngineState
from engine.performance import Stages, database_skew
from engine.registry import this_host
from engine.selectors import engine_performance, engine_status
from engine.supervisor.host import HostMonitor
from engine.supervisor.runners import forget_dead
from risk.models import Block
from tests.world import START, World


def samples(*seconds: float) -> Samples:
    made = Samples()
    for one in seconds:
        made.add(one * 1000)
    return made


@pytest.mark.requirement("S4-25", "S4-26")
@given(st.lists(st.floats(0, 1e6), max_size=300))
def test_samples_are_bounded_and_their_figures_ordered(values: list[float]) -> None:
    made = Samples()
    for value in values:
        made.add(value)
    figures = made.figures()
    assert len(made.last) == min(len(values), SAMPLES_KEPT)
    assert made.count == len(values)
    assert (
        figures["p50_ms"]
        <= figures["p95_ms"]
        <= figures["p99_ms"]
        <= figures["max_ms"]
        == round(max(values, default=0), 3)
    )


@pytest.mark.requirement("S4-54", "S4-55")
@pytest.mark.parametrize("stage", STAGE_SECONDS)
def test_a_stage_is_judged_by_its_threshold(stage: str) -> None:
    limit = STAGE_SECONDS[stage]
    assert judge_stage(stage, samples(limit.warn * 0.99)).health is Health.HEALTHY
    slow = judge_stage(stage, samples(limit.warn))
    assert (slow.health, f"expected below {limit.warn:g} s" in slow.reason) == (Health.DEGRADED, True)
    assert judge_stage(stage, samples(limit.bad)).health is Health.UNHEALTHY
    assert judge_stage(stage, samples(*[0.001] * 98, limit.bad, limit.bad)).health is Health.HEALTHY, "two of a hundred"


def test_s4_warns_at_its_own_figures() -> None:
    assert {name: limit.warn for name, limit in STAGE_SECONDS.items()} == {
        "indications": 5, "strategies": 5, "realtime": 3, "query": 1,
    }  # fmt: skip


@pytest.mark.requirement("S4-24", "S4-53", "S4-55")
def test_a_host_is_judged_by_what_it_has_left() -> None:
    def of(**bad: float) -> dict[str, Health]:
        good: dict[str, float] = {"cpu_percent": 20, "memory_percent": 50, "disk_free_bytes": 5e10}
        figures = HostFigures(**{**good, **bad})  # type: ignore[arg-type]
        return {c.name: c.health for c in judge_host(figures) if c.health is not Health.HEALTHY}

    assert of() == {}
    assert of(memory_percent=80) == {"memory": Health.DEGRADED}
    assert of(memory_percent=95) == {"memory": Health.UNHEALTHY}
    assert of(cpu_percent=80) == {"cpu": Health.DEGRADED}
    assert of(disk_free_bytes=1.9e9) == {"disk": Health.DEGRADED}
    assert of(disk_free_bytes=1e8) == {"disk": Health.UNHEALTHY}
    assert of(clock_skew_seconds=-2.0) == {"clock": Health.DEGRADED}
    assert of(clock_skew_seconds=10.0) == {"clock": Health.UNHEALTHY}


def test_the_worst_part_says_how_the_whole_is() -> None:
    good, bad = Component("a", Health.HEALTHY), Component("b", Health.UNHEALTHY, "x")
    assert worst([]) is Health.HEALTHY
    assert worst([good, Component("c", Health.DEGRADED), good]) is Health.DEGRADED
    assert worst([bad, good]) is Health.UNHEALTHY


def test_visits_to_a_stage_are_added_up_by_pass() -> None:
    ticks = [0.0]
    stages = Stages(lambda: ticks[0])
    for _ in range(3):
        with stages.spend("strategies"):
            ticks[0] += 0.5
    stages.end_pass()
    stages.end_pass()
    assert list(stages.samples["strategies"].last) == [1500.0]
    assert not stages.samples["indications"].last


@pytest.mark.requirement("S4-19", "S4-46", "S4-47", "S1-55", "S1-56", "S1-57", "S1-58", "S1-59")
def test_a_running_account_shows_its_figures(world: World) -> None:
    world.bot()
    world.run(20)
    found = engine_performance(world.ada, at=world.clock.now())
    (row,) = found["accounts"]
    assert (row["status"], row["health"], row["active_positions_count"]) == ("running", "healthy", 1)
    assert row["jobs"]["orders"]["passes"] >= 30
    assert row["jobs"]["orders"]["p95_ms"] > 0
    assert row["stages"]["strategies"]["avg_ms"] > 0
    assert row["stages"]["indications"]["avg_ms"] > 0
    assert row["queries"]["count"] > 100
    assert row["events_per_minute"] == found["events_per_minute"] > 3
    assert row["connection_errors"] == 0
    assert found["averages"]["orders"]["avg_ms"] == row["jobs"]["orders"]["avg_ms"]
    assert {c["name"] for c in row["components"]} >= {
        "broker",
        "jobs",
        "indications",
        "strategies",
        "realtime",
        "database",
    }
    assert engine_performance(world.cem, at=world.clock.now())["accounts"] == []


@pytest.mark.requirement("S1-62")
def test_a_broker_that_does_not_answer_is_named_and_forgotten_when_it_does(world: World) -> None:
    world.bot()
    world.run(3)
    world.terminal.faults.none_from("positions_get", 10_000)
    world.run(60)
    (row,) = engine_status(world.ada, at=world.clock.now())["accounts"]
    broker = next(c for c in row["components"] if c["name"] == "broker")
    assert (row["health"], broker["health"]) == ("unhealthy", "unhealthy")
    assert "positions" in broker["reason"]
    world.terminal.faults.armed.clear()
    world.run(70)
    (row,) = engine_status(world.ada, at=world.clock.now())["accounts"]
    assert row["health"] == "healthy"


@pytest.mark.parametrize(("skew", "blocked"), [(0.4, False), (-9.9, False), (10.0, True), (-60.0, True)])
def test_a_wrong_clock_holds_back_entries_until_it_is_right(world: World, skew: float, blocked: bool) -> None:
    session = world.session
    session._measure_skew = lambda: skew
    world.bot()
    world.run(12)
    assert Block.objects.filter(cause="clock", lifted_at=None).exists() == blocked
    assert session.monitor.figures()["clock_skew_seconds"] == skew
    session._measure_skew = lambda: 0.0
    world.run(12)
    assert not Block.objects.filter(cause="clock", lifted_at=None).exists()


def test_an_account_that_shall_run_and_shows_no_life_is_silent(world: World) -> None:
    world.bot()
    world.run(3)
    status = engine_status(world.ada, at=world.clock.now() + timedelta(seconds=11))
    (row,) = status["accounts"]
    assert (row["silent"], row["health"], status["status"], status["active_connections"]) == (
        True, "unhealthy", "error", 0,
    )  # fmt: skip
    engine = next(c for c in status["components"] if c["name"] == "engine")
    assert "runengine" in engine["reason"]


def test_a_stopped_account_is_no_concern(world: World) -> None:
    from accounts.services import set_desired_state

    set_desired_state(account=world.account, state="stopped", at=START, by=world.ada)
    status = engine_status(world.ada, at=START)
    assert (status["status"], status["accounts"][0]["health"]) == ("stopped", "healthy")


def test_the_host_writes_what_it_has_left(world: World) -> None:
    monitor = HostMonitor(world.state_file.parent, ["london"], 2, clock=world.clock)
    assert monitor.look()
    assert not monitor.look(), "not before five seconds"
    EngineHost.objects.update(runners_wanted=4)
    world.clock.advance(5)
    monitor.problem = "web ended 5 times in a row"
    assert monitor.look()
    host = EngineHost.objects.get(host=this_host())
    assert (host.labels, host.runners, host.runners_wanted) == (["london"], 2, 4)
    assert host.memory_percent > 0
    assert host.disk_free_bytes > 0
    status = engine_status(world.ada, at=world.clock.now())
    assert "web ended 5 times" in str(status["components"])


@pytest.mark.django_db
def test_the_clock_is_compared_with_the_database() -> None:
    from core.clock import SystemClock

    assert abs(database_skew(SystemClock())) < 5


def test_accounts_of_a_dead_runner_are_shown_as_waiting_at_once(world: World) -> None:
    world.bot()
    world.run(2)
    holder = world.session.lease.holder
    EngineProcess.objects.create(
        name=holder, role="runner", host=this_host(), pid=2**22 + 1, started_at=START, seen_at=START
    )
    assert forget_dead() == 1
    state = EngineState.objects.get()
    assert (state.status, "another one takes over" in state.error_message) == ("starting", True)
