"""The footers of orders and deals: totals of all that match, files of the same rows, for who may see them."""

import csv
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts import services as account_services
from accounts.models import TradingAccount
from orders.models import Deal, Order
from tests.admin.conftest import AT, Desk, make_account, make_person

ORDERS, DEALS = reverse("admin:orders_order_changelist"), reverse("admin:orders_deal_changelist")


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))


def test_a_file_has_the_rows_that_the_list_shows_and_no_others(desk: Desk, as_: Callable[..., Client]) -> None:
    Order.objects.filter(pk=desk.order.pk).update(comment="=1+1", profit="-3.20", commission="-0.07")
    rows = rows_of(as_("ben").get(ORDERS, {"export": "csv"}))
    assert [row["ticket"] for row in rows] == [str(desk.order.ticket)]
    assert (rows[0]["comment"], rows[0]["profit"], rows[0]["bot"]) == ("'=1+1", "-3.20", desk.bot.name)
    assert rows_of(as_("ben").get(ORDERS, {"export": "csv", "status__exact": "closed"})) == []
    assert len(rows_of(as_("root").get(DEALS, {"export": "csv"}))) == Deal.objects.count() == 2
    workbook = as_("ben").get(DEALS, {"export": "xlsx"})
    assert b"".join(workbook.streaming_content).startswith(b"PK")  # type: ignore[attr-defined]
    for close in workbook._resource_closers:  # type: ignore[attr-defined]  # to close the answer itself would end the test's connection
        close()
    assert workbook.headers["Content-Disposition"].endswith('.xlsx"')
    assert as_("ben").get(ORDERS, {"export": "csv", "account__id__exact": "abc"}).status_code in (200, 302)
    assert as_("ben").get(ORDERS, {"export": "pdf"}).status_code == 200


def test_totals_never_add_money_of_different_kinds(desk: Desk, as_: Callable[..., Client]) -> None:
    Order.objects.update(profit="10.00", swap="-1.00")
    totals = as_("root").get(ORDERS).context["totals"]
    assert [(total["money"].value, total["rows"]) for total in totals] == [("demo", 1), ("live", 1)]
    TradingAccount.objects.filter(pk=desk.other.pk).update(demo=True)
    (total,) = as_("root").get(ORDERS).context["totals"]
    assert (total["currency"], total["rows"]) == ("USD", 2)
    assert "▲ +18.00" in dict(total["sums"])["Booked"]
    assert "0.02" in dict(total["sums"])["Open lots"]
    (total,) = as_("ben").get(ORDERS).context["totals"]
    assert total["rows"] == 1


def test_the_kinds_of_orders_stand_above_the_list_and_empty_ones_say_so(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("ben")
    page = client.get(ORDERS, {"status__exact": "open", "symbol": "EURUSD"})
    assert 'aria-current="page">Positions' in page.content.decode()
    assert "status__exact=closed" in page.content.decode()
    assert f'data-identifier="{desk.order.identifier}"' in page.content.decode()
    assert "Nothing matches" in client.get(ORDERS, {"status__exact": "pending"}).content.decode()
    desk.people["eve"] = make_person("eve")
    fresh = make_account("Fresh", 1004)
    account_services.grant_role(user=desk.people["eve"], account=fresh, role="viewer", at=AT)
    assert "No deals so far." in as_("eve").get(DEALS).content.decode()
