"""A month of closed trades and of figures of an account, for pages that count and draw them."""

from datetime import datetime, timedelta
from decimal import Decimal

from accounts.adminkit import CLOCK
from accounts.models import AccountSnapshot
from orders.models import Deal
from strategies.models import Bot

RESULTS = (12.4, -7.1, 3.3, 18.0, -22.5, 6.6, 9.1, -1.2)


def month_of_trades(bot: Bot) -> None:
    """Put 60 closed positions on a bot's account, two a day until yesterday, and the equity that they led to."""
    account, now = bot.account, CLOCK.now()
    equity = 10_000.0
    deals, snapshots = [], []
    deals.append(_deal(bot, 70_000, "in", "balance", now - timedelta(days=40), equity, position=0))
    for n in range(60):
        opened = now - timedelta(days=31) + timedelta(hours=12 * n)
        result = RESULTS[n % len(RESULTS)]
        equity += result
        position = 80_000 + n
        deals.append(_deal(bot, 90_000 + 2 * n, "in", "buy", opened, 0.0, position=position))
        deals.append(_deal(bot, 90_001 + 2 * n, "out", "sell", opened + timedelta(hours=3), result, position=position))
        snapshots.append(
            AccountSnapshot(
                account=account, at=opened + timedelta(hours=3), balance=round(equity, 2), equity=round(equity, 2),
                margin=10, margin_level=1000, positions=1, total_open_volume=Decimal("0.01"),
            )
        )  # fmt: skip
    Deal.objects.bulk_create(deals)
    AccountSnapshot.objects.bulk_create(snapshots)


def _deal(bot: Bot, ticket: int, entry: str, kind: str, at: datetime, profit: float, *, position: int) -> Deal:
    return Deal(
        account=bot.account, ticket=ticket, order_ticket=ticket, position_id=position, symbol="EURUSD", kind=kind,
        entry=entry, reason="expert", volume=Decimal("0.10"), price=Decimal("1.08"), profit=Decimal(str(profit)),
        swap=0, commission=0, fee=0, magic=bot.magic, at=at,
    )  # fmt: skip
