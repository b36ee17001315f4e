"""Try every function of the module and every fault on accounts of their own, and tell which of them work.

A check uses the module as a program would, and fails by an assertion; an exception of any kind is a failure too.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from brokers.simulator.faults import Faults
from brokers.simulator.module import FUNCTIONS
from brokers.simulator.selftest.bench import Bench, Check
from brokers.simulator.selftest.faults import FAULT_CHECKS
from brokers.simulator.selftest.functions import FUNCTION_CHECKS

PROBLEM_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check: `kind` is function or fault, `problem` is empty when it passed."""

    kind: str
    name: str
    problem: str

    @property
    def passed(self) -> bool:
        """Whether it works."""
        return not self.problem


def run() -> list[Result]:
    """Make every check. What has none fails, so that nothing new goes unnoticed."""
    functions = [_try("function", name, FUNCTION_CHECKS.get(name)) for name in FUNCTIONS]
    return functions + [_try("fault", name, FAULT_CHECKS.get(name)) for name in Faults.NAMES]


def _try(kind: str, name: str, check: Check | None) -> Result:
    if check is None:
        return Result(kind, name, "nothing checks it")
    with TemporaryDirectory() as folder:
        try:
            bench = Bench(Path(folder))
            try:
                check(bench)
            finally:
                bench.terminal.shutdown()
        except Exception as problem:  # noqa: BLE001 whatever goes wrong is what a check is for
            return Result(kind, name, _told(problem))
    return Result(kind, name, "")


def _told(problem: Exception) -> str:
    """Say what went wrong, and on which line of the check."""
    trace = problem.__traceback__
    line = 0
    while trace is not None:
        line = trace.tb_lineno if "selftest" in trace.tb_frame.f_code.co_filename else line
        trace = trace.tb_next
    text = " ".join(f"{type(problem).__name__} in line {line} of its check {problem}".split())
    return text[:PROBLEM_CHARACTERS_MAX]


def as_json(results: list[Result]) -> dict[str, Any]:
    """Return the results as plain values."""
    return {
        "passed": all(result.passed for result in results),
        "checks": [asdict(result) | {"passed": result.passed} for result in results],
    }


def as_table(results: list[Result]) -> str:
    """Return the results as text: one line a check, and at the end how many passed."""
    width = max(len(result.name) for result in results)
    lines = [
        f"{result.kind:<8}  {result.name:<{width}}  {'pass' if result.passed else f'FAIL  {result.problem}'}"
        for result in results
    ]
    failed = sum(not result.passed for result in results)
    total = f"{len(results) - failed} of {len(results)} passed"
    return "\n".join([*lines, f"{total}, {failed} failed" if failed else total])
