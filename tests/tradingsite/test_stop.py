"""`make stop`: it ends what belongs to this checkout and data folder, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tradingsite.test_checks import ROOT, manage

pytestmark = pytest.mark.processes
WAITS = "import sys; print('up', flush=True); sys.stdin.read()"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Whatever the test started, ended when it is over."""
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.communicate(timeout=60)


def start(made: list[subprocess.Popen[str]], code: str, *arguments: str, var: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env={**os.environ, "TRADING_VAR_DIR": str(var)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    made.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_stop_ends_supervisor_and_orphans_of_this_folder_only(
    started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    supervisor = start(started, WAITS, "manage.py", "runengine", var=ours)
    orphan = start(started, IGNORES, "manage.py", "qcluster", var=ours)
    stranger = start(started, WAITS, "manage.py", "runengine", var=theirs)
    other_program = start(started, WAITS, "manage.py", "shell", var=ours)

    done = manage("stop", TRADING_VAR_DIR=str(ours))

    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    assert supervisor.wait(5) != 0
    assert orphan.wait(5) != 0
    assert stranger.poll() is None
    assert other_program.poll() is None


def test_stop_is_harmless_when_nothing_runs(tmp_path: Path) -> None:
    done = manage("stop", TRADING_VAR_DIR=str(tmp_path))
    assert done.returncode == 0
    assert "No engine or site ran." in done.stdout
