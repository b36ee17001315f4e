"""Figures of the engine and what they say about its health; no Django, no I/O."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SAMPLES_KEPT = 100


class Health(StrEnum):
    """S4's three states, from good to bad."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


BADNESS = tuple(Health)


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the engine: how it is, and why when it is not healthy."""

    name: str
    health: Health
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        """Return plain values."""
        return {"name": self.name, "health": self.health, "reason": self.reason}


def worst(components: Iterable[Component]) -> Health:
    """Return the worst health of all; healthy of none."""
    return max((c.health for c in components), key=BADNESS.index, default=Health.HEALTHY)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of sorted values; 0.0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(slots=True)
class Samples:
    """The last 100 durations in milliseconds, and the longest and the number of all."""

    last: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    count: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0

    def add(self, ms: float) -> None:
        """Note one duration."""
        self.last.append(ms)
        self.count += 1
        self.total_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def figures(self) -> dict[str, float]:
        """Return last, average and percentiles of the samples kept, and the longest of all."""
        ordered = sorted(self.last)
        figures = {
            "last_ms": self.last[-1] if ordered else 0.0,
            "avg_ms": sum(ordered) / len(ordered) if ordered else 0.0,
            "p50_ms": percentile(ordered, 0.50),
            "p95_ms": percentile(ordered, 0.95),
            "p99_ms": percentile(ordered, 0.99),
            "max_ms": self.max_ms,
        }
        return {name: round(value, 3) for name, value in figures.items()}

    @property
    def p95_ms(self) -> float:
        return percentile(sorted(self.last), 0.95)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on a figure is a warning, and from which on the part is not fit for use."""

    warn: float
    bad: float


# S4's warnings: indications and strategies 5 s, realtime 3 s, memory and CPU 80 %, a database query 1 s.
# Twice a duration, and nearly all of the memory, is no longer a warning.
STAGE_SECONDS: Mapping[str, Threshold] = {
    "indications": Threshold(5.0, 10.0),
    "strategies": Threshold(5.0, 10.0),
    "realtime": Threshold(3.0, 6.0),
    "query": Threshold(1.0, 2.0),
}
MEMORY_PERCENT = Threshold(80.0, 95.0)
# A busy processor is never worse than a warning: what suffers from it says so itself
CPU_PERCENT = Threshold(80.0, float("inf"))
LAG_SECONDS = Threshold(1.0, 5.0)
# A host's clock against the database's (reliability reference §3.7): warn at 2 s, no trading at 10 s
CLOCK_SECONDS = Threshold(2.0, 10.0)
DISK_FREE_BYTES = Threshold(2e9, 2e8)


def judge(name: str, value: float, limit: Threshold, what: str) -> Component:
    """Judge a figure of which more is worse; `what` words it with its unit and the warning, for the reason."""
    if value >= limit.bad:
        return Component(name, Health.UNHEALTHY, what)
    if value >= limit.warn:
        return Component(name, Health.DEGRADED, what)
    return Component(name, Health.HEALTHY)


def judge_stage(name: str, samples: Samples) -> Component:
    """Judge how long a stage takes by the 95th percentile of its last 100 durations."""
    limit = STAGE_SECONDS[name]
    seconds = samples.p95_ms / 1000
    return judge(name, seconds, limit, f"p95 {seconds:.1f} s, expected below {limit.warn:g} s")


def judge_clock(skew_seconds: float | None) -> Component:
    """Judge how far the host's clock is from the database's; None while it was not measured."""
    skew = abs(skew_seconds or 0.0)
    fix = "let the host follow a time server (chrony, w32time)"
    return judge("clock", skew, CLOCK_SECONDS, f"{skew:.1f} s away from the database's clock: {fix}")


@dataclass(frozen=True, slots=True)
class HostFigures:
    """What a host has left: shares in percent, free bytes of the data folder, its clock against the database's."""

    cpu_percent: float
    memory_percent: float
    disk_free_bytes: int
    clock_skew_seconds: float | None = None


def judge_host(figures: HostFigures) -> tuple[Component, ...]:
    """Judge processor, memory, disk and clock of a host."""
    free, cpu, memory = figures.disk_free_bytes, figures.cpu_percent, figures.memory_percent
    less = Threshold(-DISK_FREE_BYTES.warn, -DISK_FREE_BYTES.bad)
    return (
        judge(
            "cpu", cpu, CPU_PERCENT, f"{cpu:.0f} % of the processors are used, expected below {CPU_PERCENT.warn:g} %"
        ),
        judge("memory", memory, MEMORY_PERCENT, f"{memory:.0f} % is used, expected below {MEMORY_PERCENT.warn:g} %"),
        judge("disk", -free, less, f"{free / 1e9:.1f} GB are free for the data folder: make room"),
        judge_clock(figures.clock_skew_seconds),
    )


def component_of(stored: Mapping[str, Any]) -> Component:
    """Return a component from its plain values."""
    return Component(str(stored["name"]), Health(stored["health"]), str(stored.get("reason", "")))
