"""Admin of cycles: what a strategy opened, extended and closed together, with its legs and its story."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanWidget

from accounts.admincells import NOTHING, STATES, live_risk, moment, money, projection_of, stop_out_text, worst_case_text
from accounts.adminkit import (
    CLOCK,
    DialogForm,
    FactAdmin,
    ScopedRelatedFilter,
    display,
    person,
    post_dialog,
    reason_field,
)
from accounts.models import TradingAccount
from accounts.permissions import accounts_of
from cycles.admin.page import chart_of
from cycles.admin.story import floating_of, legs_table, timeline_table
from cycles.integrity import CHECKS
from cycles.models import Cycle, CycleStatus
from cycles.requests import request_cycle_close
from events.services import ask


class IntegrityDialog(DialogForm):
    """Asks what is to be checked; offers the accounts on which the person may trade."""

    account = forms.ModelChoiceField(TradingAccount.objects.none(), widget=UnfoldAdminSelectWidget)
    check = forms.ChoiceField(
        required=False, choices=[("", "Everything"), *((n, n) for n in CHECKS)], widget=UnfoldAdminSelectWidget
    )
    fix = forms.BooleanField(required=False, label="Repair what can be repaired", widget=UnfoldBooleanWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = accounts_of(kwargs["request"].user, "trader")  # type: ignore[attr-defined]


class CloseDialog(DialogForm):
    """Shows what would be closed, and asks why."""

    reason = reason_field("Reason")

    def preview(self, object_id: str) -> list[str]:
        cycle = Cycle.objects.select_related("account").get(pk=object_id)
        floating = floating_of(cycle.account_id)
        legs = list(cycle.orders.filter(status__in=("open", "pending")).order_by("level", "id"))
        lines = [
            f"#{leg.ticket}: {'take back' if leg.status == 'pending' else 'close'} {leg.side} {leg.volume:.2f} "
            f"{leg.symbol}, now {sum(floating.get(leg.identifier, (0.0,))):+,.2f}"
            for leg in legs
        ]
        total = sum(sum(floating.get(leg.identifier, (0.0,))) for leg in legs)
        return [*lines, f"Together about {total:+,.2f} {cycle.account.currency}, less commission and slippage."]


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
    change_form_outer_before_template = "cycles/story.html"
    actions_list = ("check_integrity",)
    actions_detail = ("close_now",)
    fieldsets = (
        (None, {"fields": ("bot", "account", "symbol", "side", "status", "kind")}),
        (
            "Figures",
            {
                "fields": (
                    "realized_profit",
                    "total_volume",
                    "best_net",
                    "to_stop_out",
                    "cost_to_close",
                    "worst",
                    "opened_at",
                    "closed_at",
                    "close_reason",
                )
            },
        ),
        ("Memory", {"fields": ("config", "memory", "hedge_levels")}),
    )
    readonly_fields = ("realized", "worst", "to_stop_out", "cost_to_close")

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

    @display(description="If the price runs to its last level")
    def worst(self, cycle: Cycle) -> str:
        text = worst_case_text(projection_of(cycle.account, "cycles", cycle.pk))
        return text if cycle.status == "closed" else live_risk("worst", cycle.account_id, text, cycle=cycle.pk)

    @display(description="Distance to stop-out")
    def to_stop_out(self, cycle: Cycle) -> str:
        if cycle.status == "closed":
            return NOTHING
        return live_risk("to-stop-out", cycle.account_id, stop_out_text(cycle.account, [cycle.symbol]), cycle=cycle.pk)

    @display(description="To close it now")
    def cost_to_close(self, cycle: Cycle) -> str:
        if cycle.status == "closed":
            return NOTHING
        return live_risk("cost-to-close", cycle.account_id, NOTHING, cycle=cycle.pk)

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
        story = {
            "cycle": cycle,
            "chart": chart_of(cycle, CLOCK),
            "live": {"socket": "/ws/live/", "links": {}, "only": [cycle.account_id]},
            "worst": self.worst(cycle),
            "legs_table": legs_table(cycle),
            "timeline_table": timeline_table(cycle),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **story})

    @post_dialog(
        label="Close cycle",
        question="Close every leg of this cycle at the market. It takes no more legs.",
        button="Close the cycle",
        path="close",
        icon="close",
        form=CloseDialog,
        shown_when=lambda cycle: cycle.status != CycleStatus.CLOSED,
        otherwise="The cycle is closed",
    )
    def close_now(self, request: HttpRequest, cycle: Cycle, reason: str) -> str:
        request_cycle_close(cycle=cycle, reason=reason, by=person(request), at=CLOCK.now())
        return f"The engine was asked to close {cycle}; Commands shows what came of it."

    @post_dialog(
        label="Check integrity",
        question="The engine checks cycles, orders and broker against each other now; Commands shows the answer.",
        button="Check now",
        path="integrity",
        icon="rule",
        form=IntegrityDialog,
    )
    def check_integrity(self, request: HttpRequest, row: None, account: TradingAccount, check: str, fix: bool) -> str:
        args = {"checks": [check] if check else [], "fix": fix}
        ask(account_id=account.pk, kind="integrity", args=args, by=person(request), at=CLOCK.now())
        return f"The engine was asked to check {check or 'everything'} on {account.name}."
