"""Admin of the rules of reconciliation, and of its records."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from accounts.admincells import STATES, moment, money
from accounts.adminkit import DeskAdmin, DeskModelForm, FactAdmin, ScopedRelatedFilter, display
from reconciliation.domain import Kind, policies_of
from reconciliation.models import (
    AccountCheck,
    BookSnapshot,
    DivergenceStep,
    PolicyChoice,
    PolicyRule,
    ThresholdRule,
)


class PolicyForm(DeskModelForm[PolicyRule]):
    """Refuses a policy that has no meaning for its kind."""

    class Meta:
        model = PolicyRule
        fields = ("account", "kind", "policy", "dry_run")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind, policy = cleaned.get("kind"), cleaned.get("policy")
        if kind and policy and policy not in policies_of(Kind(kind)):
            known = ", ".join(PolicyChoice(p).label for p in policies_of(Kind(kind)))
            raise ValidationError({"policy": f"For this kind choose one of: {known}."})
        return cleaned


class RuleAdmin(DeskAdmin[Any]):
    """Rules of one account are for its managers; rules for all accounts are for superusers."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        account = form.base_fields.get("account")
        if account is not None and not getattr(request.user, "is_superuser", False):
            account.required = True
        return form

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


@admin.register(PolicyRule)
class PolicyAdmin(RuleAdmin):
    form = PolicyForm
    list_display = ("kind", "account", "policy", "dry_run")
    list_filter = (("account", ScopedRelatedFilter), ("kind", ChoicesDropdownFilter))
    list_select_related = ("account",)


@admin.register(ThresholdRule)
class ThresholdAdmin(RuleAdmin):
    list_display = ("__str__", "entry_pips", "volume_share", "stops_pips", "money", "match_volume_share", "match_pips")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)


@admin.register(BookSnapshot)
class SnapshotAdmin(FactAdmin[BookSnapshot]):
    list_display = ("time", "account", "balance", "equity", "floating", "total_open_volume")
    list_filter = (("account", ScopedRelatedFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("account",)

    @display(description="At (UTC)", ordering="at")
    def time(self, snapshot: BookSnapshot) -> str:
        return moment(snapshot.at)

    @display(description="Floating", ordering="unrealized_pnl")
    def floating(self, snapshot: BookSnapshot) -> str:
        return money(snapshot.unrealized_pnl)


@admin.register(DivergenceStep)
class StepAdmin(FactAdmin[DivergenceStep]):
    account_path = "divergence__account"
    list_display = ("time", "divergence", "by", "action", "text")
    list_filter = (("divergence__account", ScopedRelatedFilter), ("at", RangeDateTimeFilter))
    search_fields = ("text",)
    list_select_related = ("divergence", "by")
    ordering = ("-id",)

    @display(description="Time (UTC)", ordering="id")
    def time(self, step: DivergenceStep) -> str:
        return moment(step.at)


@admin.register(AccountCheck)
class CheckAdmin(FactAdmin[AccountCheck]):
    list_display = ("account", "checked", "health", "passes", "quiet", "error")
    list_select_related = ("account",)
    ordering = ("account__name",)

    @display(description="Last check (UTC)", ordering="checked_at")
    def checked(self, check: AccountCheck) -> str:
        return moment(check.checked_at)

    @display(description="State", label=STATES)
    def health(self, check: AccountCheck) -> tuple[str, str]:
        return ("failed", "Failing") if check.error else ("done", "Compared")

    @display(description="Passes")
    def passes(self, check: AccountCheck) -> str:
        return str(check.statistics.get("passes", 0))

    @display(description="Of these quiet")
    def quiet(self, check: AccountCheck) -> str:
        return str(check.statistics.get("quiet_passes", 0))
