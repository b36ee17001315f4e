"""Equity over time, thinned out to what a chart can show."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Min

from accounts.models import AccountSnapshot

POINTS_MAX = 240
SPAN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """What an account was worth at a moment, in its own currency."""

    at: datetime
    equity: Decimal
    balance: Decimal


def equity_lines(
    account_ids: Collection[int], *, until: datetime, since: datetime | None = None, points: int = POINTS_MAX
) -> dict[int, list[EquityPoint]]:
    """Return the equity of up to `points` moments of a span for each account that has any; by default the last 30 days.

    The time since the first snapshot is cut into equal parts; the last snapshot of each part is shown, so that the
    line ends with the newest figure.
    """
    ids = list(account_ids)
    since = until - SPAN if since is None else since
    wanted = AccountSnapshot.objects.filter(account_id__in=ids, at__gte=since, at__lte=until)
    first = wanted.aggregate(first=Min("at"))["first"]
    if first is None:
        return {}
    width = max(1.0, (until - first).total_seconds() / points)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT account_id, at, equity, balance
            FROM (
                SELECT DISTINCT ON (account_id, part) account_id, at, equity, balance
                FROM (
                    SELECT account_id, at, equity, balance,
                           least(floor(extract(epoch FROM at - %(first)s) / %(width)s), %(points)s - 1) AS part
                    FROM accounts_accountsnapshot
                    WHERE account_id = ANY(%(ids)s) AND at >= %(first)s AND at <= %(until)s
                ) AS cut
                ORDER BY account_id, part, at DESC
            ) AS shown
            ORDER BY account_id, at
            """,
            {"first": first, "until": until, "width": width, "ids": ids, "points": points},
        )
        lines: dict[int, list[EquityPoint]] = {}
        for account_id, *point in cursor.fetchall():
            lines.setdefault(account_id, []).append(EquityPoint(*point))
    return lines
