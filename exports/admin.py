"""Admin of exports: asked for, watched, fetched."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.forms import AdminForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admincells import NOTHING, STATES, moment
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person
from accounts.models import TradingAccount
from accounts.permissions import accounts_of, is_superuser
from exports import services
from exports.answers import file_answer
from exports.models import Export

Status = Export.Status
UNDER_WAY = (Status.QUEUED, Status.RUNNING)


def _date(label: str, help_text: str) -> forms.DateField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "date"})
    return forms.DateField(label=label, required=False, input_formats=["%Y-%m-%d"], widget=widget, help_text=help_text)


class ExportForm(forms.Form):
    """What to export, of when, as what file."""

    account = forms.ModelChoiceField(queryset=TradingAccount.objects.none(), widget=UnfoldAdminSelectWidget)
    kind = forms.ChoiceField(choices=Export.Kind.choices, widget=UnfoldAdminSelectWidget)
    format = forms.ChoiceField(
        choices=Export.Format.choices, widget=UnfoldAdminSelectWidget,
        help_text="Charts are drawn of statements and of equity.",
    )  # fmt: skip
    begin = _date("From", "First day, UTC. Leave blank for the first there is.")
    end = _date("To", "Last day, UTC, inclusive. Leave blank for the last there is.")

    def __init__(self, *args: Any, accounts: QuerySet[TradingAccount], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]

    def wanted(self) -> dict[str, Any]:
        """Return what a valid form asks for, as `services.ask` takes it."""
        given = self.cleaned_data
        begin, end = given["begin"], given["end"]
        return {
            "account": given["account"], "kind": given["kind"], "filetype": given["format"],
            "since": datetime.combine(begin, time(), UTC) if begin else None,
            "until": datetime.combine(end, time.max, UTC) if end else None,
        }  # fmt: skip


@admin.register(Export)
class ExportAdmin(FactAdmin[Export]):
    list_display = ("number", "kind", "account", "format", "span", "state", "size", "asked", "fetch")
    list_display_links = ("number",)
    list_filter = (("account", ScopedRelatedFilter), ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_select_related = ("account", "user")
    search_fields = ("account__name", "error")
    ordering = ("-id",)
    change_form_template = "exports/export.html"
    fields = (
        "kind", "format", "account", "user", "since", "until", "state", "rows", "size", "error", "asked", "finished_at",
        "fetch",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        found = super().get_queryset(request)
        return found if is_superuser(request.user) else found.filter(user=person(request))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/file/", wrap(self.file_view), name="exports_export_file"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None, "viewer")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for an export."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        accounts = accounts_of(person(request)).order_by("name")
        initial = {"account": accounts.first(), "kind": request.GET.get("kind"), "format": request.GET.get("format")}
        form = ExportForm(request.POST or None, accounts=accounts, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                made = services.ask(**form.wanted(), by=person(request), clock=CLOCK)
            except ValidationError as problem:
                form.add_error(None, ValidationError(problem.messages))
            else:
                return redirect("admin:exports_export_change", object_id=made.pk)
        groups = [("What", {"fields": ["account", "kind", "format"]}), ("When", {"fields": ["begin", "end"]})]
        context = {
            **self.admin_site.each_context(request),
            "title": "Export",
            "form": form,
            "adminform": AdminForm(form, groups, {}, model_admin=self),
        }
        return TemplateResponse(request, "exports/new.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show an export; while it is under way the page looks again every two seconds."""
        export = self.visible_row(request, object_id)
        context = {"title": str(export), "export": export, "is_under_way": export.status in UNDER_WAY}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def file_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send the file."""
        export = self.visible_row(request, object_id)
        if not self.has_view_permission(request, export):
            raise PermissionDenied
        if export.status != Status.DONE:
            raise Http404
        return file_answer(export)

    @display(description="#", ordering="pk")
    def number(self, export: Export) -> str:
        return f"{export.pk}"

    @display(description="Time (UTC)")
    def span(self, export: Export) -> str:
        ends = [f"{at:%Y-%m-%d}" if at else "…" for at in (export.since, export.until)]
        return NOTHING if ends == ["…", "…"] else " to ".join(ends)

    @display(description="State", label=STATES, ordering="status")
    def state(self, export: Export) -> tuple[str, str]:
        if export.status == Status.RUNNING:
            return "info", f"{export.progress:.0%}"
        return ("waiting" if export.status == Status.QUEUED else export.status), export.get_status_display()

    @display(description="Size", ordering="size_bytes")
    def size(self, export: Export) -> str:
        return f"{export.size_bytes / 1024:,.0f} KiB" if export.size_bytes else NOTHING

    @display(description="Asked for (UTC)", ordering="created_at")
    def asked(self, export: Export) -> str:
        return moment(export.created_at)

    @display(description="File")
    def fetch(self, export: Export) -> str:
        if export.status != Status.DONE:
            return NOTHING
        url = reverse("admin:exports_export_file", args=(export.pk,))
        return format_html('<a class="text-link" href="{}">Download</a>', url)
