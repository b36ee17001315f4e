"""Orders that were not sent, and why: the same again within an hour is one row, and rows are bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from orders.models import NotSent

SAME_FOR = timedelta(hours=1)
KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A request that a decision did not come to. `times` it was met since it was last written."""

    bot_id: int
    symbol: str
    side: str
    code: str
    detail: str
    times: int
    trace: Mapping[str, Any]


def note_not_sent(*, account_id: int, skipped: Sequence[Skipped], at: datetime) -> None:
    """Write reasons down, inside the caller's transaction; of each account the newest thousand are kept."""
    is_new = False
    for one in skipped:
        same = NotSent.objects.filter(
            account_id=account_id, bot_id=one.bot_id, symbol=one.symbol, side=one.side, code=one.code,
            last_at__gt=at - SAME_FOR,
        ).order_by("-id")  # fmt: skip
        fields: dict[str, Any] = {
            "detail": one.detail[:300],
            "trace": dict(one.trace),
            "correlation": str(one.trace.get("correlation", "")),
            "last_at": at,
        }
        known = same.values_list("id", flat=True).first()
        if known is not None:
            NotSent.objects.filter(pk=known).update(times=F("times") + one.times, **fields)
            continue
        is_new = True
        NotSent.objects.create(
            account_id=account_id, bot_id=one.bot_id, symbol=one.symbol, side=one.side, code=one.code,
            times=one.times, first_at=at, **fields,
        )  # fmt: skip
    if is_new:
        rows = NotSent.objects.filter(account_id=account_id).order_by("-id")
        oldest_kept = rows.values_list("id", flat=True)[KEPT_MAX - 1 : KEPT_MAX].first()
        if oldest_kept is not None:
            NotSent.objects.filter(account_id=account_id, pk__lt=oldest_kept).delete()
