"""Runners as the supervisor sees them: topped up through the queue, and buried when they died."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django_q.models import OrmQ
from django_q.tasks import async_task

from core.clock import Clock
from core.ids import Ids
from engine.lease import release_all_of
from engine.models import EngineProcess, EngineState
from engine.registry import is_alive, runners_here
from events import live

TASK = "engine.tasks.run_runner"
# A worker that was killed between taking a task and writing its row down is given up after this
DISPATCH_SECONDS = 20.0
POLL_SECONDS = 0.1
SHOWN_AS_RUN = (EngineState.Status.RUNNING, EngineState.Status.PAUSED)


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
        self._ask_surplus()
        for _ in range(self.wanted - len(tokens) - len(self._dispatched)):
            token = self._ids.token(8)
            async_task(TASK, token, self._labels, cluster=settings.ENGINE_QUEUE, task_name=f"runner {token}")
            self._dispatched[token] = now

    def _ask_surplus(self) -> None:
        """Ask the youngest runners beyond the number wanted to end; their accounts go to the others."""
        rows = sorted((row for row in runners_here() if not row.stop_requested), key=lambda row: row.started_at)
        surplus = [row.pk for row in rows[self.wanted :]]
        if surplus:
            EngineProcess.objects.filter(pk__in=surplus).update(stop_requested=True)


def forget_dead() -> int:
    """Free the accounts of this host's runners that are proven dead; return how many there were."""
    dead = [row for row in runners_here() if not is_alive(row)]
    for row in dead:
        _say_lost(row.name)
        release_all_of(row.name)
        remove_queued({row.name.rpartition(":")[2]})
        row.delete()
    return len(dead)


def _say_lost(holder: str) -> None:
    """Let the pages know at once that a dead runner's accounts wait for another."""
    lost = EngineState.objects.filter(account__lease__holder=holder, status__in=SHOWN_AS_RUN)
    with transaction.atomic():
        ids = list(lost.values_list("account_id", flat=True))
        EngineState.objects.filter(account_id__in=ids).update(
            status=EngineState.Status.STARTING, error_message="Its runner died; another one takes over."
        )
        live.publish_many([(pk, "state", {"status": EngineState.Status.STARTING}) for pk in ids])


def remove_queued(tokens: set[str] | None = None) -> None:
    """Remove runner tasks from this host's queue: of some tokens, or all; a dead runner's would be delivered again."""
    for row in OrmQ.objects.filter(key=settings.ENGINE_QUEUE):
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
