"""Jobs of a session: due by interval, in a fixed order, never overlapping; a failing one backs off, others go on."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from brokers.gateway import BrokerError
from core.clock import Clock
from core.ids import Ids
from orders.gate import LeaseLost

log = logging.getLogger("trading.engine")

SAMPLES_KEPT = 100
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
    samples_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))

    @property
    def circuit_open(self) -> bool:
        """Tell whether the job failed so often in a row that entries must stop."""
        return self.failures_in_a_row >= CIRCUIT_FAILURES

    def statistics(self) -> dict[str, float | int | str]:
        """Return counts and durations in milliseconds over the last 100 passes."""
        ordered = sorted(self.samples_ms)
        return {
            "interval_s": self.interval_seconds,
            "passes": self.passes,
            "errors": self.errors,
            "overruns": self.overruns,
            "last_ms": round(self.samples_ms[-1], 3) if ordered else 0.0,
            "p50_ms": round(percentile(ordered, 0.50), 3),
            "p99_ms": round(percentile(ordered, 0.99), 3),
            "last_error": self.last_error,
        }


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile of sorted values; 0.0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


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
        try:
            came = job.run()
        except LeaseLost:
            raise
        except Exception as problem:  # noqa: BLE001 - a job that fails is told, and must not end the others
            job.errors += 1
            job.failures_in_a_row += 1
            job.last_error = f"{type(problem).__name__}: {problem}"[:300]
            wait = min(job.backoff_longest, BACKOFF_FIRST * 2 ** min(10, job.failures_in_a_row - 1))
            jitter = int(self._ids.token(2), 36) / 36**2
            job.due_at = self._clock.ticks() + max(job.interval_seconds, wait * (0.5 + jitter))
            self._tell(job, problem)
        else:
            if came is not IDLE:
                job.failures_in_a_row = 0
                job.last_error = ""
            job.due_at = due + job.interval_seconds
        took = self._timer() - started
        job.passes += 1
        job.samples_ms.append(took * 1000)
        if job.failures_in_a_row == 0 and self._clock.ticks() > job.due_at:
            job.overruns += 1
            job.due_at = self._clock.ticks()

    def _tell(self, job: Job, problem: Exception) -> None:
        """Log a failure, and its repetitions ever more rarely; a broker's failure needs no traceback."""
        n = job.failures_in_a_row
        if n & (n - 1) == 0:
            unexpected = n == 1 and not isinstance(problem, BrokerError)
            log.warning("job %s failed %d times in a row: %s", job.name, n, job.last_error, exc_info=unexpected)
