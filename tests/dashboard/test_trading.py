"""The trading of an account and of a bot on their pages: whose it is, what it sums, what it starts with."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Symbol
from core.clock import VirtualClock
from dashboard import trading
from dashboard.trading import DAYS, daily_results
from orders.models import Deal
from orders.statistics import Trade
from tests.dashboard.desks import START, Desk, build_desk

NOW = START + timedelta(hours=6)


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(trading, "CLOCK", VirtualClock(NOW))
    found = build_desk()
    terms = {"currency_base": "EUR", "currency_profit": "USD"}
    Symbol.objects.filter(account=found.account).update(contract_size=100_000.0, terms=terms)
    for ticket, magic, result in ((1, 7, "12.50"), (2, 7, "-2.50"), (3, 0, "4.00")):
        for entry, at, profit in (("in", START, "0"), ("out", START + timedelta(hours=ticket), result)):
            Deal.objects.create(
                account=found.account, ticket=ticket * 10 + (entry == "out"), entry=entry, at=at, kind="buy",
                symbol="EURUSD", volume=Decimal("0.10"), price=1, profit=Decimal(profit), swap=0, commission=0, fee=0,
                magic=magic, reason="expert", position_id=ticket,
            )  # fmt: skip
    return found


def page_of(who: Any, kind: str, pk: int) -> str:
    client = Client()
    client.force_login(who)
    answer = client.get(f"/admin/{kind}/{pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="live-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_an_accounts_page_shows_its_trading_to_who_may_look(desk: Desk) -> None:
    page = page_of(desk.ben, "accounts/tradingaccount", desk.account.pk)
    data = data_of(page)
    assert [cycle["number"] for cycle in data["snapshot"]["cycles"]] == [1]
    assert data["terms"]["EURUSD"] == {"contract": 100_000.0, "base": "EUR", "profit": "USD"}
    assert data["daily"][-1] == ["2026-03-02", 14.0]
    bots = re.search(r'id="bots-title".*?</section>', page, re.DOTALL)
    assert bots is not None
    assert "▲ +10.00" in bots[0]
    assert "By hand" in bots[0]
    assert "▲ +4.00" in bots[0]


def test_a_bots_page_shows_only_its_own(desk: Desk) -> None:
    page = page_of(desk.ada, "strategies/bot", desk.bot.pk)
    assert data_of(page)["daily"][-1] == ["2026-03-02", 10.0]
    assert data_of(page)["bot"] == desk.bot.pk
    assert f"bot__id__exact={desk.bot.pk}" in page
    assert "By hand" not in page


def test_other_accounts_are_not_in_it(desk: Desk) -> None:
    other = build_desk(name="Elsewhere", login=2002)
    data = data_of(page_of(desk.ada, "accounts/tradingaccount", desk.account.pk))
    assert [account["id"] for account in data["snapshot"]["accounts"]] == [desk.account.pk]
    client = Client()
    client.force_login(desk.ada)
    assert client.get(f"/admin/accounts/tradingaccount/{other.account.pk}/change/").status_code == 404


@given(st.lists(st.tuples(st.integers(0, DAYS * 24 - 1), st.integers(-10_000, 10_000)), max_size=40))
def test_days_sum_to_what_was_closed_and_none_is_missing(closed: list[tuple[int, int]]) -> None:
    now = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    trades = [
        Trade(1, n, "EURUSD", 7, 0.1, now - timedelta(hours=hours), now - timedelta(hours=hours), cents / 100)
        for n, (hours, cents) in enumerate(closed)
    ]
    days = daily_results(trades, now)
    assert [day for day, _ in days] == [f"{now - timedelta(days=back):%Y-%m-%d}" for back in range(DAYS - 1, -1, -1)]
    assert sum(result for _, result in days) == pytest.approx(sum(trade.result for trade in trades), abs=0.31)
