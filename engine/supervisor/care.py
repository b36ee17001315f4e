"""What the supervisor does about runners that live but are not well: hung ones are ended, grown ones are replaced."""

import logging
from dataclasses import dataclass
from datetime import datetime

import psutil

from core.clock import Clock
from engine.models import EngineProcess
from engine.registry import is_alive, runners_here
from engine.supervisor.children import kill_all
from events.services import record

log = logging.getLogger("trading.supervisor")

# A runner writes its sign of life twice a second, and other runners may take its accounts after 10 s
HUNG_SECONDS = 15.0
# A runner that was asked to end, and does not, is ended
STOP_SECONDS = 30.0
# Runners of this age at least are replaced when they have grown: a leak at the start must not become a storm
GROWN_AFTER_SECONDS = 60.0
# A start and a busy market may take a processor whole: only what does not end is more than a runner may use
HOT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a runner may use before another one takes its place; 0 is without limit."""

    rss_bytes: int = 0
    handles: int = 0
    cpu_percent: float = 0.0

    def exceeded(self, row: EngineProcess, hot_seconds: float) -> str:
        """Say which limit a runner is above, in words; empty when it is above none.

        `hot_seconds`: since when it has taken more of the processors than it may, without a pause.
        """
        if hot_seconds >= HOT_SECONDS:
            return f"it has used more than {self.cpu_percent:.0f} % of a processor for {hot_seconds:.0f} s"
        if self.rss_bytes and row.rss_bytes > self.rss_bytes:
            return f"it uses {row.rss_bytes / 2**20:.0f} MB, more than {self.rss_bytes / 2**20:.0f} MB"
        if self.handles and row.handles > self.handles:
            return f"it has {row.handles} files and sockets open, more than {self.handles}"
        return ""


class RunnerCare:
    """Watches this host's runners by the supervisor's own monotonic clock, while the database answers."""

    def __init__(self, limits: Limits, *, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._seen: dict[str, tuple[datetime, float]] = {}
        self._asked: dict[str, float] = {}
        self._hot_since: dict[str, float] = {}

    def forget(self) -> None:
        """Begin afresh: while the database was away no runner could show a sign of life."""
        self._seen.clear()
        self._hot_since.clear()

    def look(self) -> int:
        """End what hangs, and ask what has grown to make room; return how many were ended. Raises DatabaseError."""
        ended, now, rows = 0, self._clock.ticks(), [row for row in runners_here() if is_alive(row)]
        names = {row.name for row in rows}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._asked = {name: at for name, at in self._asked.items() if name in names}
        self._hot_since = {name: at for name, at in self._hot_since.items() if name in names}
        for row in rows:
            seen_at, since = self._seen.get(row.name, (row.seen_at, now))
            self._seen[row.name] = (row.seen_at, since if seen_at == row.seen_at else now)
            hung = now - self._seen[row.name][1] > HUNG_SECONDS
            if row.stop_requested:
                self._asked.setdefault(row.name, now)
            deaf = now - self._asked.get(row.name, now) > STOP_SECONDS
            if hung or deaf:
                self._end(row, "shows no sign of life" if hung else "does not end when it is asked to")
                ended += 1
            elif not row.stop_requested and (why := self.limits.exceeded(row, self._hot_seconds(row, now))):
                self._replace(row, why)
        return ended

    def _hot_seconds(self, row: EngineProcess, now: float) -> float:
        """Return for how long a runner has been above its share of the processors."""
        if not self.limits.cpu_percent or row.cpu_percent <= self.limits.cpu_percent:
            self._hot_since.pop(row.name, None)
            return 0.0
        return now - self._hot_since.setdefault(row.name, now)

    def _end(self, row: EngineProcess, why: str) -> None:
        """Kill a runner with all that it started: SIGKILL ends a stopped process too."""
        self._say("RUNNER_ENDED", f"Runner {row.pid} on {row.host} {why}; it was ended and is replaced.")
        try:
            kill_all([psutil.Process(row.pid)])
        except psutil.NoSuchProcess:
            log.info("runner %d ended by itself meanwhile", row.pid)

    def _replace(self, row: EngineProcess, why: str) -> None:
        if (self._clock.now() - row.started_at).total_seconds() < GROWN_AFTER_SECONDS:
            return
        self._say("RUNNER_REPLACED", f"Runner {row.pid} on {row.host} is replaced: {why}.")
        EngineProcess.objects.filter(pk=row.pk).update(stop_requested=True)

    def _say(self, kind: str, text: str) -> None:
        log.warning("%s", text)
        record(kind=kind, level="warning", text=text, at=self._clock.now())
