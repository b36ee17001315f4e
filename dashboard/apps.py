"""The pages that show everything at once."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hand the live bus, which lies below and knows no accounts, what its pages show and to whom."""
        from dashboard.livesource import DeskSource
        from events.consumers import provide

        provide(DeskSource())
