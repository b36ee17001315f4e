"""Named reads of copies."""

from django.db.models import QuerySet

from accounts.models import Symbol, TradingAccount
from accounts.selectors import latest_snapshot
from brokers.domain import Side
from copying.domain import Position
from copying.models import Copy, Subscription
from orders.models import AccountMarks, Order

COPIER = "copier"
NOT_OVER = (Copy.State.OPEN, Copy.State.CLOSING)


def has_subscriptions(account_id: int) -> bool:
    """Tell whether a bot of an account copies, or ever did."""
    return Subscription.objects.filter(bot__account_id=account_id).exists()


def active_subscriptions(account_id: int) -> list[Subscription]:
    """Return the subscriptions of an account's bots that still take positions."""
    rows = Subscription.objects.filter(bot__account_id=account_id, is_active=True)
    return list(rows.select_related("bot__account", "bot__config").order_by("pk"))


def copies_under_way(account_id: int) -> list[Copy]:
    """Return the copies of an account's bots that are open, those of stopped subscriptions too."""
    rows = Copy.objects.filter(subscription__bot__account_id=account_id, state__in=NOT_OVER)
    return list(rows.select_related("subscription__bot", "source", "cycle").order_by("pk"))


def waiting_copies(account_id: int) -> QuerySet[Copy]:
    """Return what waits of subscriptions that were stopped meanwhile."""
    return Copy.objects.filter(
        subscription__bot__account_id=account_id, subscription__is_active=False, state=Copy.State.WAITING
    )


def positions_to_copy(subscription: Subscription) -> list[Order]:
    """Return the provider's open positions that have no end here yet, oldest first. Copies are never copied on."""
    rows = Order.objects.filter(
        account_id=subscription.provider_id, status="open", opened_at__gte=subscription.since
    ).exclude(bot__strategy=COPIER)
    if subscription.provider_bot_id is not None:
        rows = rows.filter(bot_id=subscription.provider_bot_id)
    decided = subscription.copies.exclude(state=Copy.State.WAITING).values("source_id")
    return list(rows.exclude(pk__in=decided).order_by("opened_at", "pk"))


def position_of(order: Order) -> Position:
    """Return a provider's order as the rules know it."""
    symbol = Symbol.objects.filter(account_id=order.account_id, name=order.symbol).first()
    return Position(
        order.symbol, Side(order.side), float(order.volume), float(order.price_open), float(order.sl), float(order.tp),
        order.opened_at, symbol.contract_size if symbol is not None else None,
    )  # fmt: skip


def equity_of(account: TradingAccount | int) -> float | None:
    """Return an account's newest known equity, from its marks or its last snapshot."""
    pk = account if isinstance(account, int) else account.pk
    marks = AccountMarks.objects.filter(account_id=pk).values_list("equity", flat=True).first()
    if marks:
        return marks
    snapshot = latest_snapshot(pk)
    return float(snapshot.equity) if snapshot is not None else None
