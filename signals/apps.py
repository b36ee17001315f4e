from django.apps import AppConfig


class SignalsConfig(AppConfig):
    name = "signals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let the sources' secrets be encrypted anew with the others."""
        from accounts.rotation import SECRETS
        from signals.models import SignalSource
        from signals.services import FIELD

        SECRETS.append((SignalSource, FIELD, "name"))
