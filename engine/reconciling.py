"""Reconcile one account from outside of its session: by asking the engine that runs it, or alone under its lease."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings

from accounts.models import TradingAccount
from brokers.sendjournal import SendJournal
from core.clock import Clock
from core.ids import Ids
from engine.gate import SendGate
from engine.lease import HeldLease
from engine.opening import gateway_of
from events.models import Command
from events.services import ask
from orders.gate import fenced
from orders.manager import OrdersManager
from reconciliation.manager import Reconciler
from reconciliation.models import Divergence, State
from reconciliation.services.ledger import note_check
from reconciliation.slots import slot

ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.2


class NoAnswer(Exception):
    """The engine that holds the account did not answer, or refused."""


def reconcile_account(account_id: int, *, clock: Clock, ids: Ids, dry_run: bool = False) -> dict[str, Any]:
    """Compare an account's books with its broker now; return what the pass saw, and how much is open afterwards.

    Raises BrokerError, CredentialError, LeaseLost, NoAnswer.
    """
    lease = HeldLease.acquire(account_id, f"reconcile:{ids.token(6)}", clock=clock)
    if lease is None:
        found = _by_engine(account_id, clock=clock, dry_run=dry_run)
    else:
        try:
            with slot(settings.RECONCILIATION_AT_ONCE) as is_free:
                if not is_free:
                    raise NoAnswer("as many accounts as may be compared at once on this host are at it; try again")
                found = _alone(account_id, lease, clock=clock, dry_run=dry_run)
        finally:
            lease.release()
    return {**found, "open": Divergence.objects.filter(account_id=account_id, state=State.OPEN).count()}


def _by_engine(account_id: int, *, clock: Clock, dry_run: bool) -> dict[str, Any]:
    asked = ask(account_id=account_id, kind="reconcile", args={"dry_run": dry_run}, by=None, at=clock.now())
    until = clock.ticks() + ANSWER_SECONDS
    while clock.ticks() < until:
        state, result = Command.objects.values_list("state", "result").get(pk=asked.pk)
        if state == Command.State.DONE:
            found: dict[str, Any] = json.loads(result)
            return {"by": "engine", **found}
        if state == Command.State.FAILED:
            raise NoAnswer(result)
        clock.sleep(POLL_SECONDS)
    raise NoAnswer(f"the engine that holds the account did not answer within {ANSWER_SECONDS:g} s")


def _alone(account_id: int, lease: HeldLease, *, clock: Clock, dry_run: bool) -> dict[str, Any]:
    """Make a pass of both managers with a gateway of our own; nothing is sent."""
    gateway = gateway_of(TradingAccount.objects.get(pk=account_id), clock)
    gateway.connect()
    try:
        gate = SendGate(lease, SendJournal(Path(settings.VAR_DIR) / "journal" / f"account-{account_id}"), clock)
        orders = OrdersManager(gateway=gateway, gate=gate, clock=clock)
        reconciler = Reconciler(gateway=gateway, gate=gate, clock=clock, orders_manager=orders)
        found = reconciler.run(dry_run=dry_run)
        if not dry_run:
            with fenced(gate):
                note_check(account_id, at=found.at, error="", statistics=reconciler.status())
    finally:
        gateway.close()
    return {"by": "command", **found.as_json()}
