"""Admin of intents: what was decided, why, what was sent and what came of it."""

import json

from django.contrib import admin
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, moment, plain
from accounts.adminkit import FactAdmin, FactInline, ScopedRelatedFilter, display
from orders.models import IntentHistory, OrderIntent


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
    search_fields = ("token", "cause_key", "why", "=ticket", "=reply_order")
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
        ("Trace", {"fields": ("trace_text",)}),
    )
    readonly_fields = ("trace_text", "state_label")

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
        return plain(intent.volume)

    @display(description="Tick, watch and figures")
    def trace_text(self, intent: OrderIntent) -> str:
        text = json.dumps(intent.trace, indent=2, ensure_ascii=False)
        return format_html('<pre class="overflow-x-auto whitespace-pre-wrap">{}</pre>', text)


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
