from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BacktestingConfig(AppConfig):
    name = "backtesting"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the jobs' cluster look every hour for days whose parity was not measured."""
        post_migrate.connect(_schedule, sender=self)


def _schedule(using: str, **_: Any) -> None:
    from django_q.models import Schedule

    Schedule.objects.using(using).get_or_create(
        name="parity", defaults={"func": "backtesting.tasks.parity_round", "schedule_type": "H", "cluster": "jobs"}
    )
