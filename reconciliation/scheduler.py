"""Reconciles many accounts, some at a time: one that fails waits longer, and holds no other up (S3).

Engines reconcile their own accounts in their sessions. This scheduler serves `manage.py reconcile`, which also looks
at accounts that no engine runs.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from core.clock import Clock

log = logging.getLogger("trading.reconciliation")

CIRCUIT_FAILURES = 3
CIRCUIT_FIRST_SECONDS = 30.0
CIRCUIT_LONGEST_SECONDS = 600.0


@dataclass(slots=True)
class AccountRecord:
    """What became of one account's passes. Its circuit is open while `retry_at` (clock ticks) lies ahead."""

    passes: int = 0
    errors: int = 0
    failures_in_a_row: int = 0
    last_error: str = ""
    last_at: datetime | None = None
    retry_at: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)


class ReconciliationScheduler:
    """Calls `visit(account_id)` for each account every `interval_seconds`, at most `at_once` at the same time."""

    def __init__(
        self,
        visit: Callable[[int], dict[str, Any]],
        accounts: Callable[[], Sequence[int]],
        *,
        clock: Clock,
        interval_seconds: float = 10.0,
        at_once: int = 5,
    ) -> None:
        self.interval_seconds = interval_seconds
        self.at_once = at_once
        self.rounds = 0
        self.records: dict[int, AccountRecord] = {}
        self._visit = visit
        self._accounts = accounts
        self._clock = clock
        self._stopped = threading.Event()

    def run(self, told: Callable[[dict[int, AccountRecord]], None] = lambda _: None) -> None:
        """Make rounds until `stop()`; `told` hears of each round's accounts."""
        while not self._stopped.is_set():
            started = self._clock.ticks()
            told(self.run_once())
            self._stopped.wait(max(0.0, self.interval_seconds - (self._clock.ticks() - started)))

    def run_once(self) -> dict[int, AccountRecord]:
        """Make one round over the accounts whose circuit is closed, and return their records."""
        due = []
        for account_id in self._accounts():
            record = self.records.setdefault(account_id, AccountRecord())
            if record.retry_at <= self._clock.ticks():
                due.append(account_id)
        with ThreadPoolExecutor(max_workers=self.at_once, thread_name_prefix="reconcile") as pool:
            list(pool.map(self._one, due))
        self.rounds += 1
        return {account_id: self.records[account_id] for account_id in due}

    def stop(self) -> None:
        """End after the passes that are under way; no new one begins."""
        self._stopped.set()

    def get_status(self) -> dict[str, Any]:
        """Return S3's status: whether it runs, its settings, and each account's counts, last error and circuit."""
        now = self._clock.ticks()
        return {
            "running": not self._stopped.is_set(),
            "interval_seconds": self.interval_seconds,
            "at_once": self.at_once,
            "rounds": self.rounds,
            "accounts": {
                account_id: {
                    "passes": r.passes,
                    "errors": r.errors,
                    "last_error": r.last_error,
                    "last_at": r.last_at.isoformat() if r.last_at else None,
                    "circuit": "open" if r.retry_at > now else "closed",
                }
                for account_id, r in self.records.items()
            },
        }

    def _one(self, account_id: int) -> None:
        if self._stopped.is_set():
            return
        record = self.records[account_id]
        try:
            record.last = self._visit(account_id)
        except Exception as problem:  # noqa: BLE001 - one account's failure is told, and must not end the others
            record.errors += 1
            record.failures_in_a_row += 1
            record.last_error = f"{type(problem).__name__}: {problem}"[:300]
            beyond = record.failures_in_a_row - CIRCUIT_FAILURES
            if beyond >= 0:
                wait = min(CIRCUIT_LONGEST_SECONDS, CIRCUIT_FIRST_SECONDS * 2 ** min(10, beyond))
                record.retry_at = self._clock.ticks() + wait
            log.warning("account %s: %s", account_id, record.last_error)
        else:
            record.failures_in_a_row, record.last_error, record.retry_at = 0, "", 0.0
        finally:
            record.passes += 1
            record.last_at = self._clock.now()
            connection.close()
