"""The statistics page: what it sums, whom it shows it to, and its CSV."""

import csv
import io
import re
import zipfile
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from core.clock import VirtualClock
from dashboard import statistics
from orders.models import Deal
from orders.selectors import closed_trades, money_flows
from tests.dashboard.desks import START, Desk, build_desk

pytestmark = pytest.mark.django_db
URL = "/admin/statistics/"


def deal(desk: Desk, ticket: int, entry: str, hours: float, **fields: Any) -> None:
    values: dict[str, Any] = {
        "kind": "buy", "symbol": "EURUSD", "volume": Decimal("0.10"), "price": 1, "profit": 0, "swap": 0,
        "commission": 0, "fee": 0, "magic": 7, "reason": "expert", "position_id": 1,
    } | fields  # fmt: skip
    Deal.objects.create(account=desk.account, ticket=ticket, entry=entry, at=START + timedelta(hours=hours), **values)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A deposit, a position closed in two parts, one closed by hand, and one that is still open."""
    monkeypatch.setattr(statistics, "CLOCK", VirtualClock(START + timedelta(days=2)))
    desk = build_desk()
    deal(desk, 1, "in", 0, kind="balance", profit=Decimal(1000), symbol="", position_id=0, magic=0)
    deal(desk, 2, "in", 1, commission=Decimal("-0.70"))
    deal(desk, 3, "out", 2, kind="sell", volume=Decimal("0.04"), profit=Decimal("10.00"))
    deal(desk, 4, "out", 3, kind="sell", volume=Decimal("0.06"), profit=Decimal("-30.00"), swap=Decimal("-1.00"))
    deal(desk, 5, "in", 4, position_id=2, magic=0, symbol="XAUUSD")
    deal(desk, 6, "out", 5, position_id=2, magic=0, symbol="XAUUSD", profit=Decimal("5.50"))
    deal(desk, 7, "in", 6, position_id=3, commission=Decimal("-0.70"))
    return desk


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_results_hold_their_share_of_what_opening_cost(desk: Desk) -> None:
    trades = closed_trades([desk.account.pk], since=None, until=None)
    assert [(t.position_id, t.magic, round(t.result, 2)) for t in trades] == [(1, 7, 9.72), (1, 7, -31.42), (2, 0, 5.5)]
    assert trades[0].opened_at == START + timedelta(hours=1)
    assert [(flow.amount, flow.at) for flow in money_flows([desk.account.pk])] == [(1000.0, START)]
    later = closed_trades([desk.account.pk], since=START + timedelta(hours=3), until=START + timedelta(hours=5))
    assert [t.position_id for t in later] == [1]


@pytest.mark.requirement("S0-23")
def test_the_page_sums_what_was_closed(desk: Desk) -> None:
    page = client_of(desk.ben).get(URL)
    cards = {name: figure for name, figure, _ in page.context["cards"]}
    assert cards["Net result"] == "▼ -16.20"
    assert cards["Gain since the start"] == "▼ -1.62%"
    assert cards["Trades"] == "3"
    assert cards["Won"] == "66.67%"
    assert cards["Paid in"] == "1,000.00"
    assert cards["Absolute gain"] == "▼ -1.62%"
    assert sum(result for _, result in page.context["chart"]["days"]) == pytest.approx(-16.20)
    tables = {title: {row["name"]: row["net"] for row in rows} for title, rows in page.context["tables"]}
    assert tables["By bot"] == {"By hand": "▲ +5.50", "Grid": "▼ -21.70"}
    assert tables["By magic"] == {"0": "▲ +5.50", "7": "▼ -21.70"}
    assert tables["By symbol"] == {"EURUSD": "▼ -21.70", "XAUUSD": "▲ +5.50"}
    assert page.context["chart"]["points"][-1][1] == 983.8
    assert [year for year, *_ in page.context["years"]] == [2026]


def test_filters_narrow_and_unknown_ones_are_not_found(desk: Desk) -> None:
    client = client_of(desk.ada)
    for query, trades in (
        ("magic=7", "2"),
        ("symbol=XAUUSD", "1"),
        ("magic=7&symbol=XAUUSD", "0"),
        ("period=all", "3"),
    ):
        page = client.get(f"{URL}?account={desk.account.pk}&{query}")
        assert dict(card[:2] for card in page.context["cards"])["Trades"] == trades
    for query in ("account=99999", "account=x", "period=8", "magic=seven", "account=²"):
        assert client.get(f"{URL}?{query}").status_code == 404


def test_who_has_no_account_sees_an_empty_page_and_foreign_ones_do_not_exist(desk: Desk) -> None:
    client = client_of(desk.cem)
    assert "No account is shared with you" in client.get(URL).content.decode()
    assert client.get(f"{URL}?account={desk.account.pk}").status_code == 404
    assert client.get(f"{URL}?account={desk.account.pk}&format=csv").status_code == 404


def test_the_csv_holds_every_trade_and_no_formula(desk: Desk) -> None:
    desk.bot.name = "=HYPERLINK(1)"
    desk.bot.save()
    answer = client_of(desk.ada).get(f"{URL}?format=csv&period=all")
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))  # type: ignore[attr-defined]
    assert [row["result"] for row in rows] == ["9.72", "-31.42", "5.50"]
    assert rows[0]["bot"] == "'=HYPERLINK(1)"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_the_workbook_holds_the_same_trades(desk: Desk) -> None:
    answer = client_of(desk.ada).get(f"{URL}?format=xlsx&period=all")
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as parts:  # type: ignore[attr-defined]
        xml = parts.read("xl/worksheets/sheet1.xml").decode()
    results = [float(found) for found in re.findall(r'<c r="H\d"[^>]*><v>([^<]+)</v>', xml)]
    assert results == pytest.approx([9.72, -31.42, 5.5])
    assert ".xlsx" in answer.headers["Content-Disposition"]
    assert client_of(desk.cem).get(f"{URL}?account={desk.account.pk}&format=xlsx").status_code == 404


def test_ten_thousand_trades_take_a_bounded_number_of_queries(desk: Desk, django_assert_max_num_queries: Any) -> None:
    Deal.objects.bulk_create(
        Deal(
            account=desk.account, ticket=100 + n, entry="out", at=START + timedelta(seconds=n), kind="sell",
            symbol="EURUSD", volume=Decimal("0.10"), price=1, profit=1, swap=0, commission=0, fee=0, magic=7,
            reason="expert", position_id=100 + n,
        )
        for n in range(10_000)
    )  # fmt: skip
    client = client_of(desk.ada)
    client.get(URL)
    with django_assert_max_num_queries(26):
        page = client.get(URL)
    assert len(page.context["chart"]["points"]) <= 4_000
