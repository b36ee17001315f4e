"""One process drives a terminal: engines' gateways and agents of one host, as processes, with a module to import."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from brokers.gateway import ConnectError
from brokers.simulator.account import AccountSpec, SymbolSetup, create_account
from brokers.simulator.feed import FeedSpec
from brokers.terminallock import DEFAULT, TerminalHeld, TerminalHold
from core.clock import SystemClock

ROOT = Path(__file__).parents[3]
LOGIN, SERVER = 1001, "Sim-Server"
# What `import MetaTrader5` finds in the processes of these tests: each folder is a terminal with its data folder
MODULE = """
import os, sys
from pathlib import Path
from brokers.simulator.module import as_module
from brokers.simulator.terminal import SimulatedTerminal
from core.clock import SystemClock

sys.modules[__name__] = as_module(SimulatedTerminal(Path(os.environ["TERMINAL"]), clock=SystemClock()))
"""
GATEWAY = """
import sys
from brokers.factory import open_gateway
from brokers.gateway import ConnectError
from core.clock import SystemClock

gateway = open_gateway("mt5", login=1001, password="pw", server="Sim-Server", options={"path": sys.argv[1]},
                       symbol_map={}, clock=SystemClock())
for line in sys.stdin:
    try:
        gateway.connect() if line == "connect\\n" else gateway.close()
        print("done", flush=True)
    except ConnectError as problem:
        print(problem, flush=True)
"""


class Host:
    """A machine with terminals, a folder each, and processes that want to drive them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._agents = 0
        (folder / "modules").mkdir()
        (folder / "modules" / "MetaTrader5.py").write_text(MODULE)
        (folder / "gateway.py").write_text(GATEWAY)

    def terminal(self, name: str) -> Path:
        """Make a terminal, or find it."""
        file = self._folder / name / "terminal.sqlite"
        if not file.exists():
            file.parent.mkdir()
            spec = AccountSpec(LOGIN, "pw", SERVER)
            feed = FeedSpec.model(anchor=SystemClock().now(), seed=7)
            create_account(file, spec, [SymbolSetup("EURUSD")], {"EURUSD": feed}, clock=SystemClock())
        return file

    def _start(self, terminal: str, *command: str) -> "subprocess.Popen[str]":
        paths = os.pathsep.join((str(self._folder / "modules"), str(ROOT)))
        process = subprocess.Popen(
            [sys.executable, *command], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "TERMINAL": str(self.terminal(terminal)),
                 "TMPDIR": str(self._folder), "TEMP": str(self._folder)},
        )  # fmt: skip
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def gateway(self, terminal: str, *, path: bool = True) -> "subprocess.Popen[str]":
        """Start a process with a gateway, not connected; without a path the module finds the terminal."""
        return self._start(terminal, str(self._folder / "gateway.py"), str(self.terminal(terminal)) if path else "")

    def agent(self, terminal: str, *options: str) -> "subprocess.Popen[str]":
        """Start an agent with a folder of its own."""
        self._agents += 1
        return self._start(
            terminal, "-m", "brokers.mt5.agent", "--login", str(LOGIN), "--listen", "127.0.0.1:0",
            "--folder", str(self._folder / f"agent{self._agents}"), *options,
        )  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        yield Host(tmp_path, stack)


def told(process: "subprocess.Popen[str]", line: str = "connect") -> str:
    """Tell a gateway's process to connect or to close; return what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return str(process.stdout.readline()).strip()


def test_a_second_gateway_is_told_who_holds_the_terminal_until_it_is_let_go(host: Host) -> None:
    first, second, other = host.gateway("one"), host.gateway("one"), host.gateway("two")
    assert told(first) == told(first) == "done"
    assert told(other) == "done"
    refused = told(second)
    assert f"is held by the engine's gateway to login 1001 (process {first.pid})" in refused
    assert "One process drives a terminal at a time" in refused
    assert told(first, "close") == "done"
    assert told(second) == "done"
    assert f"(process {second.pid})" in told(first)
    second.kill()
    second.wait()
    assert told(first) == "done"


def test_a_terminal_that_is_found_without_a_path_is_the_same_terminal(host: Host) -> None:
    first, second = host.gateway("one"), host.gateway("one", path=False)
    assert told(first) == "done"
    refused = told(second)
    assert f"(process {first.pid})" in refused
    assert told(first) == "done", "who was refused has not disconnected the holder"


def test_an_agent_and_an_engine_beside_it_do_not_share_a_terminal(host: Host) -> None:
    path = str(host.terminal("one"))
    agent = host.agent("one", "--path", path)
    assert agent.stdout is not None
    assert agent.stdout.readline().startswith("serving login 1001")
    gateway = host.gateway("one")
    assert f"is held by the agent of login 1001 (process {agent.pid})" in told(gateway)
    again = host.agent("one", "--path", path)
    _, problem = again.communicate()
    assert (again.returncode, f"(process {agent.pid})" in problem) == (3, True)
    agent.kill()
    agent.wait()
    assert told(gateway) == "done"
    late = host.agent("one", "--path", path)
    _, problem = late.communicate()
    assert (late.returncode, f"(process {gateway.pid})" in problem) == (3, True)


def test_two_agents_do_not_share_a_simulated_terminal(host: Host) -> None:
    """Their folders differ, so their own locks would let them."""
    path = str(host.terminal("one"))
    first = host.agent("one", "--simulator", path)
    assert first.stdout is not None
    assert first.stdout.readline().startswith("serving")
    second = host.agent("one", "--simulator", path)
    _, problem = second.communicate()
    assert (second.returncode, f"held by the agent of login 1001 (process {first.pid})" in problem) == (3, True)


def test_one_process_holds_a_terminal_once_under_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mt5").mkdir()
    program = tmp_path / "mt5" / "terminal64.exe"
    first, second = TerminalHold("first"), TerminalHold("second")
    first.take(str(program))
    first.take(str(program))
    with pytest.raises(TerminalHeld, match=r"held by first \(process"):
        second.take(str(tmp_path / "mt5" / ".." / "mt5" / "terminal64.exe"))
    second.take(DEFAULT)
    first.let_go()
    first.let_go()
    second.take(str(program))
    second.let_go()


def test_a_lock_that_cannot_be_opened_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's folder, or none that can be made: without a lock nobody drives the terminal."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mt5-terminals").write_text("no folder")
    with pytest.raises(ConnectError, match="its lock can't be opened"):
        TerminalHold("first").take(DEFAULT)
