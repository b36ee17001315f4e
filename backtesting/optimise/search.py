"""The search: rounds of sets are asked for, replayed and judged, on the whole history or walking forward through it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backtesting.domain import BacktestError, Plan
from backtesting.history import History
from backtesting.optimise.replays import Replays
from backtesting.optimise.results import Results, Window
from backtesting.optimise.samplers import SAMPLERS, sampler_of
from backtesting.optimise.space import Objective, Space
from backtesting.optimise.verdict import Trial, ranked, scores_of

FOLDS_MAX = 50
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Search:
    """How to search: the whole history, or in `folds`, each trained on the share `train` of its part."""

    space: Space
    objectives: tuple[Objective, ...]
    sampler: str = "grid"
    count: int = 200
    seed: int = 1
    folds: int = 0
    train: float = 0.7
    closed_min: int = 10

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise BacktestError(f"--sampler: choose one of {', '.join(SAMPLERS)}")
        if not 1 <= self.count <= 1_000_000:
            raise BacktestError("--count: give a number from 1 to 1,000,000")
        if not (self.folds == 0 or 2 <= self.folds <= FOLDS_MAX):
            raise BacktestError(f"--folds: give 0, or a number from 2 to {FOLDS_MAX}")
        if not 0.1 <= self.train <= 0.95:
            raise BacktestError("--train: give a share from 0.1 to 0.95")
        if self.closed_min < 1:
            raise BacktestError("--min-cycles: give a number from 1 on")

    @property
    def sets(self) -> int:
        """How many sets are tried in each fold."""
        return len(self.space) if self.sampler == "grid" else min(self.count, len(self.space))


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of the history: trained up to `tested_from`, and then tested up to its end; without folds not tested."""

    begin: float
    tested_from: float
    end: float
    trials: tuple[Trial, ...]
    best: Trial | None = None
    tested: Mapping[str, Any] | None = None


def windows_of(search: Search, begin: float, end: float) -> list[tuple[float, float, float]]:
    """Return begin, first tested moment and end of each fold; the tested parts lie side by side and don't overlap."""
    if search.folds == 0:
        return [(begin, end, end)]
    tested = (end - begin) / (search.folds + search.train / (1 - search.train))
    trained = tested * search.train / (1 - search.train)
    return [
        (begin + n * tested, begin + n * tested + trained, begin + n * tested + trained + tested)
        for n in range(search.folds)
    ]


def search_sets(
    search: Search,
    plan: Plan,
    history: History,
    results: Results,
    *,
    processes: int,
    told: Told = lambda done, of: None,
) -> list[Fold]:
    """Search. What `results` knows is not replayed again, and what is replayed is kept there at once.

    Raises BacktestError when a fold has no prices.
    """
    begin, end = float(history.stream.at[0]), float(history.stream.at[-1]) + 1.0
    folds, total = [], search.sets * max(1, search.folds)
    with Replays(plan, history, processes) as replays:
        for number, (first, tested_from, last) in enumerate(windows_of(search, begin, end)):
            done = number * search.sets
            trials = _trials(search, (first, tested_from), replays, results, lambda n, done=done: told(done + n, total))  # type: ignore[misc]
            if search.folds == 0:
                return [Fold(first, tested_from, last, trials)]
            judged = ranked(trials, search.objectives, search.closed_min)
            best = judged[0][0] if judged else None
            tested = None
            if best is not None:
                values = search.space.values(best.number)
                (tested,) = _figures(replays, results, (tested_from, last), {best.number: values}).values()
            folds.append(Fold(first, tested_from, last, trials, best, tested))
    return folds


def _trials(
    search: Search, window: Window, replays: Replays, results: Results, told: Callable[[int], None]
) -> tuple[Trial, ...]:
    sampler = sampler_of(search.sampler, search.space, search.objectives, count=search.count, seed=search.seed)
    trials: list[Trial] = []
    while numbers := sampler.next_round():
        sets = {number: search.space.values(number) for number in numbers}
        figures = _figures(replays, results, window, sets, lambda n: told(len(trials) + n))
        # In the order of asking, not of finishing: the sampler must not see which process was faster
        for number in numbers:
            trial = Trial(number, figures[number])
            trials.append(trial)
            sampler.tell(number, scores_of(trial, search.objectives, search.closed_min))
    return tuple(trials)


def _figures(
    replays: Replays, results: Results, window: Window, sets: Mapping[int, Mapping[str, Any]],
    told: Callable[[int], None] = lambda done: None,
) -> dict[int, dict[str, Any]]:  # fmt: skip
    """Return the figures of each set by its number, replaying those that are not known."""
    found = {number: known for number, values in sets.items() if (known := results.get(window, values)) is not None}
    missing = [(number, window, values) for number, values in sets.items() if number not in found]
    for finished in replays.run(missing):
        results.add((window, sets[number], figures) for number, figures in finished)
        found |= dict(finished)
        told(len(found))
    told(len(found))
    return found


def over_folds(folds: Sequence[Fold], objectives: Sequence[Objective]) -> list[Trial]:
    """Return each set once, with the mean of its objectives over the folds in which it was tried."""
    if len(folds) == 1:
        return list(folds[0].trials)
    tried: dict[int, list[Mapping[str, Any]]] = {}
    for fold in folds:
        for trial in fold.trials:
            tried.setdefault(trial.number, []).append(trial.figures)
    names = {"closed", *(objective.name for objective in objectives)}
    return [Trial(number, {n: _mean(rows, n) for n in names}) for number, rows in tried.items()]


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else None
