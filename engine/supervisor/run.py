"""The supervisor's own loop."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import fasteners
from django.conf import settings
from django.db import DatabaseError

from core.clock import Clock
from core.ids import Ids
from engine.database import replace_broken
from engine.models import EngineProcess
from engine.registry import Registration, process_name, register
from engine.supervisor.care import Limits, RunnerCare
from engine.supervisor.children import Child, RestartPolicy, TooManyRestarts
from engine.supervisor.host import HostMonitor
from engine.supervisor.news import News
from engine.supervisor.runners import RunnerPool, ask_to_stop, forget_dead, remove_queued, wait_until_gone

log = logging.getLogger("trading.supervisor")

LOOK_SECONDS = 0.5
RUNNERS_STOP_SECONDS = 5.0
CHILDREN_STOP_SECONDS = 3.0


class AlreadyRunning(Exception):
    """Another supervisor of this checkout lives."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `web` is (host, port) or None; `environment` is added to that of every child."""

    base_dir: Path
    var_dir: Path
    runners: int
    web: tuple[str, int] | None = None
    labels: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    limits: Limits = field(default_factory=Limits)


class Supervisor:
    """Starts the processes, looks after them, and ends them all."""

    def __init__(self, plan: Plan, *, clock: Clock, ids: Ids) -> None:
        self.plan = plan
        self.restarts = 0
        self._clock = clock
        self._token = ids.token(8)
        self._stop = threading.Event()
        self._lock = fasteners.InterProcessLock(plan.var_dir / "engine.lock")
        self._pool = RunnerPool(plan.runners, plan.labels, clock=clock, ids=ids)
        self._children = self._plan_children()
        self._host = HostMonitor(plan.var_dir, plan.labels, plan.runners, clock=clock)
        self._care = RunnerCare(plan.limits, clock=clock)
        self._room = plan.runners

    def stop(self) -> None:
        """Ask for the end; safe in a signal handler."""
        self._stop.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only supervisor of this checkout; the operating system frees the place when this process dies.

        Raises:
            AlreadyRunning: Another one lives.
        """
        if not self._lock.acquire(blocking=False):
            raise AlreadyRunning("The engine of this checkout runs already. Stop it with `make stop` first.")
        try:
            yield
        finally:
            self._lock.release()

    def run(self, *, seconds: float | None, on_ready: Callable[[], None]) -> None:
        """Run until asked to stop, or for some seconds. Raises TooManyRestarts."""
        self._on_signals()
        name = process_name("supervisor", self._token)
        registration = register(name, EngineProcess.Role.SUPERVISOR, self.plan.labels, self._clock.now())
        news = News()
        try:
            self._serve(registration, news, seconds, on_ready)
        finally:
            self._end(news)
            with suppress(DatabaseError):
                registration.leave()

    def _serve(
        self, registration: Registration, news: News, seconds: float | None, on_ready: Callable[[], None]
    ) -> None:
        for child in self._children:
            child.start()
        until = None if seconds is None else self._clock.ticks() + seconds
        ready = threading.Thread(target=on_ready, name="ready", daemon=True)
        ready.start()
        while not self._stop.is_set() and (until is None or self._clock.ticks() < until):
            try:
                self._look_after_children()
                self._pool.deaths += self._care.look()
                self._pool.look()
                if self._host.look():
                    self._follow_capacity()
                news.tell()
                if registration.beat(self._clock.now()):
                    return
            except DatabaseError as problem:
                log.warning("the database is away, trying again: %s", problem)
                replace_broken()
                self._care.forget()
            self._stop.wait(LOOK_SECONDS)

    def _look_after_children(self) -> None:
        """Keep the children running; say which have failed. Raises TooManyRestarts when no runner can run any more."""
        for child in self._children:
            child.look()
        failed = [child.failed for child in self._children if child.failed]
        self._host.problem = " ".join(failed)
        if self._children[0].failed:
            raise TooManyRestarts(self._children[0].failed)

    def _follow_capacity(self) -> None:
        """Keep as many runners as a person wants now: a further cluster makes room for more."""
        wanted = self._host.wanted()
        if wanted > self._room:
            more = self._cluster(f"engine-cluster-{len(self._children)}", settings.ENGINE_QUEUE, wanted - self._room)
            self._children.append(more)
            more.start()
            self._room = wanted
        self._pool.wanted = self._host.runners = wanted

    def _end(self, news: News) -> None:
        """End runners first, which let go of their accounts in order, then their clusters and the site.

        What was written since the last look is still told, and what the runners write while they end.
        """
        self.restarts = sum(child.restarts for child in self._children) + self._pool.deaths
        try:
            remove_queued()
            ask_to_stop()
            wait_until_gone(self._clock, RUNNERS_STOP_SECONDS)
            news.tell()
        except DatabaseError as problem:
            log.warning("the runners can't be asked to stop, they are ended: %s", problem)
        for child in self._children:
            child.terminate()
        until = self._clock.ticks() + CHILDREN_STOP_SECONDS
        while not all(child.has_ended() for child in self._children) and self._clock.ticks() < until:
            self._clock.sleep(0.05)
        for child in self._children:
            child.kill()
        forget_dead()

    def _plan_children(self) -> list[Child]:
        children = [
            self._cluster("engine-cluster", settings.ENGINE_QUEUE, self.plan.runners),
            self._cluster("jobs-cluster", "jobs", self.plan.runners),
        ]
        if self.plan.web is not None:
            host, port = self.plan.web
            daphne = [sys.executable, "-m", "daphne", "-b", host, "-p", str(port), "tradingsite.asgi:application"]
            children.append(self._child("web", EngineProcess.Role.WEB, daphne, {}))
        if settings.TELEGRAM_TOKEN:
            telegram = [sys.executable, str(self.plan.base_dir / "manage.py"), "telegram"]
            children.append(self._child("telegram", EngineProcess.Role.TELEGRAM, telegram, {}))
        return children

    def _cluster(self, name: str, cluster: str, runners: int) -> Child:
        arguments = [sys.executable, str(self.plan.base_dir / "manage.py"), "qcluster"]
        environment = {"Q_CLUSTER_NAME": cluster, "TRADING_RUNNERS": str(runners)}
        return self._child(name, EngineProcess.Role.CLUSTER, arguments, environment)

    def _child(self, name: str, role: EngineProcess.Role, arguments: list[str], environment: dict[str, str]) -> Child:
        return Child(
            name, role, arguments,
            environment={**self.plan.environment, **environment},
            folder=self.plan.base_dir,
            log_file=self.plan.var_dir / "log" / f"{name}.log",
            clock=self._clock,
            token=self._token,
            policy=self.plan.policy,
        )  # fmt: skip

    def _on_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop())
