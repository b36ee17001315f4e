"""S4's performance monitor of one session: what its stages and its queries cost, and how each part of it is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection

from core.clock import Clock
from engine.domain import LAG_SECONDS, Component, Health, Samples, judge, judge_clock, judge_stage
from engine.jobs import Job
from marketdata.quotes import Feed

STAGES = ("indications", "strategies")
# Jobs that talk to the broker in each pass: what they meet says how the connection is
BROKER_JOBS = ("realtime", "orders")


class Stages:
    """How long the stages of a trade pass take; a pass's visits to a stage are added up."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.samples = {name: Samples() for name in STAGES}
        self._timer = timer
        self._spent: dict[str, float] = {}

    @contextmanager
    def spend(self, name: str) -> Iterator[None]:
        """Count the time inside to a stage of the current pass."""
        started = self._timer()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + self._timer() - started

    def end_pass(self) -> None:
        """Note the current pass, if it visited any stage, and begin another."""
        for name, seconds in self._spent.items():
            self.samples[name].add(seconds * 1000)
        self._spent.clear()


class Queries:
    """How long the database takes for each query of a session."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.samples = Samples()
        self.slow = 0
        self._timer = timer

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Run one query and note its duration (Django's `execute_wrapper`)."""
        started = self._timer()
        try:
            return execute(sql, params, many, context)
        finally:
            took = (self._timer() - started) * 1000
            self.samples.add(took)
            self.slow += took >= 1000


class Monitor:
    """Everything that is measured of one session. In memory only: the session writes its figures down."""

    def __init__(self, *, timer: Callable[[], float], stages: Stages) -> None:
        self.stages = stages
        self.queries = Queries(timer)
        self.clock_skew: float | None = None

    def figures(self) -> dict[str, Any]:
        """Return durations in milliseconds: stages, queries."""
        return {
            "stages": {name: samples.figures() for name, samples in self.stages.samples.items()},
            "queries": {
                **self.queries.samples.figures(),
                "count": self.queries.samples.count,
                "slow": self.queries.slow,
            },
            "clock_skew_seconds": None if self.clock_skew is None else round(self.clock_skew, 3),
        }

    def components(self, jobs: Mapping[str, Job]) -> tuple[Component, ...]:
        """Judge each part of the session."""
        return (
            judge_broker([jobs[name] for name in BROKER_JOBS if name in jobs]),
            judge_jobs(jobs.values()),
            *(judge_stage(name, samples) for name, samples in self.stages.samples.items()),
            *(judge_stage(name, jobs[name].durations) for name in ("realtime",) if name in jobs),
            judge_queue(jobs.values()),
            _database(self.queries),
            judge_clock(self.clock_skew),
        )


def judge_broker(jobs: Iterable[Job]) -> Component:
    """Judge the connection by what the jobs that use it met last."""
    failing = [job for job in jobs if job.broker_failed]
    if not failing:
        return Component("broker", Health.HEALTHY)
    health = Health.UNHEALTHY if any(job.circuit_open for job in failing) else Health.DEGRADED
    return Component("broker", health, failing[0].last_error)


def judge_feed(feed: Feed) -> Component | None:
    """Judge how prices come: a stream that fell silent is a warning, since asking brings them too; None without one."""
    if feed.stream is None:
        return None
    if not feed.has_fallen_back:
        return Component("prices", Health.HEALTHY)
    why = feed.stream.last_error or "nothing came for 10 s"
    return Component("prices", Health.DEGRADED, f"the stream is silent, prices are asked for: {why}")


def judge_jobs(jobs: Iterable[Job]) -> Component:
    """Judge the jobs by their failures: an open circuit has stopped entries."""
    failing = sorted((job for job in jobs if job.failures_in_a_row), key=lambda job: not job.circuit_open)
    if not failing:
        return Component("jobs", Health.HEALTHY)
    reason = "; ".join(f"{job.name} failed {job.failures_in_a_row}×: {job.last_error}" for job in failing)
    return Component("jobs", Health.UNHEALTHY if failing[0].circuit_open else Health.DEGRADED, reason[:300])


def judge_queue(jobs: Iterable[Job]) -> Component:
    """Judge how late passes begin: a session that can't keep up makes all its jobs late."""
    late = max(jobs, key=lambda job: job.lags.p95_ms, default=None)
    if late is None:
        return Component("queue", Health.HEALTHY)
    seconds = late.lags.p95_ms / 1000
    return judge("queue", seconds, LAG_SECONDS, f"{late.name} begins {seconds:.1f} s late (p95)")


def _database(queries: Queries) -> Component:
    stage = judge_stage("query", queries.samples)
    return Component("database", stage.health, stage.reason)


def database_skew(clock: Clock) -> float:
    """Return how many seconds the host's clock is ahead of the database's, to within the query's duration."""
    before = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        (database,) = cursor.fetchone()
    half = (clock.now() - before) / 2
    return (before + half).timestamp() - float(database)
