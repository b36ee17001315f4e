"""The right to act on an account: one row, the database's clock, and a token that grows with every holder."""

import logging

from django.db import connection

from core.clock import Clock
from orders.gate import LeaseLost

log = logging.getLogger("trading.engine")

TTL_SECONDS = 10.0
# A holder stops sending this long before its lease ends, so that the last request is through before another begins.
SAFETY_SECONDS = 3.0


class HeldLease:
    """A lease held by this process. Times are judged by the holder's own monotonic clock, from before each renewal."""

    def __init__(self, account_id: int, holder: str, token: int, *, clock: Clock, valid_until: float) -> None:
        self._account_id = account_id
        self._token = token
        self._clock = clock
        self._valid_until = valid_until
        self.holder = holder

    @classmethod
    def acquire(cls, account_id: int, holder: str, *, clock: Clock) -> "HeldLease | None":
        """Take a free or expired lease; None while another holder's is valid."""
        before = clock.ticks()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO engine_lease (account_id, holder, token) VALUES (%s, '', 0) ON CONFLICT DO NOTHING",
                [account_id],
            )
            cursor.execute(
                "UPDATE engine_lease SET holder = %s, token = token + 1, "
                "expires_at = clock_timestamp() + %s * interval '1 second' "
                "WHERE account_id = %s AND (expires_at IS NULL OR expires_at < clock_timestamp()) RETURNING token",
                [holder, TTL_SECONDS, account_id],
            )
            row = cursor.fetchone()
        return None if row is None else cls(account_id, holder, row[0], clock=clock, valid_until=before + TTL_SECONDS)

    @property
    def account_id(self) -> int:
        return self._account_id

    @property
    def token(self) -> int:
        return self._token

    def renew(self) -> None:
        """Prolong the lease, also one that ran out while nobody took it. Raises LeaseLost."""
        before = self._clock.ticks()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE engine_lease SET expires_at = clock_timestamp() + %s * interval '1 second' "
                "WHERE account_id = %s AND token = %s",
                [TTL_SECONDS, self._account_id, self._token],
            )
            if not cursor.rowcount:
                raise LeaseLost(f"account {self._account_id} has another holder")
        self._valid_until = before + TTL_SECONDS

    def assert_current(self) -> None:
        """Inside a transaction: keep the row from changing hands until it ends. Raises LeaseLost."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM engine_lease WHERE account_id = %s AND token = %s FOR SHARE",
                [self._account_id, self._token],
            )
            if cursor.fetchone() is None:
                raise LeaseLost(f"account {self._account_id} has another holder")

    def margin_seconds(self) -> float:
        """Return the seconds for which this holder may still send; negative when it must not."""
        return self._valid_until - SAFETY_SECONDS - self._clock.ticks()

    def release(self) -> None:
        """Let the next engine take the account at once."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE engine_lease SET expires_at = NULL, holder = '' WHERE account_id = %s AND token = %s",
                [self._account_id, self._token],
            )


def release_all_of(holder: str) -> int:
    """Free the leases of a holder that is proven dead; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE engine_lease SET expires_at = NULL, holder = '' WHERE holder = %s", [holder])
        return int(cursor.rowcount)
