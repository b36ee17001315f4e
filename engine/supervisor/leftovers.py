"""What a killed supervisor left running or written down: ended and removed before a new one begins."""

import logging

import psutil

from core.clock import Clock
from engine.models import EngineProcess
from engine.registry import is_alive, this_host
from engine.supervisor.children import kill_all
from engine.supervisor.runners import ask_to_stop, forget_dead, remove_queued, wait_until_gone

log = logging.getLogger("trading.supervisor")

RUNNERS_STOP_SECONDS = 5.0


def end_leftovers(clock: Clock) -> int:
    """End this host's engine processes of an earlier supervisor; return how many main processes there were.

    Runners are asked first, so that they let go of their accounts in order.
    """
    ask_to_stop()
    wait_until_gone(clock, RUNNERS_STOP_SECONDS)
    roles = (EngineProcess.Role.CLUSTER, EngineProcess.Role.WEB)
    rows = list(EngineProcess.objects.filter(host=this_host(), role__in=roles))
    alive = [psutil.Process(row.pid) for row in rows if is_alive(row)]
    if alive:
        log.warning("ending %d processes that an earlier run left behind", len(alive))
    kill_all(alive)
    forget_dead()
    remove_queued()
    EngineProcess.objects.filter(pk__in=[row.pk for row in rows]).delete()
    supervisors = EngineProcess.objects.filter(host=this_host(), role=EngineProcess.Role.SUPERVISOR)
    for row in supervisors:
        if not is_alive(row):
            row.delete()
    return len(alive)
