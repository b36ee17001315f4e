"""The two doors that money passes: a fenced write, and the send gate. The engine's lease implements both."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from django.db import transaction

from core import crashpoints


class LeaseLost(Exception):
    """This engine does not hold the account any more: it must stop at once, writing and sending nothing."""


class Gate(Protocol):
    """What an account's session holds while it may act."""

    @property
    def account_id(self) -> int: ...

    @property
    def token(self) -> int:
        """The fencing token; grows with every change of holder."""
        ...

    def assert_current(self) -> None:
        """Inside a transaction: lock the lease row against a change of holder. Raises LeaseLost."""
        ...

    def why_not_send(self, token: str, deadline: datetime) -> str | None:
        """Say why this intent must not be sent now, or None; its token goes into the send journal when it may."""
        ...

    def why_not_enter(self, bot_id: int | None, symbol: str, *, opens_cycle: bool) -> str | None:
        """Inside a transaction: say who forbids that exposure is raised now, or that a cycle begins, or None."""
        ...

    def was_sent(self, token: str) -> bool:
        """Tell whether the send journal knows this intent: it left, whatever the database says."""
        ...

    def forbid_entries(self, cause: str, reason: str, at: datetime) -> None:
        """Inside a transaction: block the account's entries until a person has looked."""
        ...


@contextmanager
def fenced(gate: Gate, name: str = "", *, durable: bool = False) -> Iterator[None]:
    """Run one transaction that can only commit while the account is still ours. Raises LeaseLost.

    `durable`: refuse to run inside another transaction, so that leaving the block means that the rows are on disk.
    `name` names the two crash points around its commit; without one they bear the calling function's.
    """
    if crashpoints.is_rehearsed() and not name:
        name = crashpoints.caller_name(2)
    with transaction.atomic(durable=durable):
        gate.assert_current()
        yield
        crashpoints.reached(f"{name}:uncommitted")
    crashpoints.reached(f"{name}:committed")
