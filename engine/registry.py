"""The processes of the engine as rows, so that pages show them and supervisors find what dead ones left."""

import os
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psutil
from django.conf import settings

from engine.models import EngineProcess

SILENT_AFTER = timedelta(seconds=10)


def this_host() -> str:
    """Return the name by which this machine is known to the engine."""
    name: str = settings.HOST_NAME
    return name


def process_name(role: str, token: str) -> str:
    """Return the name of this process; with its token it is never used again."""
    return f"{this_host()}:{role}:{os.getpid()}:{token}"


@dataclass(slots=True)
class Registration:
    """This process's row, and one sign of life after the other."""

    row: EngineProcess
    # Kept, because the share of CPU is measured from one look to the next
    process: psutil.Process = field(default_factory=psutil.Process)

    def beat(self, at: datetime) -> bool:
        """Show that the process lives, and what it uses; tell whether it is asked to stop. A lost row is made again."""
        fields = {
            "seen_at": at,
            "cpu_percent": self.process.cpu_percent(),
            "rss_bytes": self.process.memory_info().rss,
            "handles": open_handles(self.process),
        }
        if not EngineProcess.objects.filter(pk=self.row.pk).update(**fields):
            self.row.pk = None
            self.row.save()
        wanted = EngineProcess.objects.filter(pk=self.row.pk).values_list("stop_requested", flat=True)
        return bool(wanted.first())

    def leave(self) -> None:
        """Take the row away."""
        EngineProcess.objects.filter(pk=self.row.pk).delete()


def open_handles(process: psutil.Process) -> int:
    """Return how many files and sockets a process has open; on Windows its handles."""
    if sys.platform == "win32":
        return int(process.num_handles())
    return int(process.num_fds())


def register(name: str, role: str, labels: list[str], at: datetime, *, pid: int | None = None) -> Registration:
    """Write a process down, this one unless `pid` names another."""
    pid = os.getpid() if pid is None else pid
    row, _ = EngineProcess.objects.update_or_create(
        name=name,
        defaults={
            "role": role,
            "host": this_host(),
            "pid": pid,
            "labels": labels,
            "started_at": at,
            "seen_at": at,
            "stop_requested": False,
        },
    )
    return Registration(row)


def is_alive(row: EngineProcess) -> bool:
    """Tell whether a process of this host still runs; process ids are used again, so its start is compared too."""
    try:
        process = psutil.Process(row.pid)
        started = process.create_time() <= row.started_at.timestamp() + 1
        return started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def runners_here() -> list[EngineProcess]:
    """Return the rows of this host's runners."""
    return list(EngineProcess.objects.filter(role=EngineProcess.Role.RUNNER, host=this_host()))


def live_runner_count(at: datetime) -> int:
    """Count the runners of all hosts that showed a sign of life lately."""
    return EngineProcess.objects.filter(
        role=EngineProcess.Role.RUNNER, seen_at__gte=at - SILENT_AFTER, stop_requested=False
    ).count()
