"""Admin of guard settings: a typed form per account, and the versions that were saved."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.forms import AdminForm
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from accounts.admincells import amount, label, moment, money, table
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person
from accounts.models import TradingAccount
from accounts.numberfields import StrictIntegerField
from accounts.permissions import accounts_of, can, is_superuser
from risk.domain.settings import GuardSettings
from risk.domain.whatif import what_if
from risk.models import GuardConfig
from risk.replaying import recorded
from risk.selectors import current_config
from risk.services.configs import save_guards
from strategies.admin.page import VersionForm, styled
from strategies.forms import config_form, fieldsets
from strategies.params import StrategyParams
from strategies.selectors import differences

DEFAULT = "default"
VERSIONS_SHOWN = 30
REPLAY_DAYS, REPLAY_DAYS_MAX = 30, 90


class ReplayForm(forms.Form):
    """Asks over how many of the last days the limits are tried; empty: 30."""

    days = StrictIntegerField(
        label="Days of history", min_value=1, max_value=REPLAY_DAYS_MAX, required=False,
        widget=UnfoldAdminIntegerFieldWidget, help_text=f"For “What if?” alone: 1 to {REPLAY_DAYS_MAX}.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spec:
    """What the form is generated from."""

    params: type[StrategyParams] = GuardSettings


SPEC = Spec()


@admin.register(GuardConfig)
class GuardConfigAdmin(FactAdmin[GuardConfig]):
    list_display = ("__str__", "account", "version", "note", "created_by", "created_at", "edit")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account", "created_by")
    ordering = ("-created_at",)
    list_before_template = "risk/guard_links.html"

    @display(description="Settings")
    def edit(self, config: GuardConfig) -> str:
        url = reverse("admin:risk_guards", args=(config.account_id or DEFAULT,))
        return format_html('<a class="text-link" href="{}">Open</a>', url)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        links = [(a.name, reverse("admin:risk_guards", args=(a.pk,))) for a in accounts_of(request.user)]
        if is_superuser(request.user):
            links.append(("Default for all accounts", reverse("admin:risk_guards", args=(DEFAULT,))))
        return super().changelist_view(request, {**(extra_context or {}), "guard_links": links})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.settings_view)
        return [path("of/<str:account>/", view, name="risk_guards"), *super().get_urls()]

    def settings_view(self, request: HttpRequest, account: str) -> HttpResponse:
        """Show and save an account's guard settings, or the default's."""
        owner = self._owner(request, account)
        may_change = is_superuser(request.user) if owner is None else can(request.user, owner, "manager")
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        return guards_page(self, request, owner, may_change=may_change)

    def _owner(self, request: HttpRequest, account: str) -> TradingAccount | None:
        if account == DEFAULT:
            if not is_superuser(request.user):
                raise Http404
            return None
        owner = accounts_of(request.user).filter(pk=int(account)).first() if account.isdecimal() else None
        if owner is None:
            raise Http404
        return owner


def guards_page(
    model_admin: GuardConfigAdmin, request: HttpRequest, account: TradingAccount | None, *, may_change: bool
) -> HttpResponse:
    """Show the form; on POST save it as the next version."""
    newest = GuardConfig.objects.filter(account=account).order_by("-version").first()
    version = newest.version if newest else 0
    data = request.POST if request.method == "POST" else None
    current = current_config(account.pk if account else None).model_dump(mode="json")
    form = config_form(SPEC, current)(data)
    note = VersionForm(data, initial={"seen_version": version})
    span = ReplayForm(data if data is not None and "whatif" in data else None, initial={"days": REPLAY_DAYS})
    styled(form)
    replay = None
    if data is not None and "whatif" in data:
        if all((form.is_valid(), span.is_valid())) and account is not None:
            replay = replayed(account, form.params, span.cleaned_data["days"] or REPLAY_DAYS)
    elif data is not None and all((form.is_valid(), note.is_valid())):
        try:
            saved = save_guards(
                account=account, values=form.cleaned_data, note=note.cleaned_data["note"],
                seen_version=note.cleaned_data["seen_version"], by=person(request), at=CLOCK.now(),
            )  # fmt: skip
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            same = saved.version == version
            messages.success(request, "Nothing changed." if same else f"Saved as version {saved.version}.")
            return redirect(request.path)
    if not may_change:
        for field in (*form.fields.values(), *note.fields.values()):
            field.disabled = True
    groups = [(title, {"fields": names}) for title, names in fieldsets(SPEC)]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Guards of {account.name}" if account else "Guards: default for all accounts",
        "account": account,
        "may_change": may_change,
        "version": version,
        "form": form,
        "version_form": note,
        "versions": history(account),
        "replay": replay,
        "span_form": span,
        "adminform": AdminForm(form, groups, {}, model_admin=model_admin),
        "spanform": AdminForm(span, [("Try them on history", {"fields": ("days",)})], {}, model_admin=model_admin),
        "versionform": AdminForm(note, [("This version", {"fields": ("note",)})], {}, model_admin=model_admin),
    }
    return TemplateResponse(request, "risk/guards.html", context)


def replayed(account: TradingAccount, settings: GuardSettings, days: int) -> dict[str, Any]:
    """Show what proposed limits would have done to the account's recorded equity of so many days."""
    since = CLOCK.now() - timedelta(days=days)
    past = recorded(account.pk, since=since, zone=settings.broker_time_zone)
    rows = [
        (
            moment(fired.at),
            fired.guard,
            label(("", "warn", "reduce", "close")[fired.tier], fired.tier.name.lower()),
            f"{fired.figure:.2f} %",
            amount(fired.equity),
            amount(fired.lowest),
            money(fired.saved),
        )
        for fired in what_if(settings, past.records)
    ]
    heads = ("Time (UTC)", "Guard", "Tier", "Figure", "Equity", "Lowest after", "Closing would have saved")
    return {"history": past, "days": days, "table": table(heads, rows), "fired": len(rows)}


def history(account: TradingAccount | None) -> list[dict[str, Any]]:
    """List the versions with what each changed, newest first."""
    rows = list(
        GuardConfig.objects.filter(account=account).select_related("created_by").order_by("-version")[:VERSIONS_SHOWN]
    )
    shown = []
    for n, row in enumerate(rows):
        older = rows[n + 1].values if n + 1 < len(rows) else GuardSettings().model_dump(mode="json")
        changes = [f"{c.name}: {_said(c.before)} → {_said(c.after)}" for c in differences(older, row.values)]
        shown.append({"config": row, "changes": changes})
    return shown


def _said(value: Any) -> str:
    return "off" if value is None else str(value)
