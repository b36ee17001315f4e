"""Admin of trading accounts."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from accounts import services
from accounts.admin.forms import AccountForm, PasswordDialog, StartDialog, StateDialog
from accounts.admincells import (
    NOTHING,
    STATES,
    amount,
    label,
    live_risk,
    log_text,
    moment,
    projection_of,
    stop_out_text,
    worst_of_account_text,
)
from accounts.adminkit import CLOCK, DeskAdmin, FactInline, display, person, post_dialog
from accounts.models import AccountRole, DesiredState, Symbol, TradingAccount


class RoleInline(FactInline[AccountRole]):
    model = AccountRole
    fields = ("user", "role")
    tab = True


class SymbolInline(FactInline[Symbol]):
    model = Symbol
    fields = ("name", "broker_name", "digits", "volume_min", "volume_max", "volume_step", "seen_at")
    tab = True


@admin.register(TradingAccount)
class TradingAccountAdmin(DeskAdmin[TradingAccount]):
    account_path = "pk"
    form = AccountForm
    list_display = ("identity", "money_kind", "wanted", "engine", "equity", "bots_running", "broker", "placement")
    list_filter = (
        ("desired_state", ChoicesDropdownFilter),
        ("broker", ChoicesDropdownFilter),
        ("demo", BooleanRadioFilter),
    )
    search_fields = ("name", "=login", "server", "placement")
    list_select_related = ("engine_state", "marks")
    ordering = ("name",)
    change_form_outer_before_template = "accounts/trading.html"
    inlines = (SymbolInline, RoleInline)
    actions_detail: Any = (
        "start", "pause", "resume", "drain", "flatten", "stop",
        {"title": "More", "items": ["force_order_sync", "examine", "change_password"]},
    )  # fmt: skip
    actions_row = ("start", "pause", "resume", "stop")
    readonly_fields = (
        "wanted",
        "engine",
        "password_is_set",
        "investor_is_set",
        "equity",
        "doctor",
        "created_at",
        "to_stop_out",
        "cost_to_close",
        "worst",
        "log",
    )
    fieldsets = (
        (None, {"fields": ("name", "demo", "wanted", "engine", "equity")}),
        (
            "Terminal",
            {
                "fields": (
                    "broker",
                    "login",
                    "server",
                    "password",
                    "password_is_set",
                    "investor_password",
                    "investor_is_set",
                    "terminal_path",
                    "pairing",
                )
            },
        ),
        ("Trading", {"fields": ("margin_mode", "currency", "restart_policy", "placement", "created_at")}),
        (
            "Paper",
            {
                "fields": ("source", "paper_deposit"),
                "description": "For the broker Paper: the account's own prices, trades in a simulated terminal.",
            },
        ),
        ("Worst case", {"fields": ("to_stop_out", "cost_to_close", "worst")}),
        ("Doctor", {"fields": ("doctor",)}),
        (
            "Log",
            {"fields": ("log",), "description": "What this host logged about it, newest first."},
        ),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "demo")}),
        (
            "Terminal",
            {"fields": ("broker", "login", "server", "password", "investor_password", "terminal_path", "pairing")},
        ),
        ("Trading", {"fields": ("margin_mode", "currency", "restart_policy", "placement")}),
        (
            "Paper",
            {
                "fields": ("source", "paper_deposit"),
                "description": "For the broker Paper only: login, server, currency and the rest above are taken from "
                "the account whose prices it trades by.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TradingAccount]:
        running = Count("bots", filter=Q(bots__desired_state=DesiredState.RUNNING))
        return super().get_queryset(request).annotate(bots_total=Count("bots"), bots_up=running)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let superusers add accounts, and people who manage one already."""
        return self.may(request, None, "manager")

    @display(description="Account", header=True, ordering="name")
    def identity(self, account: TradingAccount) -> list[str]:
        return [account.name, f"{account.login} · {account.server}"]

    @display(description="Money", label=STATES, ordering="demo")
    def money_kind(self, account: TradingAccount) -> tuple[str, str]:
        return account.money, account.money.label

    @display(description="Wanted", label=STATES, ordering="desired_state")
    def wanted(self, account: TradingAccount) -> tuple[str, str]:
        return account.desired_state, account.get_desired_state_display()

    @display(description="Engine", label=STATES)
    def engine(self, account: TradingAccount) -> tuple[str, str]:
        state: Any = getattr(account, "engine_state", None)
        if state is None:
            return "stopped", "Never ran"
        text = state.get_status_display()
        return (
            state.status,
            text if state.manager_health_status == "healthy" else f"{text}, {state.manager_health_status}",
        )

    @display(description="Equity")
    def equity(self, account: TradingAccount) -> str:
        marks: Any = getattr(account, "marks", None)
        return NOTHING if marks is None else format_html("{} {}", amount(marks.equity), account.currency)

    @display(description="Last examination")
    def doctor(self, account: TradingAccount) -> str:
        state: Any = getattr(account, "engine_state", None)
        if state is None or state.examined_at is None:
            return "None yet: the engine examines an account before it trades it, and hourly."
        rows = (
            (label(check["grade"], check["grade"].upper()), check["name"], check["found"], check["fix"])
            for check in state.doctor
        )
        lines = format_html_join("", '<li class="flex flex-wrap gap-2 py-1">{} <b>{}</b> {} <i>{}</i></li>', rows)
        return format_html("{} UTC<ul>{}</ul>", moment(state.examined_at), lines)

    @display(description="Last lines")
    def log(self, account: TradingAccount) -> str:
        return log_text(account.pk)

    @display(description="Distance to stop-out")
    def to_stop_out(self, account: TradingAccount) -> str:
        return live_risk("to-stop-out", account.pk, stop_out_text(account))

    @display(description="To close everything now")
    def cost_to_close(self, account: TradingAccount) -> str:
        found = projection_of(account)
        return live_risk("cost-to-close", account.pk, NOTHING if found is None else f"{found['cost_to_close']:+,.2f}")

    @display(description="If prices run to the last level")
    def worst(self, account: TradingAccount) -> str:
        return live_risk("worst", account.pk, worst_of_account_text(projection_of(account)))

    @display(description="Bots")
    def bots_running(self, account: Any) -> str:
        return f"{account.bots_up} of {account.bots_total} running" if account.bots_total else NOTHING

    @display(description="Password stored", boolean=True)
    def password_is_set(self, account: TradingAccount) -> bool:
        return bool(account.password_encrypted)

    @display(description="Investor password stored", boolean=True)
    def investor_is_set(self, account: TradingAccount) -> bool:
        return bool(account.investor_encrypted)

    def save_model(
        self, request: HttpRequest, obj: TradingAccount, form: "forms.ModelForm[TradingAccount]", change: bool
    ) -> None:
        before = services.settings_of(obj.pk) if change else {}
        super().save_model(request, obj, form, change)
        by, at = person(request), CLOCK.now()
        if change:
            services.note_changes(account=obj, before=before, by=by, at=at)
        else:
            services.register_account(account=obj, by=by, at=at)
        if form.cleaned_data.get("password"):
            services.set_password(account=obj, password=form.cleaned_data["password"], by=by, at=at)
        if form.cleaned_data.get("investor_password"):
            services.set_investor_password(account=obj, password=form.cleaned_data["investor_password"], by=by, at=at)
        if form.cleaned_data.get("pairing"):
            services.set_pairing(account=obj, pairing=form.cleaned_data["pairing"], by=by, at=at)

    def _set_state(self, request: HttpRequest, account: TradingAccount, state: DesiredState, reason: str) -> str:
        changed = services.set_desired_state(
            account=account, state=state, by=person(request), at=CLOCK.now(), reason=reason
        )
        word = state.label.lower()
        return f"{account.name} is to be {word}." if changed else f"{account.name} was to be {word} already."

    @post_dialog(
        label="Start",
        question="Let the engine run this account: its running bots may open positions.",
        button="Start the account",
        path="start",
        icon="play_arrow",
        form=StartDialog,
        shown_when=lambda account: account.desired_state == DesiredState.STOPPED,
        otherwise="The account is not stopped",
    )
    def start(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        return self._set_state(request, account, DesiredState.RUNNING, reason)

    @post_dialog(
        label="Pause",
        question="No new entries on this account. Open positions are still looked after and closed.",
        button="Pause the account",
        path="pause",
        icon="pause",
        form=StateDialog,
        shown_when=lambda account: account.desired_state == DesiredState.RUNNING,
        otherwise="Only a running account can be paused",
    )
    def pause(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        return self._set_state(request, account, DesiredState.PAUSED, reason)

    @post_dialog(
        label="Resume",
        question="Allow entries on this account again.",
        button="Resume the account",
        path="resume",
        icon="play_arrow",
        form=StartDialog,
        shown_when=lambda account: account.desired_state == DesiredState.PAUSED,
        otherwise="Only a paused account can be resumed",
    )
    def resume(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        return self._set_state(request, account, DesiredState.RUNNING, reason)

    @post_dialog(
        label="Stop",
        question="The engine lets go of this account. Open positions stay open at the broker and nobody manages them.",
        button="Stop the account",
        path="stop",
        icon="stop",
        form=StateDialog,
        shown_when=lambda account: account.desired_state != DesiredState.STOPPED,
        otherwise="The account is stopped already",
    )
    def stop(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        return self._set_state(request, account, DesiredState.STOPPED, reason)

    @post_dialog(
        label="Drain",
        question="No new cycles. Open ones run to their own end; then the account stops by itself.",
        button="Drain the account",
        path="drain",
        icon="water_drop",
        form=StateDialog,
        shown_when=lambda account: account.desired_state != DesiredState.STOPPED and not account.winding_down,
        otherwise="The account is stopped, or winding down already",
    )
    def drain(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        new = services.wind_down(account=account, close=False, by=person(request), at=CLOCK.now(), reason=reason)
        return f"{account.name} drains." if new else f"{account.name} was draining already."

    @post_dialog(
        label="Flatten",
        question="Close everything that bots hold on this account at the market, now; then the account stops.",
        button="Close everything and stop",
        path="flatten",
        icon="compress",
        form=StateDialog,
        shown_when=lambda account: account.desired_state != DesiredState.STOPPED,
        otherwise="No engine runs a stopped account: start it first",
    )
    def flatten(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        new = services.wind_down(account=account, close=True, by=person(request), at=CLOCK.now(), reason=reason)
        return f"{account.name} is being closed." if new else f"{account.name} was being closed already."

    @post_dialog(
        label="Set password",
        question="Store another broker password. It is used when the engine connects the next time.",
        button="Store the password",
        path="set-password",
        role="manager",
        icon="key",
        form=PasswordDialog,
        is_dangerous=True,
    )
    def change_password(self, request: HttpRequest, account: TradingAccount, password: str) -> str:
        services.set_password(account=account, password=password, by=person(request), at=CLOCK.now())
        return f"The password of {account.name} was stored."

    @post_dialog(
        label="Force order sync",
        question="Ask the engine to compare the books with the broker now, with the whole recent ledger.",
        button="Compare now",
        path="force-order-sync",
        icon="sync",
        form=StateDialog,
        shown_when=lambda account: account.desired_state != DesiredState.STOPPED,
        otherwise="No engine runs a stopped account: start it first",
    )
    def force_order_sync(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        new = services.request_order_sync(account=account, by=person(request), at=CLOCK.now(), reason=reason)
        return f"The engine was asked{'' if new else ' already'} to sync the orders of {account.name}."

    @post_dialog(
        label="Examine",
        question="Ask the engine to check the account at its broker now: login, money, trading, symbols, clock.",
        button="Examine now",
        path="examine",
        icon="stethoscope",
        form=StateDialog,
        shown_when=lambda account: account.desired_state != DesiredState.STOPPED,
        otherwise="No engine runs a stopped account: start it first",
    )
    def examine(self, request: HttpRequest, account: TradingAccount, reason: str) -> str:
        new = services.request_examination(account=account, by=person(request), at=CLOCK.now(), reason=reason)
        return f"The engine was asked{'' if new else ' already'} to examine {account.name}."
