"""Admin of intents: what was decided, why, what was sent and what came of it."""

import json

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, lots, moment
from accounts.adminkit import (
    CLOCK,
    DialogForm,
    FactAdmin,
    FactInline,
    ScopedRelatedFilter,
    display,
    person,
    post_dialog,
    reason_field,
)
from orders import services
from orders.admin.traces import trace_table
from orders.models import IntentHistory, IntentState, OrderIntent


class SettleDialog(DialogForm):
    """Asks for the reason that ends an intent of which nobody knows what came."""

    reason = reason_field("How you know what came of it")


class HistoryInline(FactInline[IntentHistory]):
    model = IntentHistory
    fields = ("at", "from_state", "to_state", "why", "fence")
    ordering = ("id",)
    show_change_link = False
    verbose_name_plural = "history"


@admin.register(OrderIntent)
class IntentAdmin(FactAdmin[OrderIntent]):
    list_display = (
        "time",
        "account",
        "bot",
        "kind",
        "side_label",
        "size",
        "symbol",
        "state_label",
        "why",
        "reply_code",
        "token",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("symbol", FieldTextFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("token", "=correlation", "cause_key", "why", "=ticket", "=reply_order")
    search_help_text = "Token, cause, reason, ticket or the broker's order number"
    list_select_related = ("account", "bot")
    ordering = ("-created_at", "-id")
    inlines = (HistoryInline,)
    fieldsets = (
        (None, {"fields": ("state_label", "kind", "side", "volume", "symbol", "why")}),
        ("Belongs to", {"fields": ("account", "bot", "cycle", "order")}),
        ("Request", {"fields": ("order_kind", "level", "price", "sl", "tp", "ticket", "magic", "comment", "token")}),
        (
            "Life",
            {
                "fields": (
                    "cause_key",
                    "generation",
                    "supersedes",
                    "fence",
                    "created_at",
                    "sent_at",
                    "deadline",
                    "done_at",
                )
            },
        ),
        ("Reply", {"fields": ("reply_code", "reply_text", "reply_order", "reply_deal", "filled_volume")}),
        ("From tick to cycle", {"fields": ("correlation", "chain")}),
        ("Trace", {"fields": ("trace_text",)}),
    )
    readonly_fields = ("chain", "trace_text", "state_label")
    actions_detail = ("settle",)
    actions_row = ("settle",)

    @display(description="Decided (UTC)", ordering="created_at")
    def time(self, intent: OrderIntent) -> str:
        return moment(intent.created_at)

    @display(description="Side", label=STATES, ordering="side")
    def side_label(self, intent: OrderIntent) -> tuple[str, str]:
        return intent.side, intent.get_side_display()

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, intent: OrderIntent) -> tuple[str, str]:
        return intent.state, intent.get_state_display()

    @display(description="Lots", ordering="volume")
    def size(self, intent: OrderIntent) -> str:
        return lots(intent.volume)

    @display(description="Steps")
    def chain(self, intent: OrderIntent) -> str:
        return trace_table(intent.account_id, intent.correlation)

    @display(description="Tick, watch and figures")
    def trace_text(self, intent: OrderIntent) -> str:
        text = json.dumps(intent.trace, indent=2, ensure_ascii=False)
        return format_html('<pre class="overflow-x-auto whitespace-pre-wrap">{}</pre>', text)

    @post_dialog(
        label="Settle",
        question="Nobody knows what came of this request. Look it up at the broker first: your word ends the search, "
        "and entries are allowed again. If it was executed after all, it is adopted and reported.",
        button="Settle it",
        path="settle",
        role="manager",
        icon="gavel",
        form=SettleDialog,
        is_dangerous=True,
        shown_when=lambda intent: intent.state == IntentState.UNKNOWN,
    )
    def settle(self, request: HttpRequest, intent: OrderIntent, reason: str) -> str:
        won = services.settle(intent_id=intent.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"Settled: {reason}" if won else "It is not unknown any more."


@admin.register(IntentHistory)
class IntentHistoryAdmin(FactAdmin[IntentHistory]):
    account_path = "intent__account"
    list_display = ("time", "intent", "from_state", "to_label", "why", "fence")
    list_filter = (
        ("intent__account", ScopedRelatedFilter),
        ("to_state", ChoicesDropdownFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("intent__token", "why")
    list_select_related = ("intent",)
    ordering = ("-id",)

    @display(description="Time (UTC)", ordering="id")
    def time(self, step: IntentHistory) -> str:
        return moment(step.at)

    @display(description="To", label=STATES, ordering="to_state")
    def to_label(self, step: IntentHistory) -> tuple[str, str]:
        return step.to_state, step.get_to_state_display()
