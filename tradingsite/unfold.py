"""How the admin looks: titles, the badge that says which money is at stake, and the navigation."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def environment_badge(request: HttpRequest) -> tuple[str, str]:
    """Give the badge's text and colour: LIVE in red as soon as one account trades real money."""
    from django.apps import apps
    from django.db import DatabaseError

    del request
    try:
        live = apps.get_model("accounts", "TradingAccount").objects.filter(demo=False).exists()
    except (LookupError, DatabaseError):
        return "UNKNOWN", "warning"
    return ("LIVE", "danger") if live else ("DEMO", "info")


def unfold_settings() -> dict[str, Any]:
    """Give the UNFOLD setting."""
    return {
        "SITE_TITLE": "Trading desk",
        "SITE_HEADER": "Trading desk",
        "SITE_SYMBOL": "candlestick_chart",
        "SITE_URL": "/admin/",
        "SITE_FAVICONS": [
            {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("dashboard/icon.svg")}
        ],
        "SCRIPTS": [
            lambda request: static("reconciliation/count.js"),
            lambda request: static("dashboard/keys.js"),
        ],
        "STYLES": [lambda request: static("dashboard/keys.css")],
        "SHOW_HISTORY": True,
        "SHOW_VIEW_ON_SITE": False,
        "ENVIRONMENT": "tradingsite.unfold.environment_badge",
        "DASHBOARD_CALLBACK": "dashboard.views.dashboard_callback",
        "COMMAND": {"search_models": True, "search_callback": "dashboard.navigation.search"},
        "ACCOUNT": {
            "navigation": [
                {"title": "Your security", "link": reverse_lazy("security")},
                {"title": "Keyboard (?)", "link": "#keys"},
            ]
        },
        "SIDEBAR": {
            "show_search": True,
            "command_search": True,
            "show_all_applications": False,
            "navigation": "dashboard.navigation.sidebar",
        },
    }
