"""What the WebSocket of `events` shows, and to whom."""

from typing import Any

from accounts.models import User
from accounts.permissions import accounts_of, is_superuser
from accounts.secondfactor import is_open
from dashboard.selectors import live_snapshot


class DeskSource:
    """The live pages' figures, limited to the accounts of a person's roles."""

    def admits(self, user: User, session: Any) -> bool:
        """Tell whether the second factor, where one is asked for, was shown in this session."""
        return is_open(user, session)

    def accounts(self, user: User) -> frozenset[int] | None:
        """Return the accounts that a person may see; None for all, so that new ones are followed at once."""
        return None if is_superuser(user) else frozenset(accounts_of(user).values_list("pk", flat=True))

    def snapshot(self, user: User, only: frozenset[int] | None) -> dict[str, Any]:
        """Return everything that the live pages show; of some accounts, when `only` names them."""
        return live_snapshot(user, only)
