"""Work on one account from outside of its session: by asking the engine that runs it, or alone under its lease."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.models import TradingAccount
from brokers.gateway import Gateway
from brokers.sendjournal import SendJournal
from core.clock import Clock
from core.ids import Ids
from engine.gate import SendGate
from engine.lease import HeldLease
from engine.opening import gateway_of
from events.models import Command
from events.services import ask

ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.2


class NoAnswer(Exception):
    """The engine that holds the account did not answer, or refused."""


def visit(
    account_id: int,
    command: str,
    args: dict[str, Any],
    alone: Callable[[Gateway, SendGate], dict[str, Any]],
    *,
    clock: Clock,
    ids: Ids,
) -> dict[str, Any]:
    """Let the account's engine carry out a command, or `alone` do the same where no engine holds the account.

    `alone` reads the broker and writes the books: its connection sends nothing.

    Raises BrokerError, CredentialError, LeaseLost, NoAnswer.
    """
    lease = HeldLease.acquire(account_id, f"{command}:{ids.token(6)}", clock=clock)
    if lease is None:
        return {"by": "engine", **json.loads(ask_engine(account_id, command, args, clock=clock))}
    try:
        gateway = gateway_of(TradingAccount.objects.get(pk=account_id), clock, is_for_reading=True)
        gateway.connect()
        try:
            journal = SendJournal(Path(settings.VAR_DIR) / "journal" / f"account-{account_id}")
            return {"by": "command", **alone(gateway, SendGate(lease, journal, clock))}
        finally:
            gateway.close()
    finally:
        lease.release()


def ask_engine(account_id: int, command: str, args: dict[str, Any], *, clock: Clock) -> str:
    """Let the engine that runs the account carry out a command; return its answer. Raises NoAnswer."""
    asked = ask(account_id=account_id, kind=command, args=args, by=None, at=clock.now())
    until = clock.ticks() + ANSWER_SECONDS
    while clock.ticks() < until:
        state, result = Command.objects.values_list("state", "result").get(pk=asked.pk)
        if state == Command.State.DONE:
            return str(result)
        if state == Command.State.FAILED:
            raise NoAnswer(result)
        clock.sleep(POLL_SECONDS)
    raise NoAnswer(f"the engine that holds the account did not answer within {ANSWER_SECONDS:g} s")


def chosen_accounts(wanted: list[str] | None) -> dict[int, str]:
    """Return accounts by primary key, named by name or login; all without names. Raises LookupError, naming them."""
    every = list(TradingAccount.objects.order_by("name"))
    chosen = {a.pk: a.name for a in every if not wanted or a.name in wanted or str(a.login) in wanted}
    known = ", ".join(a.name for a in every) or "none yet"
    missing = [w for w in wanted or () if not any(w in (a.name, str(a.login)) for a in every)]
    if missing or not chosen:
        raise LookupError(f"There is no account {', '.join(map(repr, missing)) or 'yet'}; known: {known}.")
    return chosen
