"""The chart: whose symbols it shows, what it draws, and how the engine is asked for bars."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from core.clock import VirtualClock
from dashboard import charts
from events.models import Command
from marketdata.bars import kept_bars
from tests.dashboard.desks import START, Desk, build_desk
from tests.world import World

pytestmark = pytest.mark.django_db
URL = "/admin/chart/"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: Any) -> Desk:
    monkeypatch.setattr(charts, "CLOCK", VirtualClock(START))
    settings.VAR_DIR = tmp_path
    return build_desk()


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_chart_is_shown_to_who_may_see_the_account(desk: Desk) -> None:
    page = client_of(desk.ben).get(URL)
    assert page.context["asked"].symbol == "EURUSD"
    assert page.context["chart"]["digits"] == 5
    assert "No bars of EURUSD here yet" in page.content.decode()
    stranger = client_of(desk.cem)
    assert "nothing to draw" in stranger.get(URL).content.decode()
    query: dict[str, str | int] = {"account": desk.account.pk, "symbol": "EURUSD"}
    for url in (URL, f"{URL}bars/"):
        assert stranger.get(url, query).status_code == 404
    assert stranger.post(f"{URL}fetch/", query).status_code == 404
    assert Command.objects.count() == 0


@pytest.mark.parametrize("query", ["account=x", "account=99999999", "symbol=NONE", "seconds=7", "seconds=x"])
def test_what_an_address_names_must_exist(desk: Desk, query: str) -> None:
    assert client_of(desk.ben).get(f"{URL}?account={desk.account.pk}&{query}").status_code == 404


def test_bars_are_asked_for_once_while_they_are_waited_for(desk: Desk) -> None:
    client = client_of(desk.ben)
    query: dict[str, str | int] = {"account": desk.account.pk, "symbol": "EURUSD", "seconds": 300}
    assert client.get(f"{URL}fetch/", query).status_code == 405
    assert [client.post(f"{URL}fetch/", query).json()["asked"] for _ in range(2)] == [True, False]
    (command,) = Command.objects.all()
    assert (command.kind, command.args) == ("candles", {"symbol": "EURUSD", "seconds": 300})


def test_the_engine_keeps_the_bars_and_the_chart_shows_them_with_the_fills(world: World) -> None:
    world.bot()
    world.run(5)
    client = client_of(world.ben)
    query: dict[str, str | int] = {"account": world.account.pk, "symbol": "EURUSD"}
    assert client.post(f"{URL}fetch/", query).json() == {"asked": True}
    world.run(70)
    client.post(f"{URL}fetch/", query)
    world.run(5)
    assert set(Command.objects.filter(kind="candles").values_list("state", flat=True)) == {"done"}
    bars = kept_bars("Sim-Server", "EURUSD", 60)
    assert datetime.fromtimestamp(bars[-1][0], UTC) <= world.clock.now() - timedelta(seconds=60)
    assert bars[-1][1:] == [1.1, 1.1, 1.1, 1.1]
    shown = client.get(f"{URL}bars/", query).json()
    assert shown["bars"] == bars
    assert [(fill["kind"], fill["side"], fill["lots"]) for fill in shown["fills"]] == [("entry", "buy", 0.1)]


def test_a_length_that_no_chart_has_is_refused(world: World) -> None:
    from events.services import ask

    ask(account_id=world.account.pk, kind="candles", args={"symbol": "EURUSD", "seconds": 7}, by=None, at=START)
    world.run(2)
    command = Command.objects.get(kind="candles")
    assert command.state == "failed"
    assert "seconds: give one of 60, 300" in command.result
