"""Jobs of a session: due by interval, in a fixed order, never overlapping; a failing one backs off, others go on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from brokers.gateway import BrokerError
from core.clock import Clock
from core.ids import Ids
from engine.domain import Samples
from orders.gate import LeaseLost

log = logging.getLogger("trading.engine")

BACKOFF_FIRST = 0.5
BACKOFF_LONGEST = 60.0
CIRCUIT_FAILURES = 5


@dataclass(slots=True)
class Job:
    """One named step of the session; `run` does a whole pass."""

    name: str
    interval_seconds: float
    run: Callable[[], object]
    backoff_longest: float = BACKOFF_LONGEST
    due_at: float = 0.0
    passes: int = 0
    errors: int = 0
    failures_in_a_row: int = 0
    overruns: int = 0
    last_error: str = ""
    broker_errors: int = 0
    broker_failed: bool = False
    durations: Samples = field(default_factory=Samples)
    lags: Samples = field(default_factory=Samples)

    @property
    def circuit_open(self) -> bool:
        """Tell whether the job failed so often in a row that entries must stop."""
        return self.failures_in_a_row >= CIRCUIT_FAILURES

    def statistics(self) -> dict[str, float | int | str]:
        """Return counts, durations and lags (how late a pass began) in milliseconds over the last 100 passes."""
        return {
            "interval_s": self.interval_seconds,
            "passes": self.passes,
            "errors": self.errors,
            "broker_errors": self.broker_errors,
            "overruns": self.overruns,
            **self.durations.figures(),
            "lag_p95_ms": round(self.lags.p95_ms, 3),
            "last_error": self.last_error,
        }


class Idle(Enum):
    """What a job returns when there was nothing to do: no proof that it works again."""

    IDLE = "idle"


IDLE = Idle.IDLE


class JobLoop:
    """Runs what is due. Durations are measured by the clock handed in."""

    def __init__(self, jobs: list[Job], *, clock: Clock, ids: Ids, timer: Callable[[], float]) -> None:
        self.jobs = {job.name: job for job in jobs}
        self._clock = clock
        self._ids = ids
        self._timer = timer

    def hurry(self, name: str) -> None:
        """Make a job due now."""
        self.jobs[name].due_at = 0.0

    def run_due(self) -> float:
        """Run every job that is due once, in order; return the seconds until the next one is. Raises LeaseLost."""
        for job in self.jobs.values():
            if job.due_at <= self._clock.ticks():
                self._run(job)
        return max(0.0, min(job.due_at for job in self.jobs.values()) - self._clock.ticks())

    def _run(self, job: Job) -> None:
        started, due = self._timer(), self._clock.ticks()
        if job.due_at > 0:
            job.lags.add((due - job.due_at) * 1000)
        try:
            came = job.run()
        except LeaseLost:
            raise
        except Exception as problem:  # noqa: BLE001 - a job that fails is told, and must not end the others
            job.errors += 1
            job.failures_in_a_row += 1
            job.broker_failed = isinstance(problem, BrokerError)
            job.broker_errors += job.broker_failed
            job.last_error = f"{type(problem).__name__}: {problem}"[:300]
            wait = min(job.backoff_longest, BACKOFF_FIRST * 2 ** min(10, job.failures_in_a_row - 1))
            jitter = int(self._ids.token(2), 36) / 36**2
            job.due_at = self._clock.ticks() + max(job.interval_seconds, wait * (0.5 + jitter))
            self._tell(job, problem)
        else:
            if came is not IDLE:
                job.failures_in_a_row = 0
                job.last_error = ""
                job.broker_failed = False
            job.due_at = due + job.interval_seconds
        took = self._timer() - started
        job.passes += 1
        job.durations.add(took * 1000)
        if job.failures_in_a_row == 0 and self._clock.ticks() > job.due_at:
            job.overruns += 1
            job.due_at = self._clock.ticks()

    def _tell(self, job: Job, problem: Exception) -> None:
        """Log a failure, and its repetitions ever more rarely; a broker's failure needs no traceback."""
        n = job.failures_in_a_row
        if n & (n - 1) == 0:
            unexpected = n == 1 and not isinstance(problem, BrokerError)
            log.warning("job %s failed %d times in a row: %s", job.name, n, job.last_error, exc_info=unexpected)
