"""Every page of every model, by every kind of person."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import AppDevice, RecoveryDevice
from exports.models import Export, ExportPart
from notifications.models import Delivery, Target
from reconciliation.models import SavedFilter
from telegram.models import Bookmark, Chat, Pending
from tests.admin.conftest import Desk

OURS = (
    "accounts", "strategies", "orders", "cycles", "risk", "engine", "events", "reconciliation", "backtesting",
    "signals", "notifications", "exports", "telegram", "copying",
)  # fmt: skip
# A person's saved filters stand on the desk, second factors on the page of their own security, a file in its export;
# what a chat is about to do is gone within a minute
NO_PAGES = (SavedFilter, AppDevice, RecoveryDevice, ExportPart, Pending, Bookmark)
MODELS = sorted((m for m in apps.get_models() if m._meta.app_label in OURS and m not in NO_PAGES), key=str)
FACTS = {
    "deal",
    "event",
    "accountsnapshot",
    "serveroffset",
    "intenthistory",
    "orderintent",
    "order",
    "lease",
    "accountmarks",
    "botconfig",
    "cycle",
    "command",
    "guardalarm",
    "guardconfig",
    "killswitch",
    "equitypeak",
    "daystart",
    "liverequest",
    "riskprojection",
    "booksnapshot",
    "claim",
    "divergence",
    "divergencestep",
    "manualposition",
    "newsevent",
    "notsent",
    "parityreport",
    "signal",
    "signalsource",
    "subscription",
    "copy",
    "target",
    "delivery",
}
OF_NO_ACCOUNT = {
    "loginsession",
    "user",
    "group",
    "engineprocess",
    "enginehost",
    "apitoken",
    "apirequest",
    "newsevent",
    "target",
    "delivery",
    "export",
    "chat",
}
# Rows of people, who see their own
OWN = {"apitoken", "target", "delivery", "export", "chat"}


def url(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def named(model: type[Model]) -> str:
    return str(model._meta.model_name)


@pytest.mark.requirement("S1-10", "S1-11", "S1-12", "S1-13", "S1-15", "S1-16", "S1-17", "S1-18")
@pytest.mark.parametrize("model", MODELS, ids=named)
def test_every_model_has_a_list_and_a_page(model: type[Model], desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("root")
    row = model._default_manager.first()
    assert row is not None, "the fixture has a row of every model"
    assert client.get(url(model, "changelist")).status_code == 200
    assert client.get(url(model, "changelist"), {"q": "a1'\"%_"}).status_code == 200
    assert client.get(url(model, "change", row.pk)).status_code == 200
    assert client.get(url(model, "history", row.pk)).status_code == 200
    for page in (client.get(url(model, "changelist")), client.get(url(model, "change", row.pk))):
        for mark in ("&lt;span", "&lt;div", "(&#x27;"):
            assert mark not in page.content.decode(), f"{mark}: markup, or a value of Python, is shown as text"


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_lists_take_a_bounded_number_of_queries(
    model: type[Model], desk: Desk, as_: Callable[..., Client], django_assert_max_num_queries: Any
) -> None:
    client = as_("root")
    client.get(url(model, "changelist"))
    with django_assert_max_num_queries(17):
        client.get(url(model, "changelist"))


@pytest.mark.parametrize("model", [m for m in MODELS if named(m) in FACTS], ids=named)
def test_facts_are_read_only_even_for_superusers(model: type[Model], desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("root")
    row = model._default_manager.first()
    assert row is not None
    assert client.get(url(model, "add")).status_code == 403
    assert client.post(url(model, "add"), {}).status_code == 403
    assert client.post(url(model, "change", row.pk), {}).status_code == 403
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in client.get(url(model, "change", row.pk)).content.decode()


@pytest.mark.requirement("S1-05")
@pytest.mark.parametrize("model", [m for m in MODELS if named(m) not in OF_NO_ACCOUNT], ids=named)
def test_rows_of_other_accounts_do_not_exist(model: type[Model], desk: Desk, as_: Callable[..., Client]) -> None:
    registered = admin.site._registry[model]
    path = registered.account_path  # type: ignore[attr-defined]
    lookup = {"pk": desk.account.pk} if path == "pk" else {path: desk.account}
    mine = model._default_manager.filter(**lookup).first()
    foreign = model._default_manager.exclude(**lookup).first()
    assert mine is not None
    assert foreign is not None
    for name in ("ben", "ada", "mia"):
        client = as_(name)
        assert client.get(url(model, "change", mine.pk)).status_code == 200
        for page in ("change", "history"):
            assert client.get(url(model, page, foreign.pk)).status_code == 404, page
        assert client.post(url(model, "change", foreign.pk), {}).status_code in (403, 404)
        listed = client.get(url(model, "changelist")).context["cl"].queryset
        assert set(listed) == set(model._default_manager.filter(**lookup))


@pytest.mark.parametrize("model", [Target, Delivery, Export, Chat], ids=named)
def test_rows_of_people_are_seen_by_them_and_superusers(
    model: type[Model], desk: Desk, as_: Callable[..., Client]
) -> None:
    path = "target__user" if model is Delivery else "user"
    for name in ("ben", "cem"):
        (mine,) = model._default_manager.filter(**{path: desk.people[name]})
        (foreign,) = model._default_manager.exclude(**{path: desk.people[name]})
        client = as_(name)
        assert list(client.get(url(model, "changelist")).context["cl"].queryset) == [mine]
        for page in ("change", "history"):
            assert client.get(url(model, page, mine.pk)).status_code == 200
            assert client.get(url(model, page, foreign.pk)).status_code == 404
            assert as_("root").get(url(model, page, foreign.pk)).status_code == 200


@pytest.mark.parametrize("model", [m for m in MODELS if named(m) in OF_NO_ACCOUNT - OWN], ids=named)
def test_people_and_processes_are_for_superusers(model: type[Model], desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("mia")
    assert client.get(url(model, "changelist")).status_code == 403
    assert client.get(url(model, "add")).status_code == 403


@pytest.mark.parametrize("model", [m for m in MODELS if named(m) not in OF_NO_ACCOUNT], ids=named)
def test_a_viewer_changes_nothing(model: type[Model], desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("ben")
    path = admin.site._registry[model].account_path  # type: ignore[attr-defined]
    row = model._default_manager.filter(**({"pk": desk.account.pk} if path == "pk" else {path: desk.account})).first()
    assert row is not None
    page = client.get(url(model, "change", row.pk))
    assert 'name="_save"' not in page.content.decode()
    assert client.post(url(model, "change", row.pk), {"name": "x"}).status_code == 403
    assert client.get(url(model, "add")).status_code == 403
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_who_has_no_role_sees_an_empty_admin(desk: Desk) -> None:
    from tests.admin.conftest import make_person

    client = Client()
    client.force_login(make_person("eve"))
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(reverse("admin:orders_order_changelist")).status_code == 403


def test_filters_offer_only_own_accounts_and_bots(desk: Desk, as_: Callable[..., Client]) -> None:
    text = as_("ada").get(reverse("admin:orders_order_changelist")).content.decode()
    assert "Elsewhere" not in text
    assert "Foreign" not in text


@pytest.mark.requirement("S1-72")
def test_lists_say_demo_or_live(desk: Desk, as_: Callable[..., Client]) -> None:
    for page in ("accounts_tradingaccount", "strategies_bot"):
        text = as_("root").get(reverse(f"admin:{page}_changelist")).content.decode()
        assert "DEMO" in text
        assert "LIVE" in text


def test_the_cycle_page_shows_legs_and_timeline(desk: Desk, as_: Callable[..., Client]) -> None:
    text = as_("ben").get(reverse("admin:cycles_cycle_change", args=(desk.cycle.pk,))).content.decode()
    assert f"#{desk.order.ticket}" in text
    assert "▲ +12.30" in text
    assert "sent → filled" in text
    assert "CYCLE_OPENED" in text


def test_the_intent_page_shows_history_and_trace(desk: Desk, as_: Callable[..., Client]) -> None:
    text = as_("ben").get(reverse("admin:orders_orderintent_change", args=(desk.intent.pk,))).content.decode()
    assert "level 3 at 1.08421" in text
    assert "10009" in text
    assert "decided" in text


def test_odd_addresses_are_not_found_and_never_an_error(desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("root")
    for odd in ("0", "-1", "abc", "99999999999999999999999", "1.5", "%00", "1%00"):
        assert client.get(f"/admin/strategies/bot/{odd}/change/").status_code == 404, odd
        assert client.get(f"/admin/strategies/bot/{odd}/config/").status_code == 404, odd
        assert client.get(f"/admin/strategies/bot/{odd}/start/").status_code == 404, odd
    odd_queries = ("?q=%00", "?account__id__exact=abc", "?account__id__exact=99999999999999999999", "?o=x", "?p=-1")
    for query in (*odd_queries, "?at__gte=x", "?status__exact=%00", "?profit_from=x", "?opened_at_from_0=%00"):
        assert client.get(f"/admin/orders/order/{query}").status_code in (200, 302), query
