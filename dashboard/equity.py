"""Equity over time, thinned out to what a chart can show."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Min

from accounts.models import AccountSnapshot

POINTS_MAX = 240
SPAN = timedelta(days=30)


def equity_lines(account_ids: Collection[int], *, now: datetime) -> list[dict[str, Any]]:
    """Return per account the equity of up to 240 moments of the last 30 days: `[milliseconds since 1970, equity]`.

    The time since the first snapshot is cut into equal parts; the last snapshot of each part is shown, so that the
    line ends with the newest figure.
    """
    ids = list(account_ids)
    recent = AccountSnapshot.objects.filter(account_id__in=ids, at__gt=now - SPAN)
    first = recent.aggregate(first=Min("at"))["first"]
    if first is None:
        return []
    width = max(1.0, (now - first).total_seconds() / POINTS_MAX)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT account_id, (extract(epoch FROM at) * 1000)::bigint, equity::float8
            FROM (
                SELECT DISTINCT ON (account_id, floor(extract(epoch FROM at - %(first)s) / %(width)s))
                       account_id, at, equity
                FROM accounts_accountsnapshot
                WHERE account_id = ANY(%(ids)s) AND at >= %(first)s
                ORDER BY account_id, floor(extract(epoch FROM at - %(first)s) / %(width)s), at DESC
            ) AS shown
            ORDER BY account_id, at
            """,
            {"first": first, "width": width, "ids": ids},
        )
        lines: dict[int, list[list[float]]] = {}
        for account_id, at, equity in cursor.fetchall():
            lines.setdefault(account_id, []).append([at, equity])
    return [{"account": account_id, "points": points} for account_id, points in lines.items()]
