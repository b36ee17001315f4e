"""Admin of what was not sent, and the trace of a decision as a table."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, moment
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from orders.models import NotSent
from orders.tracing import trace_of_decision


def trace_table(account_id: int, correlation: str) -> SafeString:
    """Show the steps of a decision, from the tick to the cycle's change."""
    steps = trace_of_decision(account_id, correlation)
    rows = format_html_rows((moment(s.at), s.what, s.text) for s in steps)
    return format_html('<table class="w-full text-left"><tbody>{}</tbody></table>', rows)


def format_html_rows(rows: Any) -> SafeString:
    """Join rows of three cells, each escaped."""
    whole = SafeString("")
    for at, what, text in rows:
        whole += format_html(
            '<tr><td class="pr-4 align-top whitespace-nowrap">{}</td><td class="pr-4 align-top">{}</td>'
            "<td>{}</td></tr>",
            at,
            what,
            text,
        )
    return whole


@admin.register(NotSent)
class NotSentAdmin(FactAdmin[NotSent]):
    list_display = ("last", "account", "bot", "symbol", "side_label", "code", "detail", "times", "correlation")
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("code", FieldTextFilter),
        ("side", ChoicesDropdownFilter),
        ("last_at", RangeDateTimeFilter),
    )
    search_fields = ("code", "detail", "=correlation")
    list_select_related = ("account", "bot")
    ordering = ("-last_at", "-id")
    fieldsets = (
        (None, {"fields": ("code", "detail", "times", "first_at", "last_at")}),
        ("Belongs to", {"fields": ("account", "bot", "symbol", "side", "correlation")}),
        ("From tick to verdict", {"fields": ("chain",)}),
    )
    readonly_fields = ("chain",)

    @display(description="Last (UTC)", ordering="last_at")
    def last(self, row: NotSent) -> str:
        return moment(row.last_at)

    @display(description="Side", label=STATES, ordering="side")
    def side_label(self, row: NotSent) -> tuple[str, str] | str:
        return (row.side, row.get_side_display()) if row.side else ""

    @display(description="Steps")
    def chain(self, row: NotSent) -> str:
        return trace_table(row.account_id, row.correlation)
