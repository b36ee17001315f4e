"""Django application of the site itself: system checks and the `db` command."""

from django.apps import AppConfig


class TradingSiteConfig(AppConfig):
    """Register the site's system checks when Django starts."""

    name = "tradingsite"
    verbose_name = "Trading site"

    def ready(self) -> None:
        """Import the checks, which register themselves."""
        from tradingsite import checks  # noqa: F401
