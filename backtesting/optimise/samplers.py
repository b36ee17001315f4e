"""Which sets are tried next: all of them, some at random, or those that Optuna's TPE expects most of.

TPE (tree-structured Parzen estimator, Bergstra et al. 2011) is Optuna's default sampler. It was chosen because it takes
the steps and words that parameters have, weighs several objectives at once, and needs neither gradients nor scales;
Gaussian processes and CMA-ES want smooth numbers. A sampler is asked for a round of sets and told their scores: what it
asks depends on its seed and on what it was told, so a run that is taken up again asks the same.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from backtesting.optimise.space import Objective, Space

# As many are asked for at once whatever the number of processes, so that this number changes no result
ROUND = 16
SAMPLERS = ("grid", "random", "tpe")
# What TPE is told where a figure is without limit, such as a profit factor without losses
LIMIT = 1e12


class Sampler(Protocol):
    """Chooses sets, by number."""

    def next_round(self) -> Sequence[int]:
        """Return the sets to try next, none when there are no more."""
        ...

    def tell(self, number: int, scores: Sequence[float] | None) -> None:
        """Say what came of a set: more is better; None where nothing can be said."""
        ...


class Listed:
    """Sets in an order that is known beforehand."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers

    def next_round(self) -> Sequence[int]:
        return list(itertools.islice(self._numbers, ROUND * 8))

    def tell(self, number: int, scores: Sequence[float] | None) -> None:
        """A list goes on whatever came."""


def shuffled(space: Space, count: int, seed: int) -> Iterator[int]:
    """Give `count` different sets in an order that only the seed decides."""
    total, seen = len(space), set[int]()
    for turn in itertools.count():
        if len(seen) >= min(count, total):
            return
        digest = hashlib.sha256(f"{seed}:{turn}".encode()).digest()
        number = int.from_bytes(digest[:16], "big") % total
        if number not in seen:
            seen.add(number)
            yield number


class Tpe:
    """Optuna's TPE over the places of the values."""

    def __init__(self, space: Space, objectives: Sequence[Objective], count: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = space
        self._left = min(count, len(space))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(10, ROUND), constant_liar=False)
        self._study = optuna.create_study(directions=["maximize"] * len(objectives), sampler=sampler)
        self._asked: dict[int, Any] = {}
        self._known: dict[int, Sequence[float] | None] = {}

    def next_round(self) -> Sequence[int]:
        """Ask for a round; a set that was asked for before is told what came of it, and counts once."""
        found: list[int] = []
        tries = 0
        while len(found) < min(ROUND, self._left) and tries < ROUND * 20:
            tries += 1
            trial = self._study.ask()
            places = [trial.suggest_int(p.name, 0, len(p.values) - 1) for p in self._space.parameters]
            number = self._space.number(places)
            if number in self._known:
                self._finish(trial, self._known[number])
            elif number in self._asked:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._asked[number] = trial
                found.append(number)
        self._left -= len(found)
        return found

    def tell(self, number: int, scores: Sequence[float] | None) -> None:
        self._known[number] = scores
        self._finish(self._asked.pop(number), scores)

    def _finish(self, trial: Any, scores: Sequence[float] | None) -> None:
        if scores is None:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, [max(-LIMIT, min(LIMIT, s)) for s in scores])


def sampler_of(name: str, space: Space, objectives: Sequence[Objective], *, count: int, seed: int) -> Sampler:
    """Make a sampler by its name; `count` limits all but the grid, which tries everything."""
    if name == "grid":
        return Listed(iter(range(len(space))))
    if name == "random":
        return Listed(shuffled(space, count, seed))
    return Tpe(space, objectives, count, seed)
