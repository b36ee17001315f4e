"""What the task queue runs for the engine. Arguments are ids and plain values only."""

from collections.abc import Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from core.clock import SystemClock
from core.ids import SystemIds
from core.loglevel import follow
from engine.memory import settle
from engine.models import EngineProcess
from engine.registry import is_alive, this_host
from engine.retention import retire
from engine.runner import Runner, orphan_watch


def run_runner(token: str, labels: Sequence[str] = ()) -> str:
    """Be a runner until asked to stop. Harmless when delivered twice: leases decide who trades, not the queue."""
    twin = EngineProcess.objects.filter(name__endswith=f":{token}", host=this_host()).first()
    if twin is not None and is_alive(twin):
        return f"runner {token} runs already"
    settle()
    follow(settings.VAR_DIR / "log", SystemClock())
    with import_string(settings.DATABASE_SESSION)():
        return Runner(
            clock=SystemClock(), ids=SystemIds(), token=token, labels=list(labels), is_orphan=orphan_watch()
        ).run()


def retire_old() -> int:
    """Remove what is old and no fact of money; return how many rows. Runs every night, and harmless at any time."""
    return sum(removed.rows for removed in retire(clock=SystemClock()))
