"""Named reads of exports: the tables and the lines of charts, read while they are written."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from accounts.equity import equity_lines
from accounts.models import AccountSnapshot, TradingAccount
from cycles.models import Cycle
from exports.domain import STATEMENT_HEADERS, ZERO, Kind, LedgerLine, Table, statement_rows
from orders.models import Deal

CHUNK = 2_000
POINTS_MAX = 1_000
AMOUNT = F("profit") + F("swap") + F("commission") + F("fee")
DEAL_COLUMNS = (
    "at", "ticket", "order_ticket", "position_id", "symbol", "kind", "entry", "reason", "volume", "price", "profit",
    "swap", "commission", "fee", "magic", "comment",
)  # fmt: skip
LEDGER_COLUMNS = (
    "at", "ticket", "kind", "entry", "position_id", "symbol", "volume", "price", "profit", "swap", "commission", "fee",
    "comment",
)  # fmt: skip
CYCLE_COLUMNS = (
    "id", "bot__name", "number", "symbol", "side", "kind", "status", "opened_at", "closed_at", "total_volume",
    "realized_profit", "close_reason",
)  # fmt: skip
EQUITY_COLUMNS = (
    "at", "balance", "credit", "equity", "margin", "margin_level", "positions", "total_open_volume", "complete",
)  # fmt: skip


def table_of(kind: Kind, account: TradingAccount, *, since: datetime | None, until: datetime | None) -> Table:
    """Return the rows of a kind, oldest first. Both ends of the span are inclusive."""
    if kind is Kind.STATEMENT:
        return _statement(account, since, until)
    if kind is Kind.DEALS:
        return _plain(_deals(account, since, until), DEAL_COLUMNS)
    if kind is Kind.CYCLES:
        found = Cycle.objects.filter(_span("opened_at", since, until), account=account).order_by("opened_at", "id")
        return _plain(found, CYCLE_COLUMNS)
    rows = AccountSnapshot.objects.filter(_span("at", since, until), account=account).order_by("at")
    return _plain(rows, EQUITY_COLUMNS)


def lines_of(
    kind: Kind, account: TradingAccount, *, since: datetime | None, until: datetime | None, now: datetime
) -> dict[str, list[tuple[datetime, float]]]:
    """Return the lines of a chart by name, of a thousand points: equity and balance, or the ledger's balance."""
    if kind is Kind.EQUITY:
        first = AccountSnapshot.objects.filter(account=account).order_by("at").values_list("at", flat=True).first()
        found = equity_lines([account.pk], since=since or first, until=until or now, points=POINTS_MAX)
        points = found.get(account.pk, [])
        return {
            "Equity": [(point.at, float(point.equity)) for point in points],
            "Balance": [(point.at, float(point.balance)) for point in points],
        }
    deals, count = _deals(account, since, until), _deals(account, since, until).count()
    balance, step, line = _before(account, since), max(1, count // POINTS_MAX), []
    for number, (at, amount) in enumerate(deals.annotate(amount=AMOUNT).values_list("at", "amount").iterator(CHUNK)):
        balance += amount
        if number % step == 0 or number == count - 1:
            line.append((at, float(balance)))
    return {"Balance": line}


def _statement(account: TradingAccount, since: datetime | None, until: datetime | None) -> Table:
    deals = _deals(account, since, until)

    def lines() -> Iterator[LedgerLine]:
        for row in deals.values_list(*LEDGER_COLUMNS).iterator(CHUNK):
            yield LedgerLine(*row)

    rows = statement_rows(lines(), opening=_before(account, since), since=since, until=until)
    return Table(STATEMENT_HEADERS, rows, deals.count() + 2)


def _before(account: TradingAccount, since: datetime | None) -> Decimal:
    """Return the balance before a moment: what all earlier deals came to."""
    if since is None:
        return ZERO
    return Deal.objects.filter(account=account, at__lt=since).aggregate(sum=Sum(AMOUNT))["sum"] or ZERO


def _deals(account: TradingAccount, since: datetime | None, until: datetime | None) -> QuerySet[Deal]:
    return Deal.objects.filter(_span("at", since, until), account=account).order_by("at", "ticket")


def _span(name: str, since: datetime | None, until: datetime | None) -> Q:
    wanted = Q()
    if since is not None:
        wanted &= Q(**{f"{name}__gte": since})
    if until is not None:
        wanted &= Q(**{f"{name}__lte": until})
    return wanted


def _plain(found: QuerySet[Any], columns: tuple[str, ...]) -> Table:
    headers = [name.replace("__", "_") for name in columns]
    return Table(headers, found.values_list(*columns).iterator(CHUNK), found.count())
