"""Overview and live page: what the server puts into them, to whom; and what their snapshot costs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from accounts.models import BrokerKind, TradingAccount, User
from brokers.catalogue import CATALOGUE
from cycles.models import Cycle
from dashboard.selectors import live_snapshot
from engine.models import EngineState
from risk.models import RiskProjection
from strategies.models import Bot, BotConfig
from tests.dashboard.desks import START, Desk, build_desk, build_process

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return build_desk()


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("address", ["admin:index", "live", "brokers"])
def test_pages_need_a_login(client: Client, address: str) -> None:
    answer = client.get(reverse(address))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


@pytest.mark.parametrize("address", ["admin:index", "live", "brokers"])
def test_who_has_no_role_sees_empty_pages(desk: Desk, address: str) -> None:
    answer = logged_in(desk.cem).get(reverse(address))
    assert answer.status_code == 200
    assert b"100100" not in answer.content
    assert b"Demo-Server" not in answer.content


@pytest.mark.requirement("S2-30", "S2-44")
def test_the_brokers_page_compares_gateways_as_their_code_says(desk: Desk) -> None:
    page = logged_in(desk.ben).get(reverse("brokers")).content.decode()
    for found in CATALOGUE:
        for text in (found.title, found.magic, found.trade_id, found.filtered_by, found.manual_trades):
            assert escape(text) in page


def test_a_snapshot_holds_accounts_bots_cycles_legs_events_and_engine(desk: Desk) -> None:
    build_process()
    found = live_snapshot(desk.ben)
    (account,) = found["accounts"]
    assert (account["name"], account["equity"], account["positions"]) == ("Demo", 10_000.75, 2)
    assert account["floating"] == pytest.approx(0.75)
    assert (account["stop_out"], account["stops"]) == (None, {})
    (cycle,) = found["cycles"]
    assert [(leg["ticket"], leg["profit"], leg["swap"]) for leg in cycle["legs"]] == [
        (100_100, 1.5, 0.0),
        (100_101, -0.5, -0.25),
    ]
    assert [bot["name"] for bot in found["bots"]] == ["Grid"]
    stop = {"stop_out_price": 1.01, "pips": 9.0, "pip": 0.0001}
    RiskProjection.objects.create(account=desk.account, at=START, data={"stop_out": 50.0, "symbols": {"EURUSD": stop}})
    (account,) = live_snapshot(desk.ben)["accounts"]
    assert (account["stop_out"], account["stops"]) == (50.0, {"EURUSD": [1.01, 0.0001]})


def test_a_snapshot_costs_the_same_number_of_queries_with_ten_times_as_much(
    desk: Desk, django_assert_max_num_queries: Any
) -> None:
    for n in range(2, 12):
        Cycle.objects.create(
            account=desk.account, bot=desk.bot, config=desk.cycle.config, number=n, symbol="EURUSD", side="sell",
            opened_at=START + timedelta(minutes=n),
        )  # fmt: skip
    with django_assert_max_num_queries(16):
        assert len(live_snapshot(desk.ada)["cycles"]) == 11


def test_an_empty_installation_is_led_to_its_first_bot(client: Client) -> None:
    root = User.objects.create_superuser("root", password="a long test password")
    client.force_login(root)

    def steps() -> list[bool]:
        return [step.done for step in client.get(reverse("admin:index")).context["steps"]]

    assert steps() == [False] * 7
    desk = build_desk()
    assert steps() == [True, False, True, False, False, False, False]
    EngineState.objects.update(examined_at=START)
    Bot.objects.update(config=BotConfig.objects.get())
    assert steps() == [True, True, True, True, False, False, False]
    page = client.get(reverse("admin:index")).content.decode()
    assert reverse("admin:backtesting_backtest_changelist") in page
    assert logged_in(desk.ben).get(reverse("admin:index")).context["steps"] == []
    Bot.objects.update(desired_state="running")
    assert steps() == [True, True, True, True, False, True, False]
    assert reverse("admin:risk_liverequest_changelist") in client.get(reverse("admin:index")).content.decode()
    # Who trades real money does not need to be led
    TradingAccount.objects.update(demo=False)
    assert steps() == []


def test_each_kind_of_account_begins_with_its_own_form(client: Client) -> None:
    root = User.objects.create_superuser("root", password="a long test password")
    client.force_login(root)
    ways = client.get(reverse("admin:index")).context["steps"][0].ways
    assert len(ways) == len(BrokerKind.choices)
    for _, address in ways:
        kind = address.partition("broker=")[2]
        page = client.get(address).content.decode()
        assert re.search(rf'<option value="{kind}"[^>]*selected', page), kind
