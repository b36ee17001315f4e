"""The sidebar: what a person may see, in the order in which a trader asks for it."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from unfold.dataclasses import SearchResult

from reconciliation.admin.desk import waiting_count

# (title, symbol, name of the address)
SECTIONS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Operate",
        (
            ("Overview", "monitoring", "admin:index"),
            ("Live", "bolt", "live"),
            ("Chart", "waterfall_chart", "chart"),
            ("Bots", "smart_toy", "strategies_bot"),
            ("Cycles", "cycle", "cycles_cycle"),
            ("Orders", "candlestick_chart", "orders_order"),
            ("Sets", "leaderboard", "strategies_pseudobook"),
            ("Divergences", "rule", "reconciliation_divergence"),
            ("Manual positions", "back_hand", "reconciliation_manualposition"),
            ("Claims", "family_restroom", "reconciliation_claim"),
            ("Accounts", "account_balance", "accounts_tradingaccount"),
            ("Statistics", "query_stats", "statistics"),
            ("Backtests", "science", "backtesting_backtest"),
            ("Parity", "balance", "backtesting_parityreport"),
        ),
    ),
    (
        "Risk",
        (
            ("Alarms", "notifications_active", "risk_guardalarm"),
            ("Signals", "podcasts", "signals_signal"),
            ("Signal sources", "sensors", "signals_signalsource"),
            ("Copies", "content_copy", "copying_copy"),
            ("Copy subscriptions", "sync_alt", "copying_subscription"),
            ("Kill switch", "dangerous", "risk_killswitch"),
            ("Guards", "shield", "risk_guardconfig"),
            ("Blocks", "block", "risk_block"),
            ("Worst case", "query_stats", "risk_riskprojection"),
            ("Signal settings", "tune", "strategies_signalsettings"),
            ("Peaks", "landscape", "risk_equitypeak"),
            ("Days", "today", "risk_daystart"),
            ("Going live", "rocket_launch", "risk_liverequest"),
            ("News", "newspaper", "risk_newsevent"),
        ),
    ),
    (
        "Records",
        (
            ("Intents", "outgoing_mail", "orders_orderintent"),
            ("Not sent", "block", "orders_notsent"),
            ("Deals", "receipt_long", "orders_deal"),
            ("Events", "history", "events_event"),
            ("Audit", "policy", "events_auditentry"),
            ("Exports", "download", "exports_export"),
            ("News sent", "outgoing_mail", "notifications_delivery"),
            ("News targets", "add_alert", "notifications_target"),
            ("Snapshots", "photo_camera", "accounts_accountsnapshot"),
            ("Compared books", "difference", "reconciliation_booksnapshot"),
            ("Settled by people", "checklist", "reconciliation_divergencestep"),
        ),
    ),
    (
        "Engine",
        (
            ("Health", "ecg_heart", "engine-room"),
            ("State", "monitor_heart", "engine_enginestate"),
            ("Processes", "memory", "engine_engineprocess"),
            ("Hosts", "dns", "engine_enginehost"),
            ("Leases", "key", "engine_lease"),
            ("Commands", "terminal", "events_command"),
            ("Checks", "fact_check", "reconciliation_accountcheck"),
            ("Policies", "gavel", "reconciliation_policyrule"),
            ("Thresholds", "straighten", "reconciliation_thresholdrule"),
            ("Symbols", "currency_exchange", "accounts_symbol"),
            ("Brokers", "hub", "brokers"),
        ),
    ),
    (
        "People",
        (
            ("Users", "person", "accounts_user"),
            ("Roles", "badge", "accounts_accountrole"),
            ("Sessions", "devices", "accounts_loginsession"),
            ("API tokens", "key", "accounts_apitoken"),
            ("Telegram chats", "chat", "telegram_chat"),
        ),
    ),
)

FIXED = ("engine-room", "admin:index", "live", "chart", "statistics", "brokers")

# What stands beside an entry, by name of its address
BADGES: Mapping[str, Callable[[HttpRequest], str]] = {"reconciliation_divergence": waiting_count}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return Unfold's navigation: the pages that exist and that the person may open; empty sections are left out."""
    sections: list[dict[str, Any]] = []
    for title, entries in SECTIONS:
        items = [item for entry in entries if (item := _item(request, *entry)) is not None]
        if items:
            sections.append({"title": title, "separator": bool(sections), "items": items})
    return sections


def search(request: HttpRequest, search_term: str) -> list[SearchResult]:
    """Find pages of the sidebar for the command palette, which by itself knows only models."""
    wanted = search_term.strip().lower()
    return [
        SearchResult(title=str(item["title"]), description=str(section["title"]), link=item["link"], icon=item["icon"])
        for section in sidebar(request)
        for item in section["items"]
        if wanted and wanted in str(item["title"]).lower()
    ]


def _item(request: HttpRequest, title: str, icon: str, name: str) -> dict[str, Any] | None:
    fixed = name in FIXED
    if not fixed and not _may_see(request, name):
        return None
    try:
        link = reverse(name if fixed else f"admin:{name}_changelist")
    except NoReverseMatch:
        return None
    active = request.path == link or (name != "admin:index" and request.path.startswith(link))
    item = {"title": title, "icon": icon, "link": link, "active": active}
    if name in BADGES:
        item |= {"badge": BADGES[name](request), "badge_variant": "warning"}
    return item


def _may_see(request: HttpRequest, name: str) -> bool:
    """Ask the model's own admin; a model without one has no page."""
    for model, model_admin in admin.site._registry.items():
        if f"{model._meta.app_label}_{model._meta.model_name}" == name:
            return bool(model_admin.has_view_permission(request))
    return False
