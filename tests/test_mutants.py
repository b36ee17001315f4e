"""The list of safety lines stays true: each line is still there, and each test that guards it exists."""

import pytest

from tools.mutant import Mutant
from tools.mutants import MUTANTS, ROOT, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_line_and_its_tests_exist(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert mutated(text, mutant) != text
    for test in mutant.tests:
        path, _, function = test.partition("::")
        assert (ROOT / path).exists(), test
        assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_names_are_used_once() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
