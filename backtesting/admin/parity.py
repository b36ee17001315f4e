"""Admin of the parity meter: a bot's day beside its replay, and what the difference comes from."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import BooleanRadioFilter, RangeDateFilter

from accounts.admincells import NOTHING, STATES, amount, link, money
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from backtesting.models import ParityReport
from backtesting.parity.domain import Cause

WHY = {
    Cause.SPREAD: "It was wider or narrower when live decided than when the replay did.",
    Cause.SLIPPAGE: "The fill was not at the price of the moment at which the order was sent.",
    Cause.LATENCY: "The price moved between the decision and the send.",
    Cause.MISSED_TICK: "The broker's candles have a price that the session never saw, or saw later.",
    Cause.GUARD: "Entries were held back, or a guard closed.",
    Cause.GAP: "Nobody looked: the engine was down, or had no connection.",
    Cause.OTHER: "Swap, commission, closing by hand, rounding, and what nothing else explains.",
}


@admin.register(ParityReport)
class ParityAdmin(FactAdmin[ParityReport]):
    account_path = "bot__account"
    list_display = (
        "day_shown", "bot_link", "account_link", "money_kind", "state", "legs", "live", "replayed", "drifted", "mostly",
    )  # fmt: skip
    list_display_links = ("day_shown",)
    list_filter = (
        ("bot", ScopedRelatedFilter),
        ("bot__account", ScopedRelatedFilter),
        ("day", RangeDateFilter),
        ("is_over", BooleanRadioFilter),
    )
    search_fields = ("bot__name", "note")
    list_select_related = ("bot__account", "config")
    ordering = ("-day", "bot__name")
    list_before_template = "backtesting/parity_list.html"
    change_form_template = "backtesting/parity.html"
    fields = ("note",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("rows")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the days; before the first, how to come to one."""
        is_empty = not self.get_queryset(request).exists()
        return super().changelist_view(request, {**(extra_context or {}), "nothing_measured": is_empty})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one bot's day."""
        report = self.visible_row(request, object_id)
        context = {
            "title": f"Parity of {report.bot.name} on {report.day}",
            "report": report,
            "bot": report.bot,
            "figures": (
                ("Live", money(report.live_net), report.live_legs),
                ("Replay", money(report.replay_net), report.replay_legs),
                ("Drift", money(report.drift), ""),
            ),
            "causes": [(_word(cause), money(report.causes.get(cause, 0.0)), why) for cause, why in WHY.items()],
            "legs": [_leg(row) for row in report.rows],
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @display(description="Day", ordering="day")
    def day_shown(self, report: ParityReport) -> str:
        return report.day.isoformat()

    @display(description="Bot", ordering="bot__name")
    def bot_link(self, report: ParityReport) -> str:
        return link(report.bot)

    @display(description="Account", ordering="bot__account__name")
    def account_link(self, report: ParityReport) -> str:
        return link(report.bot.account)

    @display(description="Money", label=STATES)
    def money_kind(self, report: ParityReport) -> tuple[str, str]:
        kind = report.bot.account.money
        return kind, kind.label

    @display(description="State", label=STATES)
    def state(self, report: ParityReport) -> tuple[str, str]:
        if report.status == ParityReport.Status.SKIPPED:
            return "pending", "Not measured"
        return ("error", "Above the limit") if report.is_over else ("healthy", "Within the limit")

    @display(description="Legs live / replay")
    def legs(self, report: ParityReport) -> str:
        return f"{report.live_legs} / {report.replay_legs}"

    @display(description="Live", ordering="live_net")
    def live(self, report: ParityReport) -> str:
        return _measured(report, report.live_net)

    @display(description="Replay", ordering="replay_net")
    def replayed(self, report: ParityReport) -> str:
        return _measured(report, report.replay_net)

    @display(description="Drift", ordering="drift")
    def drifted(self, report: ParityReport) -> str:
        return _measured(report, report.drift)

    @display(description="Mostly")
    def mostly(self, report: ParityReport) -> str:
        if report.status == ParityReport.Status.SKIPPED:
            return report.note
        if not any(report.causes.values()):
            return NOTHING
        return _word(Cause(max(report.causes, key=lambda cause: abs(report.causes[cause]))))


def _measured(report: ParityReport, value: Any) -> str:
    return NOTHING if report.status == ParityReport.Status.SKIPPED else money(value)


def _word(cause: Cause) -> str:
    return cause.value.replace("_", " ").capitalize()


def _leg(row: dict[str, Any]) -> dict[str, Any]:
    """Return a leg's row as texts."""
    return {
        "what": f"{row['side']} {row['volume']:g} {row['symbol']}, level {row['level']}",
        "live": _side(row["live"]),
        "replay": _side(row["replay"]),
        "drift": money(row["drift"]),
        "parts": [(_word(Cause(cause)), money(part)) for cause, part in row["parts"].items()],
    }


def _side(leg: dict[str, Any] | None) -> str:
    if leg is None:
        return NOTHING
    at = datetime.fromtimestamp(leg["at"], UTC)
    close = "open" if leg["close"] is None else f"{leg['close']:g}"
    return format_html("{} {}, {} → {}", amount(leg["net"]), f"{at:%H:%M:%S}", f"{leg['open']:g}", close)
