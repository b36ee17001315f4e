"""Make a key for broker passwords."""

import base64
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tradingsite.envvalues import CREDENTIAL_KEY_BYTES


class Command(BaseCommand):
    """`manage.py credentialkey ID`."""

    help = "Print a new entry for TRADING_CREDENTIAL_KEYS. Put it first: new passwords use it, old ones keep theirs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the key's name."""
        parser.add_argument("id", help="a short name of your own, for example 2026")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the entry; nothing is stored."""
        key = base64.b64encode(secrets.token_bytes(CREDENTIAL_KEY_BYTES)).decode("ascii")
        self.stdout.write(f"{options['id']}:{key}")
