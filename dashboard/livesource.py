"""What the WebSocket of `events` shows, and to whom."""

from typing import Any

from accounts.models import User
from accounts.permissions import accounts_of, is_superuser
from dashboard.selectors import live_snapshot


class DeskSource:
    """The live pages' figures, limited to the accounts of a person's roles."""

    def accounts(self, user: User) -> frozenset[int] | None:
        """Return the accounts that a person may see; None for all, so that new ones are followed at once."""
        return None if is_superuser(user) else frozenset(accounts_of(user).values_list("pk", flat=True))

    def snapshot(self, user: User) -> dict[str, Any]:
        """Return everything that the live pages show."""
        return live_snapshot(user)
