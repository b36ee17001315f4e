"""Named writes of cycles. All run inside the caller's fenced transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Max

from cycles.domain import CycleFigures, kind_of
from cycles.models import Cycle, CycleKind, CycleStatus
from events import live
from events.services import record


def open_cycle(
    *,
    account_id: int,
    bot_id: int,
    config_id: int,
    number: int,
    symbol: str,
    side: str,
    kind: str,
    memory: Mapping[str, Any],
    why: str,
    at: datetime,
) -> Cycle:
    """Write a new open cycle; unique (bot, number) refuses a second one of the same decision."""
    cycle = Cycle.objects.create(
        account_id=account_id,
        bot_id=bot_id,
        config_id=config_id,
        number=number,
        symbol=symbol,
        side=side,
        kind=kind or CycleKind.CT,
        memory=dict(memory),
        opened_at=at,
    )
    record(
        kind="CYCLE_OPENED",
        text=f"{cycle} opened: {side} {symbol} ({why})",
        account_id=account_id,
        bot_id=bot_id,
        cycle_id=cycle.pk,
        at=at,
    )
    live.publish(account_id, "cycle", {"id": cycle.pk, "status": cycle.status})
    return cycle


def next_number(bot_id: int) -> int:
    """Return the number of the bot's next cycle."""
    newest: int | None = Cycle.objects.filter(bot_id=bot_id).aggregate(newest=Max("number"))["newest"]
    return (newest or 0) + 1


def mark_closing(cycle_id: int, *, reason: str, at: datetime) -> bool:
    """Let a cycle take no more legs; returns False when it is closing or closed already."""
    won = Cycle.objects.filter(pk=cycle_id, status=CycleStatus.OPEN).update(
        status=CycleStatus.CLOSING, close_reason=reason[:60]
    )
    if won:
        cycle = Cycle.objects.select_related("bot").get(pk=cycle_id)
        record(
            kind="CYCLE_CLOSING",
            text=f"{cycle} closes: {reason}",
            account_id=cycle.account_id,
            bot_id=cycle.bot_id,
            cycle_id=cycle_id,
            at=at,
        )
        live.publish(cycle.account_id, "cycle", {"id": cycle_id, "status": "closing"})
    return bool(won)


def remember(cycle_id: int, memory: Mapping[str, Any]) -> None:
    """Merge what a strategy wants to know later into a cycle's memory."""
    cycle = Cycle.objects.select_for_update(of=("self",)).get(pk=cycle_id)
    cycle.memory = {**cycle.memory, **memory}
    cycle.save(update_fields=["memory"])


def write_figures(account_id: int, moved: Sequence[tuple[Cycle, CycleFigures]]) -> None:
    """Write figures and hedge levels of several cycles with one statement, and tell the pages."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE cycles_cycle c SET realized_profit = f.realized, total_volume = f.lots, kind = f.kind,
                hedge_levels = f.hedges::jsonb
            FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::text[], %s::text[])
                AS f(id, realized, lots, kind, hedges)
            WHERE c.id = f.id
            """,
            [
                [cycle.pk for cycle, _ in moved],
                [found.realized for _, found in moved],
                [found.volume for _, found in moved],
                [kind_of(cycle.kind, cycle.hedge_levels) for cycle, _ in moved],
                [json.dumps(cycle.hedge_levels) for cycle, _ in moved],
            ],
        )
    live.publish_many([(account_id, "cycle", {"id": cycle.pk, "status": cycle.status}) for cycle, _ in moved])


def complete(cycle_id: int, *, realized: Decimal, reason: str, at: datetime) -> bool:
    """Close a cycle that has no leg left."""
    cycle = Cycle.objects.select_for_update(of=("self",)).select_related("bot").get(pk=cycle_id)
    if cycle.status == CycleStatus.CLOSED:
        return False
    cycle.status = CycleStatus.CLOSED
    cycle.realized_profit = realized
    cycle.total_volume = Decimal(0)
    cycle.closed_at = max(at, cycle.opened_at)
    cycle.close_reason = cycle.close_reason or reason
    cycle.save(update_fields=["status", "realized_profit", "total_volume", "closed_at", "close_reason"])
    record(
        kind="CYCLE_CLOSED",
        text=f"{cycle} closed, net {realized:+.2f} ({cycle.close_reason})",
        account_id=cycle.account_id,
        bot_id=cycle.bot_id,
        cycle_id=cycle_id,
        at=at,
        data={"net": str(realized), "reason": cycle.close_reason},
    )
    live.publish(cycle.account_id, "cycle", {"id": cycle_id, "status": "closed"})
    return True


def reopen(cycle_id: int, *, why: str, at: datetime) -> bool:
    """Open a cycle again that was closed while an order of it is open at the broker (S0)."""
    won = Cycle.objects.filter(pk=cycle_id, status=CycleStatus.CLOSED).update(
        status=CycleStatus.OPEN, closed_at=None, close_reason=""
    )
    if won:
        cycle = Cycle.objects.select_related("bot").get(pk=cycle_id)
        record(
            kind="CYCLE_REOPENED",
            level="warning",
            text=f"{cycle} is open again: {why}",
            account_id=cycle.account_id,
            bot_id=cycle.bot_id,
            cycle_id=cycle_id,
            at=at,
        )
        live.publish(cycle.account_id, "cycle", {"id": cycle_id, "status": "open"})
    return bool(won)
