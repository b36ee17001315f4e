"""Run a scenario, judge its end, and shrink one that fails."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.apps import apps
from django.db import connection

from strategies.models import Bot
from tests.simulation import checkers
from tests.simulation.desk import INTERVALS, Desk, quiet_log
from tests.simulation.faults import FAULTS
from tests.simulation.guardfaults import count
from tests.simulation.scenario import QUIET_SECONDS, SECONDS, Scenario, make

OWN_APPS = ("accounts", "events", "strategies", "orders", "cycles", "risk", "engine", "reconciliation", "marketdata")
# How often it is looked whether a run has come to rest, and how long it goes on then: longer than any job's interval
LOOK_SECONDS, CALM_SECONDS = 10.0, 20.0
MEMORY_FOLDER = Path("/dev/shm")


@dataclass(slots=True)
class Result:
    """What came of a run; it failed when there is any violation."""

    scenario: Scenario
    digest: str
    violations: list[str]
    history: list[str]
    figures: Counter[str]
    reached: Counter[str] = field(default_factory=Counter)

    def story(self) -> str:
        """Return what a person needs to see of a failure: the seed, what happened, and what was wrong."""
        lines = [f"seed {self.scenario.seed}: {len(self.violations)} violation(s)", *map(str, self.scenario.happenings)]
        return "\n  ".join([*lines, *self.history[-40:], *(f"✗ {v}" for v in self.violations)])


def reset() -> None:
    """Empty every table of ours, with ids that begin at 1 again: the next run finds a fresh database."""
    tables = [m._meta.db_table for m in apps.get_models() if m._meta.app_label in OWN_APPS and m._meta.managed]
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(sorted(tables))} RESTART IDENTITY CASCADE")


def simulate(
    scenario: Scenario,
    *,
    prepare: Callable[[Desk], None] | None = None,
    intervals: Mapping[str, float] = INTERVALS,
    quiet_seconds: float = QUIET_SECONDS,
) -> Result:
    """Run one scenario on the current database, which is emptied first. `prepare` arms what a directed test wants."""
    reset()
    memory = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with quiet_log(), tempfile.TemporaryDirectory(dir=memory) as folder:
        desk = Desk(scenario, Path(folder), intervals)
        with desk.open():
            for happening in scenario.happenings:
                desk.at(happening.at, partial(_happen, desk, happening.name, happening.value))
            if prepare is not None:
                prepare(desk)
            desk.run_until(scenario.seconds)
            return _end(desk, quiet_seconds)


def _happen(desk: Desk, name: str, value: float) -> None:
    desk.note(f"{name} {value:.3f}")
    desk.figures[f"fault:{name}"] += 1
    FAULTS[name].begin(desk, value)


def _end(desk: Desk, quiet_seconds: float) -> Result:
    """End every fault, let it be quiet, and judge."""
    desk.end_faults()
    Bot.objects.update(desired_state="paused")
    _rest(desk, quiet_seconds)
    desk.settle()
    count(desk)
    violations = [*desk.violations, *checkers.broken(desk.truth)]
    before = checkers.digest(desk.truth)
    desk.second_pass()
    after = checkers.digest(desk.truth)
    if before != after:
        violations.append("P7: a second reconciliation of an unchanged world changed something")
    return Result(desk.scenario, after, violations, desk.history, desk.figures, desk.reached)


def _rest(desk: Desk, seconds: float) -> None:
    """Let it be quiet until nothing is under way, and a while longer so that every job looks again; or `seconds`."""
    until = desk.clock.ticks() + seconds
    while desk.clock.ticks() < until:
        desk.run_until(min(desk.clock.ticks() + LOOK_SECONDS, until))
        if desk.has_nothing_to_do() and not checkers.broken(desk.truth):
            desk.run_until(min(desk.clock.ticks() + CALM_SECONDS, until))
            return


def run_seed(seed: int, names: Sequence[str] = tuple(FAULTS), *, seconds: float = SECONDS) -> Result:
    """Run the scenario of a seed."""
    return simulate(make(seed, names, seconds=seconds))


def shrink(result: Result) -> Result:
    """Leave out one happening after the other, as long as the run still fails; one that held is returned as it is."""
    index = 0 if result.violations else len(result.scenario.happenings)
    while index < len(result.scenario.happenings):
        smaller = simulate(result.scenario.without(index))
        if smaller.violations:
            result = smaller
        else:
            index += 1
    return result


def shrunk(seed: int, names: Sequence[str], seconds: float) -> Result:
    """Run the scenario of a seed, and shrink it when it fails."""
    return shrink(run_seed(seed, names, seconds=seconds))
