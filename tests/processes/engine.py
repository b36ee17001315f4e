"""A real `runengine` with everything it starts, for tests that kill parts of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from django.db import Error as DjangoError
from django.db import connection

from brokers.simulator.truth import read_truth
from core.clock import SystemClock
from engine.models import EngineProcess, EngineState, Lease
from engine.report import Comparison, compare_with_truth

BASE_DIR = Path(__file__).resolve().parent.parent.parent
WAIT_SECONDS = 180.0


class Engine:
    """`manage.py runengine` in a data folder of its own, on the test's database, with the demo or without."""

    def __init__(self, environment: dict[str, str], *options: str, demo: bool = True) -> None:
        self.folder = Path(environment["TRADING_VAR_DIR"])
        self._environment = environment
        self._options = (*(("--demo",) if demo else ()), *options)
        self._clock = SystemClock()
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "runengine", *self._options],
            cwd=BASE_DIR, env=self._environment, text=True, start_new_session=sys.platform != "win32",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def start_again(self) -> None:
        """Start a new supervisor after the old one was killed."""
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = self._start()

    def until(self, holds: Callable[[], Any], what: str, *, may_end: bool = False) -> Any:
        """Wait until something holds; fail with what was waited for."""
        deadline = self._clock.ticks() + WAIT_SECONDS
        while self._clock.ticks() < deadline:
            try:
                found = holds()
            except DjangoError:
                connection.close()
                found = None
            if found:
                return found
            assert may_end or self.process.poll() is None, f"runengine ended while waiting for {what}: {self.output()}"
            self._clock.sleep(0.1)
        raise AssertionError(f"waited {WAIT_SECONDS:.0f} s for {what}")

    def until_it_trades_on(self) -> None:
        """Wait until the session shows a sign of life that is newer than this call."""
        asked = self._clock.now()

        def alive() -> bool:
            seen: datetime | None = (
                EngineState.objects.filter(status="running").values_list("updated_at", flat=True).first()
            )
            return seen is not None and seen > asked

        self.until(alive, "the session to go on")

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role, oldest first."""
        return list(EngineProcess.objects.filter(role=role).order_by("started_at").values_list("pid", flat=True))

    def holder_pid(self) -> int:
        """Return the process that holds the demo account."""
        return int(Lease.objects.exclude(holder="").values_list("holder", flat=True)[0].split(":")[2])

    def everything(self) -> list[psutil.Process]:
        """Return every process that works in this engine's data folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TRADING_VAR_DIR") == str(self.folder) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def compare(self, account_id: int) -> Comparison:
        """Compare books and broker now; with the engine stopped."""
        return compare_with_truth(account_id, read_truth(self.folder / "terminals" / "demo.sqlite"))

    def interrupt(self) -> str:
        """Press Ctrl-C and wait; return everything that was printed."""
        self.process.send_signal(signal.SIGINT)
        return self.output()

    def output(self) -> str:
        """Wait for the end and return what was printed."""
        out, _ = self.process.communicate(timeout=WAIT_SECONDS)
        return out

    def close(self) -> None:
        """End whatever is left."""
        for process in [*self.everything()]:
            try:
                process.kill()
            except psutil.Error:
                continue
        self.process.wait(WAIT_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()


def last_json(text: str) -> dict[str, Any]:
    """Return the JSON object in the last line that is one."""
    line = next(line for line in reversed(text.splitlines()) if line.startswith("{"))
    found: dict[str, Any] = json.loads(line)
    return found
