"""What many seeds add up to."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.run import Result


@dataclass(slots=True)
class Summary:
    """Counts of runs, faults, sends and takeovers, and the story of every failure."""

    seeds: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    points: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, result: Result, shrunk: Result) -> None:
        """Count a run; `shrunk` tells a failure's story with as little as is needed for it."""
        self.seeds += 1
        self.figures.update(result.figures)
        self.points |= result.reached.keys()
        self.digests[str(result.scenario.seed)] = result.digest
        if result.violations:
            self.failures.append({"seed": result.scenario.seed, "story": shrunk.story()})

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "seeds": self.seeds,
            "failures": self.failures,
            "figures": dict(sorted(self.figures.items())),
            "points": sorted(self.points),
            "digests": self.digests,
        }


def merged(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add reports up."""
    whole = Summary()
    for report in reports:
        whole.seeds += report["seeds"]
        whole.failures += report["failures"]
        whole.figures.update(report["figures"])
        whole.points |= set(report["points"])
        whole.digests |= report["digests"]
    return whole.as_json()
