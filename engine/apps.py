from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

RETENTION_HOUR_UTC = 2


class EngineConfig(AppConfig):
    name = "engine"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the jobs' cluster remove what is old every night."""
        post_migrate.connect(_schedule, sender=self)


def _schedule(using: str, **_: Any) -> None:
    from django_q.models import Schedule

    from core.clock import SystemClock

    now = SystemClock().now()
    Schedule.objects.using(using).get_or_create(
        name="retention",
        defaults={
            "func": "engine.tasks.retire_old",
            "schedule_type": "D",
            "cluster": "jobs",
            "next_run": now.replace(hour=RETENTION_HOUR_UTC, minute=0, second=0, microsecond=0),
        },
    )
