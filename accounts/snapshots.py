"""Write down what the broker said an account was worth."""

from datetime import datetime

from accounts.models import AccountSnapshot
from brokers.domain import Book
from core.numbers import adds_up, money


def take_snapshot(account_id: int, book: Book, *, at: datetime) -> AccountSnapshot:
    """Append a snapshot, inside the caller's transaction; there is one of a moment."""
    account = book.account
    values = {
        "balance": money(account.balance),
        "credit": money(account.credit),
        "equity": money(account.equity),
        "margin": money(account.margin),
        "margin_level": money(account.margin_level),
        "positions": len(book.positions),
        "total_open_volume": money(book.total_open_volume, 4),
        "complete": adds_up(account.equity, account.balance, account.credit, book.unrealized_pnl),
    }
    return AccountSnapshot.objects.get_or_create(account_id=account_id, at=at, defaults=values)[0]
