"""The pages of the desk inside the admin: the overview, and everything live."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from accounts.adminkit import person
from accounts.equity import equity_lines
from accounts.models import User
from accounts.permissions import accounts_of, can_anywhere, is_superuser
from brokers.catalogue import CATALOGUE, comparison
from core.clock import Clock, SystemClock
from dashboard.firststeps import first_steps
from dashboard.selectors import live_snapshot
from engine.api import PerformanceSerializer
from engine.retention import last_retention, table_sizes
from engine.selectors import engine_performance
from events.live import encode
from reconciliation.selectors import open_counts

CLOCK: Clock = SystemClock()
LINKED = {
    "account": "accounts_tradingaccount",
    "bot": "strategies_bot",
    "cycle": "cycles_cycle",
    "order": "orders_order",
}


def page_data(request: HttpRequest) -> dict[str, Any]:
    """Return what a page's script starts with: the snapshot, and where things are. Cleaned of what JSON lacks."""
    import json

    assert isinstance(request.user, User)
    snapshot = {"type": "snapshot", "server_time": CLOCK.now().isoformat(), "epoch": 0, **live_snapshot(request.user)}
    cleaned: dict[str, Any] = json.loads(encode(snapshot))
    return {"socket": "/ws/live/", "login": reverse("admin:login"), "links": links(), "snapshot": cleaned}


def links() -> dict[str, str]:
    """Return the address of each kind of row's page, with 0 in place of the key."""
    found = {}
    for kind, name in LINKED.items():
        try:
            found[kind] = reverse(f"admin:{name}_change", args=(0,))
        except NoReverseMatch:
            continue
    return found


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Show accounts, open cycles, events and engine, all moving."""
    context = {**admin.site.each_context(request), "title": "Live", "live": page_data(request)}
    return TemplateResponse(request, "dashboard/live.html", context)


@require_safe
def brokers(request: HttpRequest) -> HttpResponse:
    """Compare what the brokers' gateways can do, as their code says it (S2)."""
    titles = [found.title for found in CATALOGUE]
    context = {**admin.site.each_context(request), "title": "Brokers", "titles": titles, "rows": comparison()}
    return TemplateResponse(request, "dashboard/brokers.html", context)


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill the admin's index, which is the overview."""
    data = page_data(request)
    snapshot = data["snapshot"]
    ids = [account["id"] for account in snapshot["accounts"]]
    data["equity"] = [
        {"account": account, "points": [[int(p.at.timestamp() * 1000), float(p.equity)] for p in line]}
        for account, line in equity_lines(ids, until=CLOCK.now()).items()
    ]
    who = person(request)
    steps = first_steps(who)
    return {
        **context,
        "title": "Overview",
        "live": data,
        "has_accounts": bool(ids),
        "steps": steps,
        "steps_done": sum(step.done for step in steps),
        "trades": any(bot["desired_state"] == "running" for bot in snapshot["bots"]),
        "may_kill": bool(ids) and (is_superuser(who) or can_anywhere(who, "trader")),
        "divergences": open_counts(accounts_of(who))["open"],
    }


@require_safe
def engine(request: HttpRequest) -> HttpResponse:
    """Show how the engine is: its parts, accounts, durations, hosts. The page asks the API for newer figures."""
    found = engine_performance(request.user, at=CLOCK.now())
    data = {
        "performance": PerformanceSerializer(found).data,
        "url": reverse("trade-engine-performance"),
        "login": reverse("admin:login"),
        "account": reverse("admin:accounts_tradingaccount_change", args=(0,)),
    }
    context = {**admin.site.each_context(request), "title": "Engine", "engine": data}
    if is_superuser(request.user):
        context |= {"retention": last_retention(), "tables": table_sizes()}
    return TemplateResponse(request, "dashboard/engine.html", context)
