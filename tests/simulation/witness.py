"""Stands between a session and its terminal, and looks at every request at the moment it leaves (P1, P2, P4, P5)."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connection

TOKEN = slice(3, 13)
DEAL, PENDING, MODIFY_STOPS, REMOVE = 1, 5, 6, 8


class Witness:
    """Has the terminal's surface. `tell` takes what is wrong; `eyes` is a database connection of its own."""

    def __init__(
        self,
        terminal: Any,
        *,
        account_id: int,
        fence: int,
        eyes: psycopg.Connection[Any],
        tell: Callable[[str], None],
        count: Counter[str],
    ) -> None:
        self._terminal = terminal
        self._account_id = account_id
        self._fence = fence
        self._eyes = eyes
        self._tell = tell
        self._count = count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)

    def order_send(self, request: dict[str, Any]) -> Any:
        """Check what must be durable before a request leaves, then hand it on."""
        self._count["sends"] += 1
        if connection.in_atomic_block:
            self._tell("P1: a request left inside an open transaction")
        self._check_fence()
        self._check_intent(request)
        return self._terminal.order_send(request)

    def _check_fence(self) -> None:
        row = self._eyes.execute("SELECT token FROM engine_lease WHERE account_id = %s", [self._account_id]).fetchone()
        if row is None or row[0] != self._fence:
            self._tell(f"P5: a holder with token {self._fence} sent while the lease's is {row}")

    def _check_intent(self, request: dict[str, Any]) -> None:
        comment = request.get("comment", "")
        if comment:
            row = self._one("token = %s", comment[TOKEN])
        else:
            kind = "stops" if request["action"] == MODIFY_STOPS else "cancel"
            row = self._one("state = 'sent' AND kind = %s AND ticket IN (%s, %s)", kind, request.get("position", 0),
                            request.get("order", 0))  # fmt: skip
        if row is None:
            self._tell(f"P2: a request left without an intent: {request}")
            return
        intent_id, state, fence, token = row
        if state != "sent":
            self._tell(f"P1: intent {token} left while the database says {state}")
        if fence != self._fence:
            self._tell(f"P5: intent {token} of token {fence} was sent by {self._fence}")
        opens = request["action"] == PENDING or (request["action"] == DEAL and not request.get("position"))
        if opens:
            self._check_nothing_forbids(intent_id, token)

    def _check_nothing_forbids(self, intent_id: int, token: str) -> None:
        blocks = self._eyes.execute(
            "SELECT cause FROM risk_block b JOIN orders_orderintent i ON i.id = %s "
            "WHERE b.account_id = i.account_id AND b.lifted_at IS NULL AND (b.bot_id IS NULL OR b.bot_id = i.bot_id) "
            "AND b.symbol IN ('', i.symbol) "
            "UNION ALL SELECT 'kill switch ' || k.mode FROM risk_killswitch k JOIN orders_orderintent i ON i.id = %s "
            "WHERE k.released_at IS NULL AND (k.account_id IS NULL OR k.account_id = i.account_id) "
            "AND (k.bot_id IS NULL OR k.bot_id = i.bot_id) AND (k.mode <> 'no_entries' OR i.level = 0 AND "
            "NOT EXISTS (SELECT 1 FROM orders_orderintent o WHERE o.cycle_id = i.cycle_id AND o.id < i.id))",
            [intent_id, intent_id],
        ).fetchall()
        if blocks:
            self._tell(f"P4: {token} raised exposure while blocked by {blocks}")
        self._count["entries"] += 1
        unknown = self._eyes.execute(
            "SELECT token FROM orders_orderintent WHERE account_id = %s AND state = 'unknown'", [self._account_id]
        ).fetchall()
        if unknown:
            self._tell(f"P4: {token} raised exposure while {unknown} were unknown")

    def _one(self, where: str, *values: Any) -> Any:
        found = self._eyes.execute(
            f"SELECT id, state, fence, token FROM orders_orderintent WHERE account_id = %s AND {where} "
            "ORDER BY id DESC LIMIT 1",
            [self._account_id, *values],
        )
        return found.fetchone()
