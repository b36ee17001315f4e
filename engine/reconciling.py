"""Reconcile one account, or check its integrity, from outside of its session."""

from typing import Any

from django.conf import settings

from brokers.gateway import Gateway
from core.clock import Clock
from core.ids import Ids
from cycles.manager import CyclesManager
from engine.gate import SendGate
from engine.visiting import NoAnswer, visit
from orders.gate import fenced
from orders.manager import OrdersManager
from reconciliation.manager import Reconciler
from reconciliation.models import Divergence, State
from reconciliation.services.ledger import note_check
from reconciliation.slots import slot


def reconcile_account(account_id: int, *, clock: Clock, ids: Ids, dry_run: bool = False) -> dict[str, Any]:
    """Compare an account's books with its broker now; return what the pass saw, and how much is open afterwards.

    Raises BrokerError, CredentialError, LeaseLost, NoAnswer.
    """

    def alone(gateway: Gateway, gate: SendGate) -> dict[str, Any]:
        with slot(settings.RECONCILIATION_AT_ONCE) as is_free:
            if not is_free:
                raise NoAnswer("as many accounts as may be compared at once on this host are at it; try again")
            orders = OrdersManager(gateway=gateway, gate=gate, clock=clock)
            reconciler = Reconciler(gateway=gateway, gate=gate, clock=clock, orders_manager=orders)
            found = reconciler.run(dry_run=dry_run)
        if not dry_run:
            with fenced(gate):
                note_check(account_id, at=found.at, error="", statistics=reconciler.status())
        return found.as_json()

    found = visit(account_id, "reconcile", {"dry_run": dry_run}, alone, clock=clock, ids=ids)
    return {**found, "open": Divergence.objects.filter(account_id=account_id, state=State.OPEN).count()}


def check_integrity(account_id: int, names: list[str], *, fix: bool, clock: Clock, ids: Ids) -> dict[str, Any]:
    """Check the relations of cycles, orders and broker now, and with `fix` repair what can be.

    Raises BrokerError, CredentialError, LeaseLost, NoAnswer.
    """

    def alone(gateway: Gateway, gate: SendGate) -> dict[str, Any]:
        orders = OrdersManager(gateway=gateway, gate=gate, clock=clock)
        orders.run()
        return CyclesManager(gate=gate, clock=clock, orders_manager=orders).examine(names, fix=fix).as_json()

    return visit(account_id, "integrity", {"checks": names, "fix": fix}, alone, clock=clock, ids=ids)
