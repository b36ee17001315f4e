"""The name of a strategy's code: the same for the same code, another one after any change to what a replay runs."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from strategies import codehash, registry
from strategies.codehash import code_hash
from strategies.domain import Decision, View


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the file of a strategy that came in a package of its own."""
    package = tmp_path / "own_strategies"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("EDGE = 1\n")
    file = package / "mine.py"
    file.write_text("def decide(view, params):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield file
    for name in [name for name in sys.modules if name.startswith("own_strategies")]:
        del sys.modules[name]


def test_the_same_code_has_the_same_name_whatever_its_version() -> None:
    spec = registry.get("cycle-trader")
    assert code_hash(spec) == code_hash(replace(spec, version=spec.version + 1))
    assert len(code_hash(spec)) == 16


def test_a_plugins_code_counts_with_its_helpers(plugin: Path) -> None:
    mine: Any = import_module("own_strategies.mine")
    spec = replace(registry.get("cycle-trader"), decide=mine.decide)
    names = [code_hash(spec)]
    assert names[0] != code_hash(registry.get("cycle-trader"))
    for file, text in (
        (plugin, "def decide(view, params):\n    return 1\n"),
        (plugin.parent / "helper.py", "EDGE = 2\n"),
    ):
        file.write_text(text)
        names.append(code_hash(spec))
    assert len(set(names)) == 3


def test_what_a_replay_runs_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.get("cycle-trader")
    before = code_hash(spec)
    monkeypatch.setattr(codehash, "_replayed", lambda: "another simulator")
    assert code_hash(spec) != before


def test_code_without_a_file_counts_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_in", ModuleType("typed_in"))
    spec, found = registry.get("cycle-trader"), set()
    for reason in ("one", "two"):

        def decide(view: View, params: Any, reason: str = reason) -> Decision:
            return Decision()

        decide.__code__ = decide.__code__.replace(co_consts=(*decide.__code__.co_consts, reason))
        decide.__module__ = "typed_in"
        found.add(code_hash(replace(spec, decide=decide)))
    assert len(found) == 2
