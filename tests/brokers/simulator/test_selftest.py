"""The selftest checks everything there is, passes here, and tells what is broken when something is."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from brokers.simulator.faults import Faults
from brokers.simulator.module import FUNCTIONS
from brokers.simulator.selftest import report
from brokers.simulator.selftest.faults import FAULT_CHECKS
from brokers.simulator.selftest.functions import FUNCTION_CHECKS
from brokers.simulator.terminal import SimulatedTerminal

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def test_every_function_and_every_fault_has_a_check() -> None:
    assert set(FUNCTION_CHECKS) == set(FUNCTIONS)
    assert set(FAULT_CHECKS) == set(Faults.NAMES)


def test_it_passes_and_says_so_at_the_door() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "brokers.simulator", "selftest", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["passed"] is True
    assert len(found["checks"]) == len(FUNCTIONS) + len(Faults.NAMES)


def failing() -> set[str]:
    return {result.name for result in report.run() if not result.passed}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_broken_function_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The answer of an empty account, whatever happened, is what every check must notice."""

    def broken(*args: Any, **fields: Any) -> Any:
        return None

    monkeypatch.setattr(SimulatedTerminal, name, broken)
    result = report._try("function", name, FUNCTION_CHECKS[name])
    assert not result.passed
    assert "Error in line" in result.problem


@pytest.mark.parametrize("name", Faults.NAMES)
def test_a_fault_that_does_nothing_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(Faults, name, lambda *args, **fields: None)
    assert not report._try("fault", name, FAULT_CHECKS[name]).passed


def test_what_fails_is_in_the_table_and_what_has_no_check_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedTerminal, "orders_total", lambda self: 7)
    monkeypatch.delitem(FAULT_CHECKS, "requote")
    results = report.run()
    assert {r.name for r in results if not r.passed} == {"orders_total", "orders_get", "requote"}
    table = report.as_table(results).splitlines()
    assert table[-1] == f"{len(results) - 3} of {len(results)} passed, 3 failed"
    assert [line.split()[2] for line in table[:-1] if line.split()[1] == "requote"] == ["FAIL"]
    assert "nothing checks it" in report.as_table(results)
    assert report.as_json(results)["passed"] is False


def test_the_documentations_example_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    told = "\nprint(mt5.account_info().margin_mode, mt5.Buy('USDJPY', 0.1), mt5.positions_total())"
    done = subprocess.run(
        [sys.executable, "-c", example + told],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stdout == "0 None 1\n", done.stdout + done.stderr


def test_the_documentation_names_every_fault() -> None:
    text = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    assert [name for name in Faults.NAMES if f"`{name}" not in text] == []
