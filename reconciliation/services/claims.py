"""Take foreign positions into a bot's cycle, and give them back. The position itself is never touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max

from accounts.models import User
from cycles.models import Cycle, CycleKind, CycleStatus
from events import live
from events.audit import record_change
from events.rows import insert_rows
from orders.models import Order, OrderStatus
from reconciliation.actions import Action, why_not
from reconciliation.models import Claim, Divergence, DivergenceStep, Ending, State
from reconciliation.services.ledger import publish_count


@dataclass(frozen=True, slots=True)
class Adoption:
    """A position to be taken into a cycle; `facts` are `reconciliation.domain.facts_of` it."""

    identifier: int
    facts: Mapping[str, Any]
    cycle: Cycle


def why_not_claim(facts: Mapping[str, Any], cycle: Cycle) -> str | None:
    """Say why a position can't belong to a cycle, or None."""
    if cycle.status != CycleStatus.OPEN:
        return f"{cycle} is {cycle.get_status_display().lower()}; choose an open cycle."
    if str(facts["symbol"]).casefold() != cycle.symbol.casefold():
        return f"{cycle} trades {cycle.symbol}, the position is {facts['symbol']}."
    if facts["side"] != cycle.side and cycle.kind != CycleKind.HEDGE:
        return f"{cycle} is a {cycle.side} cycle, the position is a {facts['side']}."
    return None


def adopt_positions(adoptions: Sequence[Adoption], *, at: datetime, why: str, by: User | None) -> list[int]:
    """Write the orders of claimed positions with a fixed number of statements, inside the caller's transaction.

    Returns their keys. A position that was claimed and released before gets its old order back.
    """
    if not adoptions:
        return []
    account_id = adoptions[0].cycle.account_id
    cycles = {a.cycle.pk: a.cycle for a in adoptions}
    rows = Order.objects.filter(cycle_id__in=cycles).values("cycle_id").annotate(top=Max("level")).order_by()
    levels: dict[int, int] = {row["cycle_id"]: row["top"] for row in rows}
    known = _known(account_id, [a.identifier for a in adoptions])
    fresh: list[dict[str, Any]] = []
    orders: list[tuple[int, int]] = []
    for adoption in adoptions:
        cycle = adoption.cycle
        levels[cycle.pk] = levels.get(cycle.pk, -1) + 1
        columns = _columns(adoption.facts, cycle, level=levels[cycle.pk])
        pk, ticket, status = known.get(adoption.identifier, (0, 0, ""))
        if not pk:
            fresh.append({"account_id": account_id, "identifier": adoption.identifier, **columns})
        elif status != OrderStatus.RELEASED:
            raise ValidationError(f"#{ticket} is in the books already ({OrderStatus(status).label.lower()}).")
        else:
            Order.objects.filter(pk=pk).update(**columns)
            orders.append((pk, cycle.pk))
    orders += zip(insert_rows(Order, fresh), (row["cycle_id"] for row in fresh), strict=True)
    text, by_id = why[:300], by.pk if by is not None else None
    insert_rows(
        Claim,
        [
            {"account_id": account_id, "order_id": order, "cycle_id": cycle, "at": at, "by_id": by_id, "why": text}
            for order, cycle in orders
        ],
    )
    return [order for order, _ in orders]


def _known(account_id: int, identifiers: list[int]) -> dict[int, tuple[int, int, str]]:
    """Find orders by the identifiers of positions: key, ticket and status."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT identifier, id, ticket, status FROM orders_order WHERE account_id = %s AND identifier = ANY(%s)",
            [account_id, identifiers],
        )
        return {identifier: (pk, ticket, status) for identifier, pk, ticket, status in cursor.fetchall()}


def _columns(facts: Mapping[str, Any], cycle: Cycle, *, level: int) -> dict[str, Any]:
    """Return what an order's row says about a position that a cycle takes in."""
    return {
        "bot_id": cycle.bot_id,
        "cycle_id": cycle.pk,
        "level": level,
        "ticket": facts["ticket"],
        "symbol": facts["symbol"],
        "side": facts["side"],
        "status": OrderStatus.OPEN,
        "closed_at": None,
        "closed_offset_seconds": None,
        "magic": facts["magic"],
        "comment": str(facts["comment"])[:64],
        "volume": round(facts["volume"], 4),
        "volume_initial": round(facts["volume"], 4),
        "price_open": round(facts["price"], 8),
        "sl": round(facts["sl"], 8),
        "tp": round(facts["tp"], 8),
        "opened_at": facts["opened_at"],
        "opened_offset_seconds": facts.get("server_offset_seconds"),
    }


