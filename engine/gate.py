"""The send gate of one session: lease margin, deadline, and the journal of what already left (design.md §3)."""

from datetime import datetime
from typing import Protocol

from brokers.sendjournal import SendJournal
from core.clock import Clock
from risk.selectors import block_on, standing_blocks, standing_kills
from risk.services import raise_block


class LeaseLike(Protocol):
    """The part of a lease that the gate needs."""

    @property
    def account_id(self) -> int: ...
    @property
    def token(self) -> int: ...
    def assert_current(self) -> None: ...
    def margin_seconds(self) -> float: ...


class SendGate:
    """Implements orders.gate.Gate over a lease and a journal."""

    def __init__(self, lease: LeaseLike, journal: SendJournal, clock: Clock) -> None:
        self._lease = lease
        self._journal = journal
        self._clock = clock

    @property
    def account_id(self) -> int:
        return self._lease.account_id

    @property
    def token(self) -> int:
        return self._lease.token

    def assert_current(self) -> None:
        """Raises LeaseLost when another engine holds the account."""
        self._lease.assert_current()

    def why_not_send(self, token: str, deadline: datetime) -> str | None:
        """Say why an intent must not leave now, or write it into the journal and return None."""
        if self._lease.margin_seconds() <= 0:
            return "the lease is about to expire"
        if self._clock.now() >= deadline:
            return "its deadline has passed"
        if token in self._journal:
            return "it was sent before"
        self._journal.add(token)
        return None

    def why_not_enter(self, bot_id: int | None, symbol: str, *, opens_cycle: bool) -> str | None:
        """Say which block or kill switch forbids an entry, or None: it may have come since the review looked."""
        kills = standing_kills(self.account_id)
        found = block_on(standing_blocks(self.account_id, kills), bot_id, symbol)
        if found is not None:
            return f"{found.cause}: {found.reason}"
        switch = next((kill for kill in kills if opens_cycle and kill.bot_id in (None, bot_id)), None)
        return None if switch is None else f"kill switch: no new cycles: {switch.reason}"

    def was_sent(self, token: str) -> bool:
        """Tell whether the send journal knows this intent."""
        return token in self._journal

    def forbid_entries(self, cause: str, reason: str, at: datetime) -> None:
        """Inside a transaction: block the account's entries until a person lifts it."""
        raise_block(account_id=self.account_id, cause=cause, reason=reason, at=at, level="error")
