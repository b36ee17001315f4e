"""Look after second factors from the host."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import secondfactor
from accounts.models import User
from core.clock import SystemClock


class Command(BaseCommand):
    """`manage.py secondfactor reset USER`."""

    help = "Forget a person's second factor, when phone and recovery codes are gone. Exit code 1: there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the person."""
        parser.add_argument("what", choices=["reset"])
        parser.add_argument("user", help="name that the person logs in with")

    def handle(self, *args: Any, **options: Any) -> None:
        """Reset it; the audit trail keeps who typed this."""
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        if not secondfactor.remove(user=user, at=SystemClock().now(), by=None):
            raise CommandError(f"{user.get_username()} has no second factor.")
        self.stdout.write(f"{user.get_username()} logs in with the password alone until a new one is set up.")
