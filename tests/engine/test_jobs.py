from datetime import UTC, datetime

import pytest

from core.clock import VirtualClock
from core.ids import SeededIds
from engine.domain import percentile
from engine.jobs import IDLE, Job, JobLoop
from orders.gate import LeaseLost


def loop_of(clock: VirtualClock, *jobs: Job) -> JobLoop:
    return JobLoop(list(jobs), clock=clock, ids=SeededIds(1), timer=clock.ticks)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 1, 5, tzinfo=UTC))


def run_for(loop: JobLoop, clock: VirtualClock, seconds: float) -> None:
    end = clock.ticks() + seconds
    while clock.ticks() < end:
        clock.advance(max(loop.run_due(), 0.001))


@pytest.mark.requirement("S0-01", "S0-03", "S0-30")
def test_each_job_runs_at_its_own_interval(clock: VirtualClock) -> None:
    calls: list[str] = []
    loop = loop_of(clock, Job("orders", 0.5, lambda: calls.append("o")), Job("cycles", 1.0, lambda: calls.append("c")))
    run_for(loop, clock, 9.9)
    assert calls.count("o") == 20
    assert calls.count("c") == 10


@pytest.mark.requirement("S0-71", "S0-80", "S0-59")
def test_a_failing_job_backs_off_and_the_others_go_on(clock: VirtualClock) -> None:
    def fail() -> None:
        raise OSError("the pipe is gone")

    seen: list[float] = []
    bad, good = Job("bad", 0.5, fail), Job("good", 0.5, lambda: seen.append(clock.ticks()))
    run_for(loop_of(clock, bad, good), clock, 60)
    assert len(seen) == pytest.approx(120, abs=1)
    assert 5 <= bad.errors < 12
    assert bad.circuit_open
    assert "the pipe is gone" in bad.last_error


@pytest.mark.requirement("S0-58")
def test_a_job_that_works_again_closes_its_circuit(clock: VirtualClock) -> None:
    broken = [True]

    def work() -> None:
        if broken[0]:
            raise OSError("no")

    job = Job("job", 0.5, work)
    loop = loop_of(clock, job)
    run_for(loop, clock, 30)
    broken[0] = False
    run_for(loop, clock, 70)
    assert not job.circuit_open
    assert job.last_error == ""


@pytest.mark.requirement("S4-03", "S0-82")
def test_an_overrun_is_counted_and_not_run_twice(clock: VirtualClock) -> None:
    job = Job("slow", 0.5, lambda: clock.advance(1.2))
    loop = loop_of(clock, job)
    for _ in range(3):
        clock.advance(loop.run_due())
    assert job.passes == 3
    assert job.overruns == 3


def test_a_lost_lease_ends_the_step_at_once(clock: VirtualClock) -> None:
    def lose() -> None:
        raise LeaseLost

    later: list[int] = []
    loop = loop_of(clock, Job("lease", 2.0, lose), Job("trade", 1.0, lambda: later.append(1)))
    with pytest.raises(LeaseLost):
        loop.run_due()
    assert later == []


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0


def test_a_pass_with_nothing_to_do_does_not_prove_that_a_job_works_again(clock: VirtualClock) -> None:
    outcomes: list[object] = [RuntimeError("broken")] * 3 + [IDLE] * 3 + ["done"]

    def run() -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    job = Job("j", 1.0, run)
    loop = loop_of(clock, job)
    seen = []
    while outcomes:
        clock.advance(60)
        loop.run_due()
        seen.append(job.failures_in_a_row)
    assert seen == [1, 2, 3, 3, 3, 3, 0]
