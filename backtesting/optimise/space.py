"""What may be varied, and what is wanted: parameters with their steps, and objectives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from backtesting.domain import BacktestError
from strategies.registry import StrategySpec

STEPS_MAX = 10_000
SETS_MAX = 10**15
Value = float | int | str | bool | None

# Every objective, and whether more of it is better
OBJECTIVES: Mapping[str, bool] = {
    "net": True, "profit_factor": True, "expectancy": True, "sharpe": True, "sortino": True, "win_share": True,
    "lowest_equity": True, "margin_level": True, "worst_cycle": True, "worst_day": True, "mae": True,
    "drawdown": False, "drawdown_share": False, "exposure": False, "lots_most": False, "stop_outs": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with the values that it may take, in order."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure of the report, and whether more of it is better."""

    name: str
    is_more_better: bool

    def score(self, figures: Mapping[str, Any]) -> float | None:
        """Return a number of which more is better; None where the figure says nothing."""
        value = figures.get(self.name)
        if (
            value is None
            and self.name == "profit_factor"
            and figures.get("won")
            and figures["won"] == figures["closed"]
        ):
            value = math.inf
        if value is None:
            return None
        return float(value) if self.is_more_better else -float(value)


@dataclass(frozen=True, slots=True)
class Space:
    """All combinations of the parameters' values, numbered."""

    parameters: tuple[Parameter, ...]

    def __len__(self) -> int:
        return math.prod(len(p.values) for p in self.parameters)

    def places(self, number: int) -> tuple[int, ...]:
        """Return which value of each parameter a set has; the last parameter changes fastest."""
        found = []
        for parameter in reversed(self.parameters):
            number, place = divmod(number, len(parameter.values))
            found.append(place)
        return tuple(reversed(found))

    def number(self, places: Sequence[int]) -> int:
        """Return the number of a set."""
        number = 0
        for parameter, place in zip(self.parameters, places, strict=True):
            number = number * len(parameter.values) + place
        return number

    def values(self, number: int) -> dict[str, Value]:
        """Return a set's values."""
        return {p.name: p.values[place] for p, place in zip(self.parameters, self.places(number), strict=True)}


def space_of(texts: Sequence[str], spec: StrategySpec, base: Mapping[str, Any]) -> Space:
    """Read `--vary` options: name=first:last:step, or name=one,two,…; each value has to be one the strategy takes.

    Raises BacktestError that names the option and what to write instead.
    """
    if not texts:
        raise BacktestError("--vary: name at least one parameter, for example --vary distance=10:50:5")
    parameters = [_parameter(text, spec, base) for text in texts]
    names = [p.name for p in parameters]
    if len(set(names)) < len(names):
        raise BacktestError("--vary: a parameter is named twice")
    space = Space(tuple(parameters))
    if len(space) > SETS_MAX:
        raise BacktestError(f"--vary: {len(space):,} combinations are too many; take larger steps")
    return space


def _parameter(text: str, spec: StrategySpec, base: Mapping[str, Any]) -> Parameter:
    name, found, given = text.partition("=")
    if name not in spec.params.model_fields or not found:
        known = ", ".join(spec.params.model_fields)
        raise BacktestError(f"--vary {text}: write name=first:last:step or name=one,two; {spec.slug} has {known}")
    raw = _steps(text, given) if ":" in given else [part.strip() for part in given.split(",")]
    values: list[Value] = []
    for value in raw:
        value_or_none = None if value in ("none", "") else value
        try:
            taken = getattr(spec.params.model_validate({**base, name: value_or_none}), name)
        except ValidationError as problem:
            raise BacktestError(f"--vary {text}: {value} can't be used: {problem.errors()[0]['msg']}") from None
        if taken in values:
            raise BacktestError(f"--vary {text}: {value} stands there twice")
        values.append(taken)
    return Parameter(name, tuple(values))


def _steps(text: str, given: str) -> list[str]:
    try:
        first, last, step = (float(part) for part in given.split(":"))
    except ValueError:
        raise BacktestError(f"--vary {text}: write first:last:step, three numbers") from None
    if not (all(map(math.isfinite, (first, last, step))) and step > 0 and first <= last):
        raise BacktestError(f"--vary {text}: first has to be at most last, and the step above zero")
    count = math.floor((last - first) / step + 1e-9) + 1
    if count > STEPS_MAX:
        raise BacktestError(f"--vary {text}: {count:,} values are too many; take a larger step")
    # Multiples of the step, without what binary fractions add
    return [f"{first + n * step:.10g}" for n in range(count)]


def objectives_of(texts: Sequence[str]) -> tuple[Objective, ...]:
    """Read `--objective` options: a figure, or figure:max or figure:min. Raises BacktestError."""
    found = []
    for text in texts or ("net", "drawdown"):
        name, _, way = text.partition(":")
        if name not in OBJECTIVES or way not in ("", "max", "min"):
            raise BacktestError(
                f"--objective {text}: write one of {', '.join(OBJECTIVES)}, with :max or :min if need be"
            )
        found.append(Objective(name, {"": OBJECTIVES[name], "max": True, "min": False}[way]))
    if len({o.name for o in found}) < len(found):
        raise BacktestError("--objective: a figure is named twice")
    return tuple(found)
