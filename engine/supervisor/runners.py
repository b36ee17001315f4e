"""Runners as the supervisor sees them: topped up through the queue, and buried when they died."""

from datetime import datetime, timedelta

from django_q.models import OrmQ
from django_q.tasks import async_task

from core.clock import Clock
from core.ids import Ids
from engine.lease import release_all_of
from engine.models import EngineProcess
from engine.registry import is_alive, runners_here

QUEUE = "engine"
TASK = "engine.tasks.run_runner"
# A worker that was killed between taking a task and writing its row down is given up after this
DISPATCH_SECONDS = 20.0
POLL_SECONDS = 0.1


class RunnerPool:
    """Keeps a number of runners on this host."""

    def __init__(self, wanted: int, labels: list[str], *, clock: Clock, ids: Ids) -> None:
        self.wanted = wanted
        self.deaths = 0
        self._labels = labels
        self._clock = clock
        self._ids = ids
        self._dispatched: dict[str, datetime] = {}

    def look(self) -> None:
        """Bury dead runners, so that their accounts are free at once, and dispatch new ones for them."""
        self.deaths += forget_dead()
        tokens = {row.name.rpartition(":")[2] for row in runners_here() if not row.stop_requested}
        now = self._clock.now()
        lost = {t for t, at in self._dispatched.items() if now - at >= timedelta(seconds=DISPATCH_SECONDS)}
        if lost:
            remove_queued(lost)
        self._dispatched = {t: at for t, at in self._dispatched.items() if t not in tokens | lost}
        for _ in range(self.wanted - len(tokens) - len(self._dispatched)):
            token = self._ids.token(8)
            async_task(TASK, token, self._labels, cluster=QUEUE, task_name=f"runner {token}")
            self._dispatched[token] = now


def forget_dead() -> int:
    """Free the accounts of this host's runners that are proven dead; return how many there were."""
    dead = [row for row in runners_here() if not is_alive(row)]
    for row in dead:
        release_all_of(row.name)
        remove_queued({row.name.rpartition(":")[2]})
        row.delete()
    return len(dead)


def remove_queued(tokens: set[str] | None = None) -> None:
    """Remove runner tasks from the queue: those of some tokens, or all; a dead runner's would be delivered again."""
    for row in OrmQ.objects.filter(key=QUEUE):
        args = row.task.get("args") or ("",)
        if row.task.get("func") in (TASK, None) and (tokens is None or args[0] in tokens):
            row.delete()


def ask_to_stop() -> None:
    """Ask this host's runners to end their sessions."""
    EngineProcess.objects.filter(pk__in=[row.pk for row in runners_here()]).update(stop_requested=True)


def wait_until_gone(clock: Clock, seconds: float) -> bool:
    """Wait until every runner of this host has ended; tell whether they did."""
    until = clock.ticks() + seconds
    while any(is_alive(row) for row in runners_here()):
        if clock.ticks() >= until:
            return False
        clock.sleep(POLL_SECONDS)
    return True
