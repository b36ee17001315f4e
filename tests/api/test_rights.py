"""Who may do what through the API: every route, every kind of person, every scope."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.adminkit import CLOCK
from accounts.models import ApiToken, TradingAccount
from accounts.tokens import revoke_token
from strategies.models import Bot
from tests.admin.conftest import Desk
from tests.api.conftest import Api, token_of

Ask = Callable[..., Api]
WITHOUT_ROWS = {"strategies", "trade-engine/status", "trade-engine/performance", "schema/", "docs/", ""}


def routes() -> Iterator[str]:
    """Give every route of the API as the resolver knows it, relative to /api/."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[str]:
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, path)
            elif isinstance(pattern, URLPattern):
                yield re.sub(r"[\^$]|\\Z", "", path)

    for path in walk(get_resolver().url_patterns, ""):
        if path.startswith("api/"):
            yield path.removeprefix("api/")


READS = sorted(r for r in routes() if "(?P" not in r and not re.search(r"trade-engine/(start|stop|pause|resume)", r))
LISTS = [r for r in READS if r not in WITHOUT_ROWS]
DETAILS = sorted(r for r in routes() if r.endswith("(?P<pk>[0-9]{1,18})"))
WRITES = ["trade-engine/start", "trade-engine/stop", "trade-engine/pause", "trade-engine/resume"]


