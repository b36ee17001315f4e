"""What the supervisor says about its machine: what it has left, its clock, and what a person must look at."""

from collections import deque
from pathlib import Path

import psutil

from core.clock import Clock
from engine.domain import HostFigures
from engine.models import EngineHost
from engine.performance import database_skew
from engine.registry import this_host

LOOK_SECONDS = 5.0
# The share of the processors is the mean of so many looks: one busy moment is no warning
CPU_LOOKS = 6


class HostMonitor:
    """Writes this machine's row every 5 s (S2: health check interval)."""

    def __init__(self, folder: Path, labels: list[str], runners: int, *, clock: Clock) -> None:
        self.runners = self._own = runners
        self.problem = ""
        self._folder = folder
        self._labels = labels
        self._clock = clock
        self._cpu: deque[float] = deque(maxlen=CPU_LOOKS)
        self._looked_at: float | None = None
        psutil.cpu_percent()

    def look(self) -> bool:
        """Measure and write when it is due; tell whether it was. Raises DatabaseError."""
        ticks = self._clock.ticks()
        if self._looked_at is not None and ticks - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = ticks
        self.write(self.measure())
        return True

    def wanted(self) -> int:
        """Return how many runners this machine is to keep: what a person said, else what it was started with."""
        said = EngineHost.objects.filter(host=this_host()).values_list("runners_wanted", flat=True).first()
        return said or self._own

    def measure(self) -> HostFigures:
        """Read what the machine has left."""
        self._cpu.append(psutil.cpu_percent())
        return HostFigures(
            cpu_percent=sum(self._cpu) / len(self._cpu),
            memory_percent=psutil.virtual_memory().percent,
            disk_free_bytes=psutil.disk_usage(str(self._folder)).free,
            clock_skew_seconds=database_skew(self._clock),
        )

    def write(self, figures: HostFigures) -> None:
        """Write the machine's row; the number of runners that a person wants stays."""
        fields = {
            "labels": self._labels,
            "runners": self.runners,
            "seen_at": self._clock.now(),
            "cpu_percent": round(figures.cpu_percent, 1),
            "memory_percent": figures.memory_percent,
            "disk_free_bytes": figures.disk_free_bytes,
            "clock_skew_seconds": figures.clock_skew_seconds,
            "problem": self.problem[:500],
        }
        EngineHost.objects.update_or_create(host=this_host(), defaults=fields)
