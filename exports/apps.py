from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ExportsConfig(AppConfig):
    name = "exports"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let old exports be forgotten, hour by hour."""
        post_migrate.connect(_schedule, sender=self)


def _schedule(using: str, **_: Any) -> None:
    from django_q.models import Schedule

    Schedule.objects.using(using).get_or_create(
        name="exports", defaults={"func": "exports.tasks.sweep", "schedule_type": "H", "cluster": "jobs"}
    )
