"""What a run did, and whether the books equal the broker, which is read from the simulated terminals' own files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from accounts.models import BrokerKind, TradingAccount
from brokers.simulator.truth import Truth, read_truth
from cycles.models import Cycle
from engine.models import EngineState
from orders.domain import token_in
from orders.models import Deal, Order, OrderIntent

TRADES = (0, 1)
VOLUME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between one account's books and its broker; all empty when nothing does."""

    missing_in_books: list[int]
    missing_at_broker: list[int]
    different: list[int]
    deals_missing: list[int]
    without_intent: list[int]
    sent_twice: list[str]

    @property
    def equal(self) -> bool:
        return not any(
            (
                self.missing_in_books,
                self.missing_at_broker,
                self.different,
                self.deals_missing,
                self.without_intent,
                self.sent_twice,
            )
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"equal": self.equal} | {name: getattr(self, name) for name in self.__slots__}


def compare_with_truth(account_id: int, truth: Truth) -> Comparison:
    """Compare open positions, resting orders, the ledger, and that every order of ours came from one intent."""
    books = {
        order.identifier: (order.symbol, order.side, round(float(order.volume), VOLUME_DIGITS))
        for order in Order.objects.filter(account_id=account_id, status__in=("open", "pending"))
    }
    broker = {
        p.identifier: (p.symbol, ("buy", "sell")[p.type], round(p.volume, VOLUME_DIGITS)) for p in truth.positions
    } | {o.ticket: (o.symbol, ("buy", "sell")[o.type % 2], round(o.volume_left, VOLUME_DIGITS)) for o in truth.orders}
    deals = set(Deal.objects.filter(account_id=account_id).values_list("ticket", flat=True))
    known = set(OrderIntent.objects.filter(account_id=account_id).values_list("token", flat=True))
    tokens = Counter(token for o in (*truth.history, *truth.orders) if (token := token_in(o.comment)) is not None)
    return Comparison(
        missing_in_books=sorted(broker.keys() - books.keys()),
        missing_at_broker=sorted(books.keys() - broker.keys()),
        different=sorted(key for key in books.keys() & broker.keys() if books[key] != broker[key]),
        deals_missing=[d.ticket for d in truth.deals if d.type in TRADES and d.ticket not in deals],
        without_intent=[
            o.ticket for o in (*truth.history, *truth.orders)
            if (token := token_in(o.comment)) is not None and token not in known
        ],
        sent_twice=sorted(token for token, times in tokens.items() if times > 1),
    )  # fmt: skip


def report(*, since: datetime, seconds: float, restarts: int) -> dict[str, Any]:
    """Return the figures of a run: cycles, orders, passes and durations of each account's jobs, restarts, equality."""
    accounts: dict[str, Any] = {}
    for account in TradingAccount.objects.filter(broker=BrokerKind.SIMULATOR).order_by("name"):
        path = Path(account.terminal_path)
        if account.terminal_path and path.exists():
            compared = compare_with_truth(account.pk, read_truth(path))
            state = EngineState.objects.filter(account=account).first()
            accounts[account.name] = {
                "books": compared.as_json(),
                "error": state.error_message if state is not None else "",
                "jobs": (state.statistics if state is not None else {}).get("jobs", {}),
            }
    intents = Counter(OrderIntent.objects.filter(created_at__gte=since).values_list("state", flat=True))
    return {
        "seconds": round(seconds, 1),
        "cycles_opened": Cycle.objects.filter(opened_at__gte=since).count(),
        "cycles_closed": Cycle.objects.filter(closed_at__gte=since).count(),
        "orders_opened": Order.objects.filter(opened_at__gte=since).count(),
        "orders_closed": Order.objects.filter(closed_at__gte=since).count(),
        "intents": dict(sorted(intents.items())),
        "jobs": _jobs([a["jobs"] for a in accounts.values()]),
        "restarts": restarts,
        "books_equal_broker": bool(accounts) and all(a["books"]["equal"] for a in accounts.values()),
        "accounts": accounts,
    }


def _jobs(accounts: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return each job's passes and errors over all accounts, and the slowest account's durations in milliseconds."""
    found: dict[str, dict[str, float]] = {}
    for jobs in accounts:
        for name, job in jobs.items():
            known = found.setdefault(name, {"passes": 0, "errors": 0, "p50_ms": 0.0, "p99_ms": 0.0})
            known["passes"] += job["passes"]
            known["errors"] += job["errors"]
            known["p50_ms"] = max(known["p50_ms"], job["p50_ms"])
            known["p99_ms"] = max(known["p99_ms"], job["p99_ms"])
    return found
