"""Admin of the books: orders, deals and floating values."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Case, DecimalField, F, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import (
    ChoicesDropdownFilter,
    FieldTextFilter,
    RangeDateTimeFilter,
    RangeNumericFilter,
)

from accounts.admincells import NOTHING, STATES, amount, link, live_floating, moment, money, price
from accounts.admincells import lots as in_lots
from accounts.adminexport import ExportedAdmin, name_of
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person, post_dialog
from accounts.selectors import row_digits
from core.ids import Ids, SystemIds
from core.tables import Cell
from orders.admin.dialogs import CloseDialog, StopsDialog
from orders.models import AccountMarks, Deal, Order, OrderStatus
from orders.requests import request_order_close, request_stops

IDS: Ids = SystemIds()
TABS = (("Positions", "open"), ("Pending", "pending"), ("History", "closed"), ("All", ""))
OPEN_LOTS = Case(When(status=OrderStatus.OPEN, then=F("volume")), default=Value(0), output_field=DecimalField())


@admin.register(Order)
class OrderAdmin(ExportedAdmin[Order]):
    list_before_template = "orders/tabs.html"
    empty_text = "No orders so far."
    totals_of = {"Open lots": OPEN_LOTS, "Booked": F("profit") + F("swap") + F("commission")}
    gains = ("Booked",)
    export_columns = (
        "ticket", "position", "account", "bot", "cycle", "level", "symbol", "side", "lots", "status", "open_price",
        "close_price", "stop_loss", "take_profit", "profit", "swap", "commission", "opened_utc", "closed_utc",
        "close_reason", "magic", "comment",
    )  # fmt: skip
    list_display = (
        "ticket",
        "account",
        "bot",
        "cycle_link",
        "symbol",
        "side_label",
        "lots",
        "status_label",
        "open_price",
        "close_price",
        "stop_loss",
        "take_profit",
        "floating",
        "booked",
        "opened",
        "ended",
        "close_reason",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("status", ChoicesDropdownFilter),
        ("close_reason", ChoicesDropdownFilter),
        ("symbol", FieldTextFilter),
        ("profit", RangeNumericFilter),
        ("opened_at", RangeDateTimeFilter),
    )
    search_fields = ("=ticket", "=identifier", "symbol", "comment")
    search_help_text = "Ticket, position identifier, symbol or comment"
    list_select_related = ("account", "account__marks", "bot", "cycle")
    ordering = ("-opened_at", "-id")
    fieldsets = (
        (None, {"fields": ("status", "symbol", "side", "lots", "volume_initial")}),
        ("Belongs to", {"fields": ("account", "bot", "cycle", "intent")}),
        ("Prices", {"fields": ("open_price", "close_price", "stop_loss", "take_profit")}),
        ("Profit", {"fields": ("floating", "booked", "profit", "swap", "commission")}),
        (
            "Life",
            {
                "fields": (
                    "opened_at",
                    "opened_offset_seconds",
                    "closed_at",
                    "closed_offset_seconds",
                    "close_reason",
                    "suspicious_since",
                    "level",
                    "magic",
                    "comment",
                )
            },
        ),
        ("At the broker", {"fields": ("ticket", "identifier")}),
    )

    actions_detail = ("close_now", "set_stops")
    actions_row = ("close_now", "set_stops")
    readonly_fields = ("lots", "open_price", "close_price", "stop_loss", "take_profit", "floating", "booked")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).annotate(digits=row_digits())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the kinds of orders as MT5's toolbox does: what is open, what rests, what is over."""
        query = request.GET.copy()
        chosen, tabs = query.get("status__exact", ""), []
        query.pop("p", None)
        for title, status in TABS:
            query.pop("status__exact", None)
            if status:
                query["status__exact"] = status
            tabs.append((title, query.urlencode(), chosen == status))
        return super().changelist_view(request, {**(extra_context or {}), "tabs": tabs})

    def export_row(self, order: Order) -> Sequence[Cell]:
        return (
            order.ticket, order.identifier, order.account.name, name_of(order.bot),
            order.cycle.number if order.cycle else None, order.level, order.symbol, order.side,
            order.volume or order.volume_initial, order.status, order.price_open, order.price_close, order.sl or None,
            order.tp or None, order.profit, order.swap, order.commission, order.opened_at, order.closed_at,
            order.close_reason, order.magic, order.comment,
        )  # fmt: skip

    @display(description="Cycle")
    def cycle_link(self, order: Order) -> str:
        return link(order.cycle, f"#{order.cycle.number}" if order.cycle else None)

    @display(description="Side", label=STATES, ordering="side")
    def side_label(self, order: Order) -> tuple[str, str]:
        return order.side, order.get_side_display()

    @display(description="Status", label=STATES, ordering="status")
    def status_label(self, order: Order) -> tuple[str, str]:
        return order.status, order.get_status_display()

    @display(description="Lots", ordering="volume_initial")
    def lots(self, order: Order) -> str:
        return in_lots(order.volume or order.volume_initial)

    @display(description="Open", ordering="price_open")
    def open_price(self, order: Any) -> str:
        return price(order.price_open, order.digits)

    @display(description="Close", ordering="price_close")
    def close_price(self, order: Any) -> str:
        return price(order.price_close, order.digits)

    @display(description="S/L")
    def stop_loss(self, order: Any) -> str:
        return price(order.sl, order.digits)

    @display(description="T/P")
    def take_profit(self, order: Any) -> str:
        return price(order.tp, order.digits)

    @display(description="Floating")
    def floating(self, order: Order) -> str:
        if order.status != OrderStatus.OPEN or not hasattr(order.account, "marks"):
            return NOTHING
        text = money(order.account.marks.floating_of(order.identifier))
        return live_floating(order.account_id, order.identifier, text)

    @display(description="Booked")
    def booked(self, order: Order) -> str:
        return money(order.profit + order.swap + order.commission)

    @display(description="Opened (UTC)", ordering="opened_at")
    def opened(self, order: Order) -> str:
        return moment(order.opened_at)

    @display(description="Closed (UTC)", ordering="closed_at")
    def ended(self, order: Order) -> str:
        return moment(order.closed_at)

    @post_dialog(
        label="Close leg",
        question="Close this position at the market, or take the resting order back.",
        button="Close it",
        path="close",
        icon="close",
        form=CloseDialog,
        shown_when=lambda order: order.status in (OrderStatus.OPEN, OrderStatus.PENDING) and order.cycle_id is not None,
        otherwise="It is over, or belongs to no cycle",
    )
    def close_now(self, request: HttpRequest, order: Order, reason: str) -> str:
        by, at = person(request), CLOCK.now()
        request_order_close(order=order, volume=None, reason=reason, by=by, at=at, ids=IDS)
        return f"The engine was asked to close #{order.ticket}; Commands shows what came of it."

    @post_dialog(
        label="Change S/L, T/P",
        question="Set both stops at the broker. 0 takes one away. A strategy that sets stops may set them again.",
        button="Set the stops",
        path="stops",
        icon="vertical_align_center",
        form=StopsDialog,
        shown_when=lambda order: order.status == OrderStatus.OPEN and order.cycle_id is not None,
        otherwise="It is not open, or belongs to no cycle",
    )
    def set_stops(self, request: HttpRequest, order: Order, sl: Decimal, tp: Decimal, reason: str) -> str:
        request_stops(order=order, sl=sl, tp=tp, reason=reason, by=person(request), at=CLOCK.now())
        return f"The engine was asked to set the stops of #{order.ticket}; Commands shows what came of it."


