"""The strategies that can be traded: built-ins, and plug-ins found by entry point. No Django in here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from pydantic import ValidationError

from strategies.domain import Decide
from strategies.params import StrategyParams

CycleKind = Literal["CT", "HEDGE"]
ENTRY_POINTS = "trading.strategies"
BUILTINS = (
    "strategies.builtin.cycle_trader",
    "strategies.builtin.adaptive_hedging",
    "strategies.builtin.signal_trader",
    "strategies.builtin.scalping",
    "strategies.builtin.trend_following",
    "strategies.builtin.copier",
)


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A registered strategy. `cycle_kind` is how its cycles are counted: CT, or HEDGE for those that hedge.

    `follows_signals` tells by the parameters whether a bot looks at indications or sets: only for the symbols of those
    that do, history is loaded and followed candle by candle.
    """

    slug: str
    version: int
    params: type[StrategyParams]
    decide: Decide
    title: str
    doc: str
    cycle_kind: CycleKind = "CT"
    follows_signals: Callable[[Any], bool] = lambda params: True

    @property
    def paragraphs(self) -> list[str]:
        """The description without the line ends and marks of its source."""
        return [" ".join(part.split()).replace("`", "") for part in self.doc.split("\n\n")]


_registered: dict[str, StrategySpec] = {}
_problems: list[str] = []


def strategy(
    *,
    slug: str,
    version: int,
    params: type[StrategyParams],
    title: str = "",
    cycle_kind: CycleKind = "CT",
    follows_signals: Callable[[Any], bool] = lambda params: True,
) -> Callable[[Decide], Decide]:
    """Register a decision function. Raises ValueError when the slug is taken by another function."""

    def register(decide: Decide) -> Decide:
        known = _registered.get(slug)
        if known is not None and known.decide is not decide:
            raise ValueError(f"strategy {slug!r} is registered twice")
        name = title or slug.replace("-", " ").capitalize()
        doc = (decide.__doc__ or "").strip()
        _registered[slug] = StrategySpec(slug, version, params, decide, name, doc, cycle_kind, follows_signals)
        return decide

    return register


@cache
def load() -> None:
    """Import built-ins and plug-ins once; a plug-in that fails is remembered as a problem, the others load."""
    for module in BUILTINS:
        import_module(module)
    for point in entry_points(group=ENTRY_POINTS):
        known = set(_registered)
        try:
            point.load()
        except Exception as problem:  # noqa: BLE001 - a plug-in is other people's code
            _problems.append(f"{point.name} ({point.value}): {type(problem).__name__}: {problem}")
            continue
        new = [spec for slug, spec in _registered.items() if slug not in known]
        if not new:
            _problems.append(f"{point.name} ({point.value}): registers no strategy")
        _problems.extend(f"{spec.slug}: {flaw}" for spec in new for flaw in flaws(spec))


def flaws(spec: StrategySpec) -> list[str]:
    """Say what a person would miss in a strategy: defaults that hold, parameters with group and help, a description."""
    found = [] if spec.doc else ["it has no description"]
    try:
        spec.params()
    except ValidationError as problem:
        names = ", ".join(".".join(map(str, part["loc"])) or part["msg"] for part in problem.errors())
        found.append(f"its defaults do not hold: {names}")
    for name, info in spec.params.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        if not info.description or not extra.get("group"):
            found.append(f"parameter {name!r} has no help or group; declare it with param()")
    return found


def get(slug: str) -> StrategySpec:
    """Return a strategy. Raises KeyError that names the known ones."""
    load()
    if slug not in _registered:
        raise KeyError(f"no strategy {slug!r}; known: {', '.join(sorted(_registered))}")
    return _registered[slug]


def all_strategies() -> list[StrategySpec]:
    """Return every strategy, by slug."""
    load()
    return [_registered[slug] for slug in sorted(_registered)]


def problems() -> list[str]:
    """Return what is wrong with plug-ins, a line each."""
    load()
    return list(_problems)


def defaults(slug: str) -> dict[str, Any]:
    """Return a strategy's default values, ready for JSON."""
    return get(slug).params().model_dump(mode="json")
