"""Named reads of orders and intents; each returns frozen rows, read afresh."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Q

from accounts.models import AccountSnapshot, TradingAccount
from events.prepared import NUMBER, Prepared
from orders.domain import KnownIntent, KnownOrder
from orders.models import AccountMarks, Deal, IntentKind, IntentState, Order, OrderIntent, OrderStatus
from orders.statistics import Flow, Trade

FILLS_MAX = 500
UNDER_WAY = Q(state__in=(IntentState.PLANNED, IntentState.CLAIMED, IntentState.SENT, IntentState.UNKNOWN)) | Q(
    state__in=(IntentState.ACCEPTED, IntentState.PARTIAL),
    kind__in=(IntentKind.OPEN, IntentKind.CLOSE, IntentKind.PLACE),
)


@dataclass(frozen=True, slots=True)
class PaperRun:
    """How long an account, or one bot of it, ran without real money.

    `days` are UTC days on which an engine looked at the account, for a bot since its first order; `trading_days` those
    on which a position was opened; `trades` are closed positions. Everything of a real account is nought.
    """

    days: int
    trading_days: int
    trades: int
    since: datetime | None
    until: datetime | None


NO_PAPER_RUN = PaperRun(0, 0, 0, None, None)


def paper_run(account_id: int, *, bot_id: int | None = None) -> PaperRun:
    """Tell how long an account, or one bot of it, ran on paper or on a broker's demo."""
    if not TradingAccount.objects.filter(pk=account_id, demo=True).exists():
        return NO_PAPER_RUN
    orders = Order.objects.filter(account_id=account_id).exclude(status=OrderStatus.PENDING)
    snapshots = AccountSnapshot.objects.filter(account_id=account_id)
    if bot_id is not None:
        orders = orders.filter(bot_id=bot_id)
        first = orders.aggregate(first=Min("opened_at"))["first"]
        if first is None:
            return NO_PAPER_RUN
        snapshots = snapshots.filter(at__gte=first)
    span = snapshots.aggregate(since=Min("at"), until=Max("at"))
    trades = orders.aggregate(closed=Count("pk", filter=Q(status=OrderStatus.CLOSED)))["closed"]
    return PaperRun(
        days=snapshots.order_by().dates("at", "day").count(),
        trading_days=orders.order_by().dates("opened_at", "day").count(),
        trades=trades,
        since=span["since"],
        until=span["until"],
    )


def known_orders(account_id: int) -> tuple[KnownOrder, ...]:
    """Read the open and pending orders of an account.

    In SQL, because at 10,000 orders the conversion of numerics and rows in Python would be most of a pass.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, identifier, ticket, status, symbol, side, volume::float8, sl::float8, tp::float8,
                   cycle_id, bot_id, intent_id, suspicious_since IS NOT NULL
            FROM orders_order WHERE account_id = %s AND status IN ('open', 'pending') ORDER BY id
            """,
            [account_id],
        )
        return tuple(KnownOrder(*row) for row in cursor.fetchall())


_under_way = Prepared(
    lambda account_id: (
        OrderIntent.objects.filter(UNDER_WAY, account_id=account_id)
        .order_by("id")
        .values_list(
            "id",
            "token",
            "state",
            "kind",
            "reply_order",
            "order_id",
            "cycle_id",
            "bot_id",
            "symbol",
            "side",
            "volume",
            "magic",
            "level",
            "sent_at",
            "order_kind",
        )
    ),
    NUMBER,
)


def intents_under_way(account_id: int) -> tuple[KnownIntent, ...]:
    """Read the intents whose end is not recorded: they count as exposure in every decision."""
    return tuple(
        KnownIntent(
            id=r[0],
            token=r[1],
            state=r[2],
            kind=r[3],
            reply_order=r[4],
            order_id=r[5],
            cycle_id=r[6],
            bot_id=r[7],
            symbol=r[8],
            side=r[9],
            volume=float(r[10]),
            magic=r[11],
            level=r[12],
            sent_at=r[13],
            order_kind=r[14],
        )
        for r in _under_way(account_id)
    )


def intents_by_token(account_id: int, tokens: Sequence[str]) -> dict[str, OrderIntent]:
    """Find intents by the tokens that broker comments carry."""
    return {i.token: i for i in OrderIntent.objects.filter(account_id=account_id, token__in=list(tokens))}