def rows(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def test_the_routes_are_found() -> None:
    assert len(LISTS) >= 11
    assert len(DETAILS) == len(LISTS)


@pytest.mark.parametrize("route", READS)
def test_nobody_reads_without_a_login(route: str, api: Ask) -> None:
    answer = api(None).get(route)
    assert answer.status_code == 401
    if answer.headers["Content-Type"] == "application/json":
        assert answer.json()["error"]["code"] == "not_authenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.requirement("S1-70")
@pytest.mark.parametrize("route", LISTS)
def test_a_list_holds_rows_of_own_accounts_only(route: str, api: Ask, desk: Desk) -> None:
    everything, ben, cem = (rows(api(name, "read").get(route)) for name in ("root", "ben", "cem"))
    assert ben
    assert cem
    ids = {row["id"] for row in ben}
    assert not ids & {row["id"] for row in cem}
    assert ids < {row["id"] for row in everything}
    if "account" in ben[0]:
        assert {row["account"] for row in ben} == {desk.account.pk}


@pytest.mark.parametrize("route", DETAILS)
def test_a_foreign_row_does_not_exist(route: str, api: Ask) -> None:
    base = route.partition("(")[0]
    (foreign, *_) = rows(api("cem").get(base.rstrip("/")))
    (own, *_) = rows(api("ben").get(base.rstrip("/")))
    asked = api("ben")
    assert asked.get(f"{base}{own['id']}").json()["id"] == own["id"]
    answer, missing = asked.get(f"{base}{foreign['id']}"), asked.get(f"{base}999999999")
    assert (answer.status_code, answer.json()) == (missing.status_code, missing.json())
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    for odd in ("0", "abc", "999999999999999999999", "-1", "%00"):
        assert asked.get(f"{base}{odd}").status_code == 404, odd


@pytest.mark.parametrize("route", WRITES)
@pytest.mark.parametrize(
    ("name", "scope", "status"),
    [
        (None, "", 401), ("ben", "control", 403), ("ada", "read", 403), ("ada", "propose", 403),
        ("ada", "control", 202), ("mia", "control", 202), ("root", "control", 202), ("cem", "control", 404),
    ],
)  # fmt: skip
def test_only_traders_with_the_scope_steer_the_engine(
    route: str, name: str | None, scope: str, status: int, api: Ask, desk: Desk
) -> None:
    before = TradingAccount.objects.values_list("desired_state").get(pk=desk.account.pk)
    asked = api(name, scope) if name else api(None)
    assert asked.post(route, {"account": desk.account.pk}).status_code == status
    if status != 202:
        assert TradingAccount.objects.values_list("desired_state").get(pk=desk.account.pk) == before


@pytest.mark.parametrize(("name", "status"), [("ben", 403), ("cem", 404), ("ada", 202)])
def test_only_traders_of_the_account_start_a_bot(name: str, status: int, api: Ask, desk: Desk) -> None:
    for step, state in (("start", "running"), ("pause", "paused"), ("stop", "stopped")):
        assert api(name).post(f"bots/{desk.bot.pk}/{step}").status_code == status
        assert (Bot.objects.get(pk=desk.bot.pk).desired_state == state) == (status == 202 or state == "stopped")


def test_a_token_ends_by_time_by_hand_and_with_its_person(api: Ask, desk: Desk) -> None:
    assert api("ada").get("accounts").status_code == 200
    assert api("ada", now=CLOCK.now() - timedelta(days=2)).get("accounts").status_code == 401
    token, text = token_of(desk, "ada")
    asked = Api(Authorization=f"Bearer {text}")
    assert asked.get("accounts").status_code == 200
    assert revoke_token(token=token, at=CLOCK.now())
    assert asked.get("accounts").status_code == 401
    asked = api("ada")
    desk.people["ada"].is_active = False
    desk.people["ada"].save()
    assert asked.get("accounts").status_code == 401


def test_a_token_is_kept_as_a_digest_and_its_use_is_noted(desk: Desk) -> None:
    token, text = token_of(desk, "ada", "read")
    secret = text.rpartition("_")[2]
    assert secret not in str(ApiToken.objects.values().get(pk=token.pk))
    Api(Authorization=f"Bearer {text}").get("accounts")
    assert ApiToken.objects.get(pk=token.pk).last_used_at is not None
    for wrong in (text[:-1] + ("A" if text[-1] != "A" else "B"), text.replace(token.prefix, "0" * 10), "", "x y", "é"):
        assert Api(Authorization=f"Bearer {wrong}").get("accounts").status_code == 401


def test_a_token_is_for_its_networks_only(api: Ask) -> None:
    assert api("ada", networks=["127.0.0.0/8"]).get("accounts").status_code == 200
    assert api("ada", networks=["10.0.0.0/8", "2001:db8::/32"]).get("accounts").status_code == 401


def test_a_session_needs_the_csrf_token_to_change_something(desk: Desk) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(desk.people["ada"])
    assert client.get("/api/accounts").status_code == 200
    for route in WRITES:
        answer = client.post(f"/api/{route}", {}, "application/json", headers={"Idempotency-Key": "12345678"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_no_answer_holds_a_secret(api: Ask, desk: Desk) -> None:
    for route in READS:
        text = api("root").get(route).content.decode()
        assert "broker-secret-1" not in text
        assert "_encrypted" not in text


def test_a_token_is_made_and_revoked_on_its_page(desk: Desk) -> None:
    client = Client()
    client.force_login(desk.people["ben"])
    page = "/admin/accounts/apitoken/"
    fields = {"name": "robot", "scope": "read", "days": "30", "networks": "", "_form_submitted": "1"}
    fields["own_password"] = "correct horse"
    assert client.post(f"{page}make/", fields).status_code == 200
    shown = client.get(page).content.decode()
    text = re.search(r"td_\w{10}_[\w-]{43}", shown)
    assert text is not None
    assert text[0] not in client.get(page).content.decode(), "shown once"
    assert Api(Authorization=f"Bearer {text[0]}").get("accounts").status_code == 200
    token = ApiToken.objects.get(user=desk.people["ben"])
    stranger = Client()
    stranger.force_login(desk.people["cem"])
    assert stranger.get(f"{page}{token.pk}/change/").status_code == 404
    assert client.post(f"{page}{token.pk}/revoke/", {"_form_submitted": "1"}).status_code == 200
    assert Api(Authorization=f"Bearer {text[0]}").get("accounts").status_code == 401
