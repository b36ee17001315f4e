"""A child process that is kept running: started apart from our signals, restarted after a pause, ended whole."""

import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.db import DatabaseError

from core.clock import Clock
from engine.models import EngineProcess
from engine.registry import Registration, open_handles, process_name, register

log = logging.getLogger("trading.supervisor")

RESTART_PAUSE_SECONDS = 2.0
# CREATE_NEW_PROCESS_GROUP, which subprocess names on Windows only
NEW_PROCESS_GROUP = 0x200
RESTART_WINDOW_SECONDS = 300.0


class TooManyRestarts(Exception):
    """A child without which nothing runs died again and again; the text names it and its log."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """S2: whether a process that died is started again, and how often within five minutes."""

    restart_on_failure: bool = True
    max_restarts: int = 5


class Child:
    """One process and everything it started."""

    def __init__(
        self,
        name: str,
        role: EngineProcess.Role,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log_file: Path,
        clock: Clock,
        token: str,
        policy: RestartPolicy = RestartPolicy(),
    ) -> None:
        self.name = name
        self.failed = ""
        self._policy = policy
        self.role = role
        self.restarts = 0
        self._arguments = list(arguments)
        self._environment = {**os.environ, **environment}
        self._folder = folder
        self._log_file = log_file
        self._clock = clock
        self._token = token
        self._process: subprocess.Popen[bytes] | None = None
        self._tree: list[psutil.Process] = []
        self._died_at: deque[float] = deque(maxlen=policy.max_restarts)
        self._again_at = 0.0
        self._registration: Registration | None = None

    def start(self) -> None:
        """Start it in a session of its own: a Ctrl-C reaches the supervisor only, which then ends it in order."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("ab") as output:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=sys.platform != "win32",
                creationflags=NEW_PROCESS_GROUP if sys.platform == "win32" else 0,
            )
        self._tree = [psutil.Process(self._process.pid)]
        name = process_name(self.role, f"{self._token}-{self.name}-{self.restarts}")
        self._registration = register(name, self.role, [], self._clock.now(), pid=self._process.pid)

    def look(self) -> None:
        """Restart it when it is due to be; after too many deaths `failed` says so, and it stays down."""
        if self.failed:
            return
        if self._process is None:
            if self._clock.ticks() >= self._again_at:
                self.restarts += 1
                self.start()
            return
        if self._process.poll() is None:
            self._follow()
            return
        code = self._process.returncode
        self.kill()
        now = self._clock.ticks()
        self._died_at.append(now)
        most = self._policy.max_restarts
        if not self._policy.restart_on_failure:
            self._give_up(f"{self.name} ended with code {code} and is not to be restarted. Read {self._log_file}.")
        elif len(self._died_at) == most and now - self._died_at[0] < RESTART_WINDOW_SECONDS:
            self._give_up(f"{self.name} ended {most} times within five minutes. Read {self._log_file}.")
        else:
            log.warning("%s ended with code %s; it is started again", self.name, code)
        self._again_at = now + RESTART_PAUSE_SECONDS

    def _give_up(self, text: str) -> None:
        self.failed = text
        log.error("%s", text)

    def _follow(self) -> None:
        """Remember what it started, so that nothing stays behind when it is killed; show what all of it uses."""
        assert self._process is not None
        try:
            root = self._tree[0]
            known = {p.pid: p for p in self._tree}
            self._tree = [root, *(known.get(p.pid, p) for p in root.children(recursive=True))]
            cpu = sum(p.cpu_percent() for p in self._tree)
            rss = sum(p.memory_info().rss for p in self._tree)
            handles = sum(open_handles(p) for p in self._tree)
        except psutil.Error:
            return
        if self._registration is not None:
            EngineProcess.objects.filter(pk=self._registration.row.pk).update(
                seen_at=self._clock.now(), cpu_percent=cpu, rss_bytes=rss, handles=handles, restarts=self.restarts
            )

    def terminate(self) -> None:
        """Ask the main process, and only it, to end; it ends the others itself."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def has_ended(self) -> bool:
        """Tell whether the main process is gone."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End what is left of it at once."""
        kill_all(self._tree)
        if self._process is not None:
            self._process.wait()
        self._process, self._tree = None, []
        if self._registration is not None:
            # Its row names a dead process, which the next supervisor removes when the database is away now
            with suppress(DatabaseError):
                self._registration.leave()
            self._registration = None


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """Kill processes with what they started, and wait until they are gone; what has ended already is left out."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        try:
            if process.is_running():
                found |= {p.pid: p for p in (process, *process.children(recursive=True))}
        except psutil.Error:
            continue
    for process in found.values():
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(list(found.values()), timeout=3)
