"""The repository's own rules, which no linter knows: sizes, clocks and randomness, swallowed errors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
NOT_OURS = {".venv", "var", "build", "dist", "node_modules", ".git"}
CLOCK_MODULES = {"core/clock.py", "core/ids.py"}
MARKER = re.compile(r"#\s*clock-ok: \S+")
# Owner and name of what only the injected clock and ids may use; `*` is every name of a module
FORBIDDEN = {
    ("timezone", "now"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "sleep"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
    ("random", "*"),
}


def modules() -> list[Path]:
    """List the product's modules; tests and migrations have rules of their own."""
    skipped = NOT_OURS | {"tests", "migrations"}
    found = [path for path in ROOT.rglob("*.py") if not skipped & set(path.relative_to(ROOT).parts)]
    assert found
    return sorted(found)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def long_functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give line and name of every function that is too long."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {lines} lines"


def clock_uses(source: str) -> Iterator[tuple[int, str]]:
    """Give line and name of every use of a clock, of randomness or of a random id that bears no marker."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute | ast.ImportFrom) or MARKER.search(lines[node.lineno - 1]):
            continue
        for owner, name in names_used(node):
            if (owner, name) in FORBIDDEN or (owner, "*") in FORBIDDEN:
                yield node.lineno, f"{owner}.{name}"


def names_used(node: ast.Attribute | ast.ImportFrom) -> list[tuple[str, str]]:
    """Give owner and name of `owner.name`, and of every name in `from owner import name`."""
    if isinstance(node, ast.ImportFrom):
        owner = "" if node.level else (node.module or "").rpartition(".")[2]
        return [(owner, alias.name) for alias in node.names]
    if isinstance(node.value, ast.Name):
        return [(node.value.id, node.attr)]
    return [(node.value.attr, node.attr)] if isinstance(node.value, ast.Attribute) else []


def swallowed_errors(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give line and text of every handler that catches everything and does nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            idle = all(
                isinstance(line, ast.Pass | ast.Continue)
                or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
                for line in node.body
            )
            if broad and idle:
                yield node.lineno, "an error is swallowed"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            arguments = {argument.id for argument in node.args if isinstance(argument, ast.Name)}
            if called == "suppress" and arguments & {"Exception", "BaseException"}:
                yield node.lineno, "every error is suppressed"


def test_no_module_is_too_long() -> None:
    sizes = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: size for name, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    found = [
        f"{named(path)}:{line} {text}"
        for path in modules()
        for line, text in long_functions(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_clock_and_chance_come_in_through_the_door() -> None:
    found = [
        f"{named(path)}:{line} {text}"
        for path in modules()
        if named(path) not in CLOCK_MODULES
        for line, text in clock_uses(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_error_is_swallowed() -> None:
    found = [
        f"{named(path)}:{line} {text}"
        for path in modules()
        for line, text in swallowed_errors(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("from django.utils import timezone\nx = timezone.now()", ["timezone.now"]),
        ("import datetime\nx = datetime.datetime.now(datetime.UTC)", ["datetime.now"]),
        ("import time\ntime.sleep(1)", ["time.sleep"]),
        ("import time\ntime.sleep(1)  # clock-ok: waits for a process", []),
        ("import time\ntime.sleep(1)  # clock-ok:", ["time.sleep"]),
        ("from time import sleep", ["time.sleep"]),
        ("from uuid import uuid4", ["uuid.uuid4"]),
        ("import random\nrandom.random()", ["random.random"]),
        ("import numpy\nnumpy.random.rand()", ["random.rand"]),
        ("import time\ntime.monotonic()", []),
    ],
)
def test_the_clock_rule_sees(source: str, caught: list[str]) -> None:
    assert [text for _, text in clock_uses(source)] == caught


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("try:\n    x = 1\nexcept Exception:\n    pass", 1),
        ("try:\n    x = 1\nexcept:\n    ...", 1),
        ("for x in y:\n    try:\n        x = 1\n    except BaseException:\n        continue", 1),
        ("try:\n    x = 1\nexcept OSError:\n    pass", 0),
        ("try:\n    x = 1\nexcept Exception:\n    log()\n    raise", 0),
        ("with contextlib.suppress(Exception):\n    x()", 1),
    ],
)
def test_the_swallowing_rule_sees(source: str, count: int) -> None:
    assert len(list(swallowed_errors(ast.parse(source)))) == count


def test_the_length_rule_sees() -> None:
    source = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert [text for _, text in long_functions(ast.parse(source))] == ["f has 61 lines"]


def test_every_route_that_changes_something_says_who_may() -> None:
    from tests.api.matrix import writes_without_a_line

    missing = writes_without_a_line()
    assert not missing, f"add to WRITES in tests/api/matrix.py what these ask for: {missing}"
