"""Bring the broker's ledger into the books: deals once, in any order of arrival, and what follows from them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from brokers.domain import Deal as BrokerDeal
from orders.models import Deal, IntentKind, IntentState, Order, OrderIntent
from orders.sending import join
from orders.services import transition


def import_deals(account_id: int, deals: Sequence[BrokerDeal]) -> list[int]:
    """Store the deals that are new, inside the caller's transaction, and return the position ids that they touch."""
    tickets = [d.ticket for d in deals]
    known = set(Deal.objects.filter(account_id=account_id, ticket__in=tickets).values_list("ticket", flat=True))
    fresh = {d.ticket: d for d in deals if d.ticket not in known}
    Deal.objects.bulk_create(
        [
            Deal(
                account_id=account_id,
                ticket=d.ticket,
                order_ticket=d.order,
                position_id=d.position_id,
                symbol=d.symbol,
                kind=d.kind,
                entry=d.entry,
                reason=d.reason,
                volume=round(d.volume, 4),
                price=round(d.price, 8),
                profit=round(d.profit, 2),
                swap=round(d.swap, 2),
                commission=round(d.commission, 2),
                fee=round(d.fee, 2),
                magic=d.magic,
                comment=d.comment[:64],
                at=d.at,
                server_offset_seconds=int(d.server_offset.total_seconds()),
            )
            for d in fresh.values()
        ],
        ignore_conflicts=True,
    )
    return sorted({d.position_id for d in fresh.values() if d.position_id})


def book_figures(account_id: int, position_ids: Collection[int]) -> list[int]:
    """Set the booked profit, swap and commission of orders from their deals, set-based; return the cycles concerned."""
    if not position_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE orders_order o SET profit = d.profit, swap = d.swap, commission = d.commission
            FROM (SELECT position_id, sum(profit) AS profit, sum(swap) AS swap, sum(commission + fee) AS commission
                  FROM orders_deal WHERE account_id = %(account)s AND position_id = ANY(%(ids)s) GROUP BY position_id) d
            WHERE o.account_id = %(account)s AND o.identifier = d.position_id
              AND (o.profit, o.swap, o.commission) IS DISTINCT FROM (d.profit, d.swap, d.commission)
            RETURNING o.cycle_id
            """,
            {"account": account_id, "ids": list(position_ids)},
        )
        return sorted({row[0] for row in cursor.fetchall() if row[0] is not None})


def finish_intents(account_id: int, *, fence: int, at: datetime) -> int:
    """Finish accepted intents whose deals are in the books, inside the caller's transaction; return how many."""
    accepted = OrderIntent.objects.filter(
        account_id=account_id,
        kind__in=(IntentKind.CLOSE, IntentKind.OPEN),
        state__in=(IntentState.ACCEPTED, IntentState.PARTIAL),
        reply_order__isnull=False,
    ).annotate(
        dealt=Coalesce(
            Subquery(
                Deal.objects.filter(account_id=account_id, order_ticket=OuterRef("reply_order"))
                .values("order_ticket")
                .annotate(lots=Sum("volume"))
                .values("lots")
            ),
            Value(Decimal(0)),
        )
    )
    done = 0
    # The rest of a market order that was filled in part is gone: a new intent asks for it
    part = Q(state=IntentState.PARTIAL, filled_volume__gt=0, dealt__gte=F("filled_volume"))
    for intent in accepted.filter(part | Q(dealt__gte=F("volume"))):
        finished = transition(
            intent.pk,
            intent.state,
            IntentState.FILLED,
            fence=fence,
            why="its deals are in the books",
            at=at,
            done_at=at,
            filled_volume=intent.dealt,
        )
        if finished and intent.kind == IntentKind.OPEN:
            _join(intent, at=at)
        done += finished
    return done


def _join(intent: OrderIntent, *, at: datetime) -> None:
    """Let the lots of a filled entry join the position that its deals name, where the books hold that position.

    Where they do not yet, the pass finds the position and gives it to the intent.
    """
    assert intent.reply_order is not None
    deals = Deal.objects.filter(account_id=intent.account_id, order_ticket=intent.reply_order)
    order = Order.objects.filter(account_id=intent.account_id, identifier__in=deals.values("position_id")).first()
    if order is not None and order.intent_id != intent.pk:
        totals = deals.aggregate(lots=Sum("volume"), worth=Sum(F("volume") * F("price")))
        lots, price = float(totals["lots"]), float(totals["worth"] / totals["lots"])
        join(intent, order, volume=lots, price=price, at=at)