@admin.register(Deal)
class DealAdmin(ExportedAdmin[Deal]):
    empty_text = "No deals so far."
    totals_of = {
        "Profit": F("profit"), "Swap": F("swap"), "Commission": F("commission") + F("fee"),
        "Net": F("profit") + F("swap") + F("commission") + F("fee"),
    }  # fmt: skip
    gains = tuple(totals_of)
    export_columns = (
        "ticket", "order", "position", "account", "time_utc", "kind", "entry", "reason", "symbol", "lots", "price",
        "profit", "swap", "commission", "fee", "magic", "comment",
    )  # fmt: skip
    list_display = (
        "ticket",
        "account",
        "time",
        "kind",
        "entry",
        "reason",
        "symbol",
        "lots",
        "at_price",
        "net",
        "position_id",
        "comment",
    )
    list_filter = (("account", ScopedRelatedFilter), ("symbol", FieldTextFilter), ("at", RangeDateTimeFilter))
    search_fields = ("=ticket", "=order_ticket", "=position_id", "symbol", "comment")
    search_help_text = "Ticket, order, position, symbol or comment"
    list_select_related = ("account",)
    ordering = ("-at", "-ticket")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deal]:
        return super().get_queryset(request).annotate(digits=row_digits())

    def export_row(self, deal: Deal) -> Sequence[Cell]:
        return (
            deal.ticket, deal.order_ticket, deal.position_id, deal.account.name, deal.at, deal.kind, deal.entry,
            deal.reason, deal.symbol, deal.volume, deal.price, deal.profit, deal.swap, deal.commission, deal.fee,
            deal.magic, deal.comment,
        )  # fmt: skip

    @display(description="Time (UTC)", ordering="at")
    def time(self, deal: Deal) -> str:
        return moment(deal.at)

    @display(description="Lots", ordering="volume")
    def lots(self, deal: Deal) -> str:
        return in_lots(deal.volume)

    @display(description="Price", ordering="price")
    def at_price(self, deal: Any) -> str:
        return price(deal.price, deal.digits)

    @display(description="Net")
    def net(self, deal: Deal) -> str:
        return money(deal.profit + deal.swap + deal.commission + deal.fee)


@admin.register(AccountMarks)
class MarksAdmin(FactAdmin[AccountMarks]):
    list_display = ("account", "time", "seq", "positions", "floating", "balance_shown", "equity_shown", "level")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    ordering = ("account__name",)

    @display(description="As of (UTC)", ordering="at")
    def time(self, marks: AccountMarks) -> str:
        return moment(marks.at)

    @display(description="Positions")
    def positions(self, marks: AccountMarks) -> str:
        return str(len(marks.identifiers))

    @display(description="Floating")
    def floating(self, marks: AccountMarks) -> str:
        return money(sum(marks.profits) + sum(marks.swaps))

    @display(description="Balance", ordering="balance")
    def balance_shown(self, marks: AccountMarks) -> str:
        return amount(marks.balance)

    @display(description="Equity", ordering="equity")
    def equity_shown(self, marks: AccountMarks) -> str:
        return amount(marks.equity)

    @display(description="Margin level")
    def level(self, marks: Any) -> str:
        return format_html("{} %", amount(marks.margin_level)) if marks.margin_level else "–"
