"""Admin of indications and pseudo positions: an account's settings, and the ranking of every symbol's sets."""

import math
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import FieldTextFilter

from accounts.admincells import NOTHING, label, link, moment
from accounts.adminkit import CLOCK, DeskAdmin, FactAdmin, ScopedRelatedFilter, display
from accounts.models import Symbol
from marketdata.indications import Kind
from strategies.models import PseudoBook, SignalSettings
from strategies.pseudo.ranking import Ranked, ranking_of

OLD = timedelta(minutes=3)
# State and word of each verdict; the others are hindrances of a bot
WORDS = {
    "traded": ("running", "traded"),
    "ready": ("running", "ready"),
    "signal": ("info", "no signal"),
    "trades": ("info", "too few"),
    "profit_factor": ("warning", "too weak"),
    "no_bot": ("info", "no bot"),
}
DIGITS_UNKNOWN = 5


@admin.register(SignalSettings)
class SignalSettingsAdmin(DeskAdmin[SignalSettings]):
    list_display = ("account", "history_days", "candle_seconds", "min_profit_factor", "min_trades")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    fieldsets = (
        (None, {"fields": ("account", "history_days", "candle_seconds")}),
        (
            "Indications",
            {
                "fields": (
                    "min_move",
                    "pullback",
                    "active_threshold_percent",
                    "active_window_seconds",
                )
            },
        ),
        (
            "Pseudo positions",
            {
                "fields": (
                    "take_profits",
                    "stop_losses",
                    "validation_seconds",
                    "cooldown_seconds",
                    "commission_pips",
                    "min_profit_factor",
                    "min_trades",
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: SignalSettings | None = None) -> tuple[str, ...]:
        return () if obj is None else ("account",)


@admin.register(PseudoBook)
class PseudoBookAdmin(FactAdmin[PseudoBook]):
    list_display = ("ranking_link", "account_link", "signal_words", "last_candle", "age")
    list_display_links = None
    list_filter = (("account", ScopedRelatedFilter), ("symbol", FieldTextFilter))
    search_fields = ("symbol", "account__name")
    list_select_related = ("account",)
    ordering = ("account__name", "symbol")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.ranking_view)
        return [path("<path:object_id>/ranking/", view, name="strategies_pseudobook_ranking"), *super().get_urls()]

    def ranking_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a symbol's sets, best first, and why each is traded or not."""
        book = self.visible_row(request, object_id)
        digits = Symbol.objects.filter(account_id=book.account_id, name=book.symbol).values_list("digits", flat=True)
        places = digits.first() or DIGITS_UNKNOWN
        point = 10.0**-places
        ranking = ranking_of(book, round(point * (10 if places in (3, 5) else 1), places))
        wanted = request.GET.get("show", "")
        rows = [row for row in ranking.rows if _shown(row, wanted)]
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Sets of {book.symbol}",
            "book": book,
            "ranking": ranking,
            "old": CLOCK.now() - ranking.at > OLD,
            "wanted": wanted,
            "choices": _choices(ranking.rows),
            "signals": [
                (name.capitalize(), _arrow(value), f"{abs(value):.2f}") for name, value in ranking.signals.items()
            ],
            "rows": [_cells(row, places) for row in rows],
            "atr": f"{ranking.atr:.{places}f}" if ranking.atr else NOTHING,
        }
        return TemplateResponse(request, "strategies/ranking.html", context)

    @display(description="Symbol", ordering="symbol")
    def ranking_link(self, book: PseudoBook) -> str:
        url = reverse("admin:strategies_pseudobook_ranking", args=(book.pk,))
        return format_html('<a class="text-link" href="{}">{}</a>', url, book.symbol)

    @display(description="Account", ordering="account__name")
    def account_link(self, book: PseudoBook) -> str:
        return link(book.account)

    @display(description="Signals")
    def signal_words(self, book: PseudoBook) -> str:
        found = [f"{_arrow(value)} {name.capitalize()}" for name, value in book.signals.items() if value]
        return ", ".join(found) or NOTHING

    @display(description="Last candle (UTC)", ordering="at")
    def last_candle(self, book: PseudoBook) -> str:
        return moment(book.at)

    @display(description="Stored (UTC)", ordering="updated_at")
    def age(self, book: PseudoBook) -> str:
        return moment(book.updated_at)


def _arrow(value: float) -> str:
    return "▲" if value > 0 else "▼" if value < 0 else NOTHING


def _shown(row: Ranked, wanted: str) -> bool:
    if wanted in {kind.label for kind in Kind}:
        return row.result.key.kind.label == wanted
    if wanted == "open":
        return row.result.open
    if wanted == "traded":
        return row.verdict.code in ("traded", "ready")
    return True


def _choices(rows: tuple[Ranked, ...]) -> list[tuple[str, str, int]]:
    names = [("", "All"), ("traded", "Traded or ready"), ("open", "Pseudo position open")]
    names += [(kind.label, kind.label.capitalize()) for kind in Kind]
    return [(key, text, sum(_shown(row, key) for row in rows)) for key, text in names]


def _cells(row: Ranked, digits: int) -> dict[str, Any]:
    result = row.result
    factor = "∞" if math.isinf(result.profit_factor) else f"{result.profit_factor:.2f}"
    position = f"{result.entry:.{digits}f}, SL {result.stop:.{digits}f}, TP {result.target:.{digits}f}"
    return {
        "rank": row.rank,
        "name": str(result.key),
        "trades": result.trades,
        "wins": f"{result.wins / result.trades:.0%}" if result.trades else NOTHING,
        "factor": factor if result.recent else NOTHING,
        "expectancy": f"{result.expectancy:+.2f}" if result.recent else NOTHING,
        "drawdown": f"{result.drawdown:.1f}" if result.recent else NOTHING,
        "position": position if result.open else NOTHING,
        "verdict": label(*WORDS.get(row.verdict.code, ("warning", "held back"))),
        "reason": row.verdict.text,
    }
