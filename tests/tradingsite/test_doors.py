"""Every address of the site: what a page of another site, an outsider and a stranger's socket can do with it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

from accounts.models import User
from tradingsite.asgi import application
from tradingsite.envvalues import admin_networks

ROOT = Path(__file__).resolve().parent.parent.parent
UNSAFE = ("post", "put", "patch", "delete")
# What answers a person without a log-in, and gives nothing away
LEADING_ON = {"/"}
OPEN = {"healthz", "readyz", "login", "logout", "jsi18n"}


def routes(resolver: Any = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Give the address of every view, with a number or a word where it takes one."""
    for entry in (resolver or get_resolver()).url_patterns:
        part = str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, before + part)
        elif isinstance(entry, URLPattern):
            yield "/" + concrete(before + part), entry


def concrete(pattern: str) -> str:
    """Fill in what a pattern leaves open."""
    text = re.sub(r"<int:[^>]+>|<path:[^>]+>|<str:pk>", "1", pattern)
    text = re.sub(r"\(\?P<format>[^)]*\)\??|\(\?P<[^>]+>[^)]*\)\)?", "json", text)
    text = re.sub(r"<[^>]+>", "x", text)
    return re.sub(r"[\^$?\\]", "", text).replace("//", "/")


ROUTES = sorted({(address, entry.name or "") for address, entry in routes()})


def test_there_are_routes_to_walk() -> None:
    assert len(ROUTES) > 80


@pytest.mark.django_db
def test_no_unsafe_route_works_without_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    passed = []
    for address, _ in ROUTES:
        for method in UNSAFE:
            status = getattr(client, method)(address, "{}", content_type="application/json").status_code
            if status not in (401, 403, 404, 405) and address not in LEADING_ON:
                passed.append((method, address, status))
    assert passed == []


@pytest.mark.django_db
def test_nothing_is_open_to_who_is_not_logged_in() -> None:
    client, open_to_all = Client(), []
    for address, name in ROUTES:
        answer = client.get(address)
        assert answer.status_code < 500, address
        if answer.status_code == 200 and name not in OPEN:
            open_to_all.append(address)
    assert open_to_all == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status"),
    [("203.0.113.9", 404), ("10.0.0.7", 200), ("127.0.0.1", 200), ("::ffff:10.1.1.1", 200), ("x", 404)],
)
def test_in_production_the_admin_does_not_exist_on_public_addresses(address: str, status: int, settings: Any) -> None:
    settings.ADMIN_NETWORKS = admin_networks(None, is_production=True)
    answer = Client(REMOTE_ADDR=address).get("/admin/login/")
    assert answer.status_code == status
    assert Client(REMOTE_ADDR=address).get("/healthz").status_code == 200
    settings.ADMIN_NETWORKS = admin_networks(("203.0.113.0/24",), is_production=True)
    assert Client(REMOTE_ADDR="203.0.113.9").get("/admin/login/").status_code == 200
    assert Client(REMOTE_ADDR="192.168.0.2").get("/admin/login/").status_code == 404


async def is_admitted(origin: bytes) -> bool:
    socket = WebsocketCommunicator(application, "/ws/live/", headers=[(b"origin", origin), (b"host", b"localhost")])
    accepted, _ = await socket.connect()
    await socket.disconnect()
    return bool(accepted)


@pytest.mark.django_db(transaction=True)
async def test_a_page_of_another_site_opens_no_socket() -> None:
    assert await is_admitted(b"http://localhost")
    for origin in (b"https://evil.example", b"null", b"http://localhost.evil.example", b""):
        assert not await is_admitted(origin), origin


def test_the_tests_that_the_threat_model_names_exist() -> None:
    text = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 15
    for file, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test


def test_the_walk_meets_views_of_every_kind() -> None:
    views = {entry.callback.__module__ for _, entry in routes()}
    assert {RedirectView.__module__, SpectacularAPIView.__module__, "accounts.views", "dashboard.views"} & views
