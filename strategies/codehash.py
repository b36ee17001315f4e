"""A name for the code that a replay of a strategy runs, so that what was found by other code is not taken for its."""

import sys
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from strategies.registry import StrategySpec

# What decides, watches, fills, counts and limits in a replay
REPLAYED = (
    "strategies", "backtesting", "brokers/simulator", "brokers/mt5", "brokers/domain.py", "marketdata", "risk/domain",
    "core",
)  # fmt: skip
SITE = Path(__file__).resolve().parent.parent
LENGTH = 16


def code_hash(spec: StrategySpec) -> str:
    """Return a name for a strategy's own package and everything of ours that a replay of it runs: 16 characters.

    A strategy in a file of its own counts with that file; one without a file (typed in) with its compiled code.
    """
    own = _own_root(spec)
    found = sha256(_replayed().encode())
    if own is None:
        code = spec.decide.__code__
        found.update(code.co_code + repr(code.co_consts).encode())
    elif SITE / "strategies" not in (own, *own.parents):
        found.update(_of([own]).encode())
    return found.hexdigest()[:LENGTH]


def _own_root(spec: StrategySpec) -> Path | None:
    """Return the folder of the package that the strategy came in, or its file."""
    name = spec.decide.__module__
    top = sys.modules.get(name.partition(".")[0])
    for module in (sys.modules.get(name), top):
        if module is None or not getattr(module, "__file__", None):
            return None
    assert top is not None
    assert top.__file__ is not None
    path = Path(top.__file__).resolve()
    return path.parent if path.name == "__init__.py" else path


@cache
def _replayed() -> str:
    return _of(SITE / part for part in REPLAYED)


def _of(roots: Iterable[Path]) -> str:
    found = sha256()
    for root in roots:
        files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
        for file in files:
            found.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return found.hexdigest()
