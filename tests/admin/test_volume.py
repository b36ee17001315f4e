"""Lists and pages of a desk with much on it take as many queries as those of a small one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import TradingAccount
from events.models import Event
from orders.models import Order
from tests.admin.conftest import Desk

ACCOUNTS, OPEN, CLOSED, EVENTS = 50, 500, 100_000, 20_000
# Queries of a page at most: those of the frame (who asks, alarms, the sidebar's rights and counts) among them
LISTS = {
    "accounts_tradingaccount": 17, "strategies_bot": 17, "cycles_cycle": 17, "orders_order": 17, "orders_deal": 17,
    "orders_orderintent": 17, "events_event": 17, "reconciliation_divergence": 30,
}  # fmt: skip
PAGES = {"admin:index": 45, "live": 35, "statistics": 35}


@pytest.fixture
def crowd(desk: Desk) -> Desk:
    """Give the desk with 50 accounts, 500 open and 100,000 closed orders, and 20,000 events, copied in the database."""
    event = Event.objects.filter(account=desk.account).latest("id")
    opened = {"ticket": "100000 + n", "identifier": "100000 + n", "intent_id": "NULL"}
    for table, row, many, own in (
        ("accounts_tradingaccount", desk.account.pk, ACCOUNTS - 2, {"name": "'Account ' || n", "login": "2000 + n"}),
        ("orders_order", desk.order.pk, OPEN - 2, opened),
        (
            "orders_order", desk.order.pk, CLOSED,
            {
                "ticket": "1000000 + n", "identifier": "1000000 + n", "status": "'closed'", "volume": "0",
                "intent_id": "NULL",
                "closed_at": "opened_at + n * interval '1 second'", "price_close": "1.09", "profit": "mod(n, 7) - 3",
                "close_reason": "'bot'",
            },
        ),
        ("events_event", event.pk, EVENTS, {}),
    ):  # fmt: skip
        copy(table, row, many, own)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert TradingAccount.objects.count() == ACCOUNTS
    assert Order.objects.filter(status="closed").count() == CLOSED
    return desk


def copy(table: str, row: int, many: int, own: dict[str, str]) -> None:
    """Insert `many` copies of a row; `own` says by column what differs, as SQL of the number n."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name <> 'id' "
            "AND is_generated = 'NEVER'",
            [table],
        )
        columns = [name for (name,) in cursor.fetchall()]
        values = ", ".join(own.get(name, f'o."{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {values} FROM "{table}" o, generate_series(1, %s) n '
            "WHERE o.id = %s",
            [many, row],
        )


def test_much_takes_no_more_queries_than_little(
    crowd: Desk, as_: Callable[..., Client], django_assert_max_num_queries: Any
) -> None:
    client = as_("root")
    client.get(reverse("admin:index"))
    for name, most in LISTS.items():
        with django_assert_max_num_queries(most, info=name):
            page = client.get(reverse(f"admin:{name}_changelist"))
        assert page.status_code == 200
        assert len(re.findall(r"<tr", page.content.decode())) <= 120, f"{name} shows no more than a page"
    for name, most in PAGES.items():
        with django_assert_max_num_queries(most, info=name):
            assert client.get(reverse(name)).status_code == 200
    for account in (crowd.other, crowd.account):  # one with little on it, one with much
        with django_assert_max_num_queries(50, info=account.name):
            page = client.get(reverse("admin:accounts_tradingaccount_change", args=(account.pk,)))
        assert page.status_code == 200
