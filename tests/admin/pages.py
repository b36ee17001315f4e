"""Every page of the site that a person may open: read from the addresses, with the seeded rows filled in."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

HISTORY_OF = {"accounts/tradingaccount", "strategies/bot"}
# Answers that are no page: what Django asks for itself, and addresses that a test of their own opens
NOT_OPENED = ("admin/jsi18n/", "admin/logout/", "admin/r/", "admin/autocomplete/", "admin/login/", "admin/search/")


def patterns(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """Give the routes below /admin/ that are written as such, not as a regular expression."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        elif isinstance(entry.pattern, RoutePattern) and route.startswith("admin/"):
            yield route


def addresses() -> list[str]:
    """Return the address of each route, arguments taken from the first row of the model that it is about."""
    found = []
    for route in dict.fromkeys(patterns()):
        if route.startswith(NOT_OPENED):
            continue
        about = "/".join(route.split("/")[1:3])
        if route.endswith("/history/") and about not in HISTORY_OF:
            continue  # one template, filled from one table
        if "<" not in route:
            found.append("/" + route)
        elif (key := _key_of(route)) is not None:
            head, tail = route.split("<", 1)
            found.append(f"/{head}{key}{tail.split('>', 1)[1]}")
    return [address for address in found if "<" not in address]


def _key_of(route: str) -> str | None:
    """Return the key of a seeded row that a route with one argument can be about; None for a route of no model."""
    app, name = route.split("/")[1:3]
    try:
        model = apps.get_model(app, name)
    except LookupError:
        return None
    row = model._default_manager.order_by("pk").first() if model in admin.site._registry else None
    return None if row is None else str(row.pk)


def pages(client: Client) -> list[str]:
    """Return the addresses that answer a GET with a whole page; what gives a fragment, file or dialog has own tests."""
    return [address for address in addresses() if _is_page(client.get(address))]


def _is_page(answer: Any) -> bool:
    is_html = answer.status_code == 200 and "text/html" in answer.headers.get("Content-Type", "")
    return is_html and b"<html" in answer.content
