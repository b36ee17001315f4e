"""Answer Telegram. `runengine` starts it where TRADING_TELEGRAM_TOKEN is set."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.clock import SystemClock
from core.ids import SystemIds
from telegram.client import TelegramApi
from telegram.polling import Poller


class Command(BaseCommand):
    """`manage.py telegram`."""

    help = "Answer commands that people send by Telegram, until it is ended. Exit codes: 1 there is no token."

    def handle(self, *args: Any, **options: Any) -> None:
        """Poll for ever. Raises CommandError without a token."""
        if not settings.TELEGRAM_TOKEN:
            raise CommandError("TRADING_TELEGRAM_TOKEN: set the token that BotFather gave.")
        Poller(TelegramApi(settings.TELEGRAM_TOKEN), clock=SystemClock(), ids=SystemIds()).run()
