from django.apps import AppConfig


class CopyingConfig(AppConfig):
    name = "copying"
    default_auto_field = "django.db.models.BigAutoField"