@transaction.atomic
def claim(*, divergence: Divergence, cycle: Cycle, why: str, by: User, at: datetime) -> Claim:
    """Take the foreign position of a divergence into a bot's open cycle; its bot treats it as a leg from now on.

    Raises ValidationError when position and cycle do not fit, or the position is in the books already.
    """
    row = Divergence.objects.select_for_update(of=("self",)).get(pk=divergence.pk)
    cycle = Cycle.objects.select_for_update(of=("self",)).select_related("bot").get(pk=cycle.pk)
    if (problem := why_not(row, Action.ADOPT)) is not None:
        raise ValidationError(problem)
    if cycle.account_id != row.account_id:
        raise ValidationError({"cycle": "Choose a cycle of the same account."})
    if (problem := why_not_claim(row.theirs, cycle)) is not None:
        raise ValidationError({"cycle": problem})
    (pk,) = adopt_positions([Adoption(row.identifier, row.theirs, cycle)], at=at, why=why, by=by)
    order = Order.objects.get(pk=pk)
    made = Claim.objects.get(order=order, released_at__isnull=True)
    made.divergence = row
    made.save(update_fields=["divergence"])
    row.state, row.closed_how, row.closed_by, row.closed_at = State.CLOSED, Ending.CLAIMED, by, at
    row.closed_why, row.ignored_until, row.updated_at, row.order = why[:300], None, at, order
    row.save()
    DivergenceStep.objects.create(divergence=row, at=at, by=by, action=Action.ADOPT, text=f"into {cycle}: {why}"[:400])
    publish_count(row.account_id)
    record_change(
        kind="POSITION_CLAIMED",
        text=f"#{order.ticket} {order.side} {order.symbol} taken into {cycle} by {by}: {why}",
        subject=f"#{order.ticket}",
        after={"cycle": cycle.pk},
        reason=why,
        by=by,
        account_id=row.account_id,
        bot_id=cycle.bot_id,
        cycle_id=cycle.pk,
        order_id=order.pk,
        at=at,
    )
    live.publish(row.account_id, "order", {"id": order.pk, "status": order.status, "ticket": order.ticket})
    return made


@transaction.atomic
def release(*, claim: Claim, why: str, by: User, at: datetime) -> None:
    """Give a claimed position back: it stays open at the broker, and no bot counts it any more.

    Raises ValidationError when it was released or closed before, or a request about it is under way.
    """
    made = Claim.objects.select_for_update().get(pk=claim.pk)
    order = Order.objects.select_for_update(of=("self",)).get(pk=made.order_id)
    if made.released_at is not None or order.status != OrderStatus.OPEN:
        raise ValidationError(f"#{order.ticket} is {order.get_status_display().lower()}: there is nothing to release.")
    under_way = order.closing_intents.filter(
        state__in=("planned", "claimed", "sent", "unknown", "accepted", "partial")
    ).first()
    if under_way is not None:
        raise ValidationError(f"A request about #{order.ticket} is under way ({under_way}); try again after it.")
    made.released_at, made.released_by, made.released_why = at, by, why[:300]
    made.save()
    order.status, order.closed_at, order.volume = OrderStatus.RELEASED, at, Decimal(0)
    order.cycle, order.bot = None, None
    order.save()
    record_change(
        kind="POSITION_RELEASED",
        text=f"#{order.ticket} {order.side} {order.symbol} left {made.cycle} by {by}: {why}",
        subject=f"#{order.ticket}",
        before={"cycle": made.cycle_id},
        after={"cycle": None},
        reason=why,
        by=by,
        account_id=made.account_id,
        bot_id=made.cycle.bot_id,
        cycle_id=made.cycle_id,
        order_id=order.pk,
        at=at,
    )
    live.publish(made.account_id, "order", {"id": order.pk, "status": order.status, "ticket": order.ticket})
