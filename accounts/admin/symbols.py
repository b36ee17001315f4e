"""Admin of what a broker says of an account: its symbols, its figures, its clock."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter

from accounts.admin.forms import SymbolForm
from accounts.adminkit import DeskAdmin, FactAdmin, ScopedRelatedFilter, display
from accounts.models import AccountSnapshot, ServerOffset, Symbol


@admin.register(Symbol)
class SymbolAdmin(DeskAdmin[Symbol]):
    form = SymbolForm
    list_display = (
        "name",
        "account",
        "broker_name",
        "digits",
        "volume_min",
        "volume_max",
        "volume_step",
        "contract_size",
        "seen_at",
    )
    list_filter = (("account", ScopedRelatedFilter),)
    search_fields = ("name", "broker_name")
    list_select_related = ("account",)
    ordering = ("account__name", "name")
    specification = ("digits", "point", "volume_min", "volume_max", "volume_step", "contract_size", "terms", "seen_at")
    fieldsets = (
        (None, {"fields": ("account", "name", "broker_name")}),
        ("Specification last seen", {"fields": specification}),
    )
    add_fieldsets = ((None, {"fields": ("account", "name", "broker_name")}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Symbol | None = None) -> tuple[str, ...]:
        return self.specification if obj is None else ("account", *self.specification)


@admin.register(AccountSnapshot)
class SnapshotAdmin(FactAdmin[AccountSnapshot]):
    list_display = ("at", "account", "balance", "equity", "margin", "margin_level", "positions", "total_open_volume")
    list_filter = (("account", ScopedRelatedFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("account",)
    ordering = ("-at",)


@admin.register(ServerOffset)
class ServerOffsetAdmin(FactAdmin[ServerOffset]):
    """How far the broker's clock is ahead of UTC; times of deals were told by what held then."""

    list_display = ("since", "account", "hours")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    ordering = ("-since",)

    @display(description="Ahead of UTC", ordering="seconds")
    def hours(self, offset: ServerOffset) -> str:
        return f"{offset.seconds / 3600:+g} h"