def last_deal_at(account_id: int) -> datetime | None:
    """Return the time of the newest imported deal."""
    newest: datetime | None = Deal.objects.filter(account_id=account_id).aggregate(at=Max("at"))["at"]
    return newest


def marks_of(account_id: int) -> AccountMarks | None:
    """Return the account's floating values, if there are any yet."""
    return AccountMarks.objects.filter(account_id=account_id).first()


def executed(cause_prefix: str, account_id: int) -> int:
    """Count the intents of a cause that came to an order."""
    return OrderIntent.objects.filter(
        account_id=account_id,
        cause_key__startswith=cause_prefix,
        state__in=(IntentState.FILLED, IntentState.ADOPTED, IntentState.SETTLED),
    ).count()


def closed_trades(account_ids: Collection[int], *, since: datetime | None, until: datetime | None) -> list[Trade]:
    """Read what closing positions brought, one row a closing deal, oldest first.

    A closing deal brings its own money and its share, by volume, of what opening the position cost, so that partial
    closes and reversals count when they happen and everything sums to the ledger once a position is gone.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH opening AS (
                SELECT account_id, position_id, sum(commission + fee) AS cost, sum(volume) AS volume, min(at) AS at,
                       (array_agg(magic ORDER BY at, ticket))[1] AS magic
                FROM orders_deal WHERE account_id = ANY(%(ids)s) AND entry = 'in' AND kind IN ('buy', 'sell')
                GROUP BY account_id, position_id
            )
            SELECT d.account_id, d.position_id, d.symbol, coalesce(o.magic, d.magic), d.volume::float8,
                   coalesce(o.at, d.at), d.at,
                   (d.profit + d.swap + d.commission + d.fee
                    + coalesce(o.cost * least(1, d.volume / nullif(o.volume, 0)), 0))::float8
            FROM orders_deal d LEFT JOIN opening o USING (account_id, position_id)
            WHERE d.account_id = ANY(%(ids)s) AND d.entry IN ('out', 'out_by', 'inout') AND d.kind IN ('buy', 'sell')
              AND (%(since)s::timestamptz IS NULL OR d.at >= %(since)s)
              AND (%(until)s::timestamptz IS NULL OR d.at < %(until)s)
            ORDER BY d.at, d.ticket
            """,
            {"ids": list(account_ids), "since": since, "until": until},
        )
        return [Trade(*row) for row in cursor.fetchall()]


def money_flows(account_ids: Collection[int]) -> list[Flow]:
    """Read deposits, withdrawals and whatever else moved a balance without a trade, oldest first."""
    rows = Deal.objects.filter(account_id__in=account_ids).exclude(kind__in=("buy", "sell")).order_by("at", "ticket")
    amounts = rows.values_list("account_id", "at", "profit", "swap", "commission", "fee")
    return [Flow(account_id, at, float(sum(parts))) for account_id, at, *parts in amounts]


def fills(account_id: int, symbol: str, *, since: datetime | None, cycle_id: int | None = None) -> list[dict[str, Any]]:
    """Return entries and exits for a chart, oldest first: epoch seconds, price, side, lots, result; the newest 500.

    A position closed in parts has one exit here, at its last price; its result is in account currency.
    """
    orders = Order.objects.filter(account_id=account_id, symbol=symbol).exclude(status__in=("pending", "cancelled"))
    if since is not None:
        orders = orders.filter(Q(opened_at__gte=since) | Q(closed_at__gte=since))
    if cycle_id is not None:
        orders = orders.filter(cycle_id=cycle_id)
    found: list[dict[str, Any]] = []
    for order in orders.order_by("-opened_at", "-id")[:FILLS_MAX]:
        common = {"order": order.pk, "side": order.side, "lots": float(order.volume_initial), "level": order.level}
        if since is None or order.opened_at >= since:
            price = float(order.price_open)
            found.append({**common, "kind": "entry", "at": order.opened_at.timestamp(), "price": price})
        if order.closed_at is not None and order.price_close is not None:
            result = round(float(order.profit + order.swap + order.commission), 2)
            price = float(order.price_close)
            found.append(
                {**common, "kind": "exit", "at": order.closed_at.timestamp(), "price": price, "result": result}
            )
    return sorted(found, key=lambda fill: fill["at"])
