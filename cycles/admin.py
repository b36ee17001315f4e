"""Admin of cycles: what a strategy opened, extended and closed together, with its legs and its story."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, label, link, moment, money, plain, table
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from cycles.models import Cycle
from cycles.selectors import floating_of, timeline_of
from orders.models import Order

TIMELINE_MAX = 200


@admin.register(Cycle)
class CycleAdmin(FactAdmin[Cycle]):
    list_display = (
        "title",
        "account",
        "bot",
        "symbol",
        "side_label",
        "status_label",
        "legs",
        "realized",
        "opened",
        "ended",
        "close_reason",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("status", ChoicesDropdownFilter),
        ("side", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("symbol", FieldTextFilter),
        ("opened_at", RangeDateTimeFilter),
    )
    search_fields = ("bot__name", "symbol", "close_reason", "=number")
    list_select_related = ("account", "bot")
    ordering = ("-opened_at", "-id")
    change_form_outer_after_template = "cycles/story.html"
    fieldsets = (
        (None, {"fields": ("bot", "account", "symbol", "side", "status", "kind")}),
        (
            "Figures",
            {"fields": ("realized_profit", "total_volume", "best_net", "opened_at", "closed_at", "close_reason")},
        ),
        ("Memory", {"fields": ("config", "memory", "hedge_levels")}),
    )
    readonly_fields = ("realized",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cycle]:
        open_legs = Count("orders", filter=Q(orders__status__in=("open", "pending")))
        return super().get_queryset(request).annotate(legs_open=open_legs, legs_total=Count("orders"))

    @display(description="Cycle", ordering="id")
    def title(self, cycle: Cycle) -> str:
        return f"#{cycle.number}"

    @display(description="Side", label=STATES, ordering="side")
    def side_label(self, cycle: Cycle) -> tuple[str, str]:
        return cycle.side, cycle.get_side_display()

    @display(description="Status", label=STATES, ordering="status")
    def status_label(self, cycle: Cycle) -> tuple[str, str]:
        return cycle.status, cycle.get_status_display()

    @display(description="Legs")
    def legs(self, cycle: Any) -> str:
        return f"{cycle.legs_open} of {cycle.legs_total} open"

    @display(description="Realized", ordering="realized_profit")
    def realized(self, cycle: Cycle) -> str:
        return money(cycle.realized_profit)

    @display(description="Opened (UTC)", ordering="opened_at")
    def opened(self, cycle: Cycle) -> str:
        return moment(cycle.opened_at)

    @display(description="Closed (UTC)", ordering="closed_at")
    def ended(self, cycle: Cycle) -> str:
        return moment(cycle.closed_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        cycle = self.visible_row(request, object_id)
        story = {"legs_table": legs_table(cycle), "timeline_table": timeline_table(cycle)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **story})


def legs_table(cycle: Cycle) -> dict[str, Any]:
    """List the legs with what they booked and, while open, what they stand at."""
    floating = floating_of(cycle.account_id)
    headers = (
        "Level",
        "Ticket",
        "Side",
        "Status",
        "Volume",
        "Open price",
        "Close price",
        "Profit",
        "Swap",
        "Costs",
        "Opened",
        "Closed",
    )
    return table(headers, (_leg(order, floating) for order in cycle.orders.order_by("level", "id")))


def _leg(order: Order, floating: dict[int, tuple[float, float]]) -> tuple[Any, ...]:
    profit, swap = floating.get(order.identifier, (0.0, 0.0))
    return (
        order.level,
        link(order, f"#{order.ticket}"),
        label(order.side, order.get_side_display()),
        label(order.status, order.get_status_display()),
        plain(order.volume or order.volume_initial),
        plain(order.price_open),
        plain(order.price_close),
        money(float(order.profit) + profit),
        money(float(order.swap) + swap),
        money(order.commission),
        moment(order.opened_at),
        moment(order.closed_at) if order.closed_at else order.get_status_display(),
    )


def timeline_table(cycle: Cycle) -> dict[str, Any]:
    """Tell what happened to the cycle, oldest first: intents step by step, orders and events."""
    entries = timeline_of(cycle.pk, limit=TIMELINE_MAX)
    rows = ((moment(e.at), e.what, link(e.row) if e.row is not None else "", e.text) for e in entries)
    return table(("Time (UTC)", "What", "Of", "How"), rows)
