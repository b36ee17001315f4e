"""What the live pages show, read in one moment: a dozen queries whatever the number of accounts."""

from collections.abc import Collection, Iterable
from typing import Any

from django.db import connection, transaction

from accounts.models import Symbol, TradingAccount, User
from accounts.permissions import accounts_of
from cycles.models import Cycle, CycleStatus
from engine.models import EngineProcess, EngineState
from events.selectors import last_events
from events.services import as_delta
from orders.models import AccountMarks, Order, OrderStatus
from risk.models import Block

# Of more open cycles than this the page shows the newest, and says so
CYCLES_MAX = 300
EVENTS_SHOWN = 20
DIGITS_UNKNOWN = 5

type_ = type
Marks = dict[int, tuple[float, float, float]]


def live_snapshot(user: User) -> dict[str, Any]:
    """Return what a person may see now: accounts, open cycles with legs, events, engine processes.

    Everything is read in one snapshot of the database, so that no leg is shown with the marks of another moment.
    Money is in account currency; times are ISO 8601 in UTC.
    """
    with _one_moment():
        accounts = list(accounts_of(user).order_by("name", "pk"))
        ids = [account.pk for account in accounts]
        marks = AccountMarks.objects.in_bulk(ids)
        cycles, total = _open_cycles(ids)
        orders = list(
            Order.objects.filter(account_id__in=ids, status__in=(OrderStatus.OPEN, OrderStatus.PENDING)).order_by("id")
        )
        return {
            "accounts": _accounts(accounts, marks, ids),
            "cycles": _cycles(cycles, orders, marks, _digits(ids)),
            "cycles_total": total,
            "loose": _loose(orders, marks, _digits(ids)),
            "events": [as_delta(event) for event in last_events(ids, limit=EVENTS_SHOWN)],
            "processes": _processes() if ids else [],
        }


class _one_moment:
    """A read-only transaction whose queries all see the same moment, unless one is open already."""

    def __enter__(self) -> None:
        self._atomic = None if connection.in_atomic_block else transaction.atomic()
        if self._atomic is not None:
            self._atomic.__enter__()
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def __exit__(self, *problem: Any) -> None:
        if self._atomic is not None:
            self._atomic.__exit__(*problem)
