"""What the tried sets say: the best, those that no other beats, a map of two parameters, and whether to believe it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from backtesting.optimise.space import Objective, Space

# Where no set differs in one step only, this many nearest ones stand for the neighbourhood
NEAREST = 6
NEIGHBOURS_MIN = 2
# A peak is lonely when its neighbours lose more than this share of its lead over the middle of all sets
LEAD_LOST = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """A tried set and the figures that came of it, by its number in the space."""

    number: int
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peak:
    """How far the best stands out: its lead over the median set, and the share that its neighbours keep of it."""

    neighbours: int
    lead: float
    kept: float | None
    warning: str


@dataclass(frozen=True, slots=True)
class Heat:
    """A map of two parameters: rows of the median score over all other parameters, None where nothing was tried."""

    down: str
    across: str
    down_values: tuple[Any, ...]
    across_values: tuple[Any, ...]
    cells: tuple[tuple[float | None, ...], ...]


def scores_of(trial: Trial, objectives: Sequence[Objective], closed_min: int) -> tuple[float, ...] | None:
    """Return a set's scores, more is better; None where a figure is missing or too few cycles were closed."""
    if trial.figures.get("closed", 0) < closed_min:
        return None
    found = [objective.score(trial.figures) for objective in objectives]
    return (
        None if any(score is None or math.isnan(score) for score in found) else tuple(s for s in found if s is not None)
    )


def ranked(
    trials: Sequence[Trial], objectives: Sequence[Objective], closed_min: int
) -> list[tuple[Trial, tuple[float, ...]]]:
    """Return the sets that can be judged, best first by the first objective, then by the others."""
    found = [(t, s) for t in trials if (s := scores_of(t, objectives, closed_min)) is not None]
    return sorted(found, key=lambda pair: ([-score for score in pair[1]], pair[0].number))


def pareto(judged: Sequence[tuple[Trial, tuple[float, ...]]]) -> list[tuple[Trial, tuple[float, ...]]]:
    """Return the sets that no other set beats in one objective without losing in another, in the given order."""
    front: list[tuple[Trial, tuple[float, ...]]] = []
    # Sorted by the first objective, a set can only be beaten by one before it
    for trial, scores in judged:
        if not any(all(a >= b for a, b in zip(other, scores, strict=True)) and other != scores for _, other in front):
            front.append((trial, scores))
    return front


def peak_of(judged: Sequence[tuple[Trial, tuple[float, ...]]], space: Space) -> Peak:
    """Say whether the best set stands on a plateau or alone, by the first objective."""
    scores = {trial.number: first for trial, (first, *_) in judged if math.isfinite(first)}
    if not scores:
        return Peak(0, 0.0, None, "No set can be judged: too few cycles were closed.")
    best = max(scores, key=lambda number: (scores[number], -number))
    lead = scores[best] - median(scores.values())
    around = _neighbours(best, scores, space)
    if len(around) < NEIGHBOURS_MIN:
        return Peak(
            len(around), lead, None, "Too few sets near the best one were tried to tell whether it is a lonely peak."
        )
    if lead <= 0:
        return Peak(
            len(around),
            lead,
            None,
            "The best set is no better than the middle of all: the parameters hardly matter here.",
        )
    kept = 1 - (scores[best] - median(scores[n] for n in around)) / lead
    warning = ""
    if kept < 1 - LEAD_LOST:
        warning = (
            f"The best set is a lonely peak: the {len(around)} sets next to it keep {max(kept, 0.0):.0%} of its lead "
            "over the middle of all sets. It has probably found this history's accidents; do not expect it again."
        )
    return Peak(len(around), lead, kept, warning)


def _neighbours(best: int, scores: Mapping[int, float], space: Space) -> list[int]:
    """Return the tried sets one step away in one parameter, or else the nearest ones."""
    places = space.places(best)
    beside = []
    for which, parameter in enumerate(space.parameters):
        for step in (-1, 1):
            place = places[which] + step
            if 0 <= place < len(parameter.values):
                beside.append(space.number((*places[:which], place, *places[which + 1 :])))
    tried = [number for number in beside if number in scores]
    if len(tried) >= max(NEIGHBOURS_MIN, len(beside) // 2):
        return tried
    others = sorted((n for n in scores if n != best), key=lambda n: (_distance(places, space.places(n), space), n))
    return others[:NEAREST]


def _distance(one: Sequence[int], two: Sequence[int], space: Space) -> float:
    parts = zip(one, two, space.parameters, strict=True)
    return math.sqrt(sum(((a - b) / max(1, len(p.values) - 1)) ** 2 for a, b, p in parts))


def heat_of(judged: Sequence[tuple[Trial, tuple[float, ...]]], space: Space, names: Sequence[str] = ()) -> Heat | None:
    """Return the map of two parameters, by default of the two with most values; None with one parameter."""
    by_size = sorted(space.parameters, key=lambda p: -len(p.values))
    chosen = [p for p in space.parameters if p.name in names] if names else by_size[:2]
    if len(chosen) != 2:
        return None
    down, across = (space.parameters.index(p) for p in chosen)
    cells: dict[tuple[int, int], list[float]] = {}
    for trial, (first, *_) in judged:
        places = space.places(trial.number)
        if math.isfinite(first):
            cells.setdefault((places[down], places[across]), []).append(first)
    table = tuple(
        tuple(median(cells[row, column]) if (row, column) in cells else None for column in range(len(chosen[1].values)))
        for row in range(len(chosen[0].values))
    )
    return Heat(chosen[0].name, chosen[1].name, chosen[0].values, chosen[1].values, table)
