"""Every crash point that the product's code names, found by reading the code: a new write can't stay unrehearsed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("orders", "cycles", "engine")
# Rehearsed by tests of their own: they run at a person's word, in a process or with rows that no desk here has
ELSEWHERE = (
    "engine/followsignal.py",
    "engine/byhand.py",
    "engine/settling.py",
    "engine/reconciling.py",
    "engine/closing.py",
    "engine/guarding.py",
    "engine/signals.py",
)
SIDES = ("uncommitted", "committed")


def points() -> list[str]:
    """Return the names of all crash points in the folders that write and send."""
    found = {
        name
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts and path.relative_to(ROOT).as_posix() not in ELSEWHERE
        for name in _in_module(path)
    }
    return sorted(found)


def _in_module(path: Path) -> Iterator[str]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    yield from _walk(ast.parse(path.read_text(encoding="utf-8")), module)


def _walk(node: ast.AST, where: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = where
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{where}.{child.name}"
        if isinstance(child, ast.Call):
            yield from _of_call(child, where)
        yield from _walk(child, inner)


def _of_call(call: ast.Call, where: str) -> Iterator[str]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    first = call.args[1 if name == "fenced" else 0] if len(call.args) > (name == "fenced") else None
    literal = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    if name == "fenced":
        yield from (f"{literal or where}:{side}" for side in SIDES)
    elif name == "reached" and literal:
        yield literal
