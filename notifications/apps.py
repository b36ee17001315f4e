from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hear of every event, keep the targets' secrets with the others, and let what is due be sent each minute."""
        from accounts.rotation import SECRETS
        from events.services import LISTENERS
        from notifications.models import Target
        from notifications.services import on_events

        SECRETS.extend((Target, column, "name") for column in ("url_encrypted", "secret_encrypted"))
        LISTENERS.append(on_events)
        post_migrate.connect(_schedule, sender=self)


def _schedule(using: str, **_: Any) -> None:
    """Let the jobs' cluster look every minute for what is due: digests, quiet hours that ended, second tries."""
    from django_q.models import Schedule

    Schedule.objects.using(using).get_or_create(
        name="notifications",
        defaults={"func": "notifications.tasks.sweep", "schedule_type": "I", "minutes": 1, "cluster": "jobs"},
    )
