"""What a mutant is: one safety line, what takes its place, and the tests that must turn red."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`edits` are (old, new) texts; each old one stands exactly once in the file."""

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def removed(name: str, file: str, line: str, *tests: str, by: str = "") -> Mutant:
    """Return the mutant that takes one text out of a file, or puts `by` in its place."""
    return Mutant(name, file, ((line, by),), tests)
