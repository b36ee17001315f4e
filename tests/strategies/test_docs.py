"""The code of docs/writing-a-strategy.md runs, and every strategy has its half page."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from strategies import registry

SAID = "Buy (or sell) at once, average a few times, close the lot at the target."
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a page registers be forgotten afterwards."""
    registry.load()
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_the_page_that_teaches_writing_one_runs(own_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "writing-a-strategy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    page = ModuleType("writing_a_strategy")
    monkeypatch.setitem(__import__("sys").modules, page.__name__, page)
    for block in blocks:
        exec(compile(block, "writing-a-strategy.md", "exec"), page.__dict__)  # noqa: S102 - the page is ours
    assert registry.get("bounce").paragraphs == [
        "Buy (or sell) at once, average a few times, close the lot at the target."
    ]


def test_every_builtin_strategy_has_its_section() -> None:
    headings = set(re.findall(r"^## (.+)$", (DOCS / "strategies.md").read_text(encoding="utf-8"), re.MULTILINE))
    builtin = [spec for spec in registry.all_strategies() if spec.decide.__module__ in registry.BUILTINS]
    assert len(builtin) == len(registry.BUILTINS)
    assert {spec.title for spec in builtin} <= headings


@pytest.mark.parametrize("spec", [s for s in registry.all_strategies() if s.decide.__module__ in registry.BUILTINS])
def test_every_parameter_has_group_and_help(spec: registry.StrategySpec) -> None:
    assert registry.flaws(spec) == []
