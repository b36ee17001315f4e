"""What many runs add up to."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.run import Result


@dataclass(slots=True)
class Summary:
    """Counts of runs, faults, sends and takeovers, and the story of every failure."""

    runs: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    points: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, result: Result) -> None:
        """Count a run."""
        self.runs += 1
        self.figures.update(result.figures)
        self.points |= result.reached.keys()
        self.digests[name] = result.digest
        if result.violations:
            self.failures.append({"run": name, "story": f"{name}\n{result.story()}"})

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "runs": self.runs,
            "failures": self.failures,
            "figures": dict(sorted(self.figures.items())),
            "points": sorted(self.points),
            "digests": self.digests,
        }


def merged(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add reports up."""
    whole = Summary()
    for report in reports:
        whole.runs += report["runs"]
        whole.failures += report["failures"]
        whole.figures.update(report["figures"])
        whole.points |= set(report["points"])
        whole.digests |= report["digests"]
    return whole.as_json()
