from django.apps import AppConfig


class TelegramConfig(AppConfig):
    name = "telegram"
    default_auto_field = "django.db.models.BigAutoField"
