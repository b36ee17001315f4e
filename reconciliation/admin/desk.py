"""The divergence desk: the queue of what books and broker disagree about, and what a person does about it."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, Case, Max, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, link, moment, table
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person, post_dialog
from accounts.models import User
from accounts.permissions import accounts_of, is_superuser
from cycles.models import Cycle
from reconciliation import selectors
from reconciliation.actions import Action, why_not
from reconciliation.admin import dialogs
from reconciliation.admin.cells import age, brief, pairs
from reconciliation.models import AccountCheck, Divergence, State
from reconciliation.services import claims, settling

SEVERITIES = {1: "info", 2: "warning", 3: "critical"}
# (key, action, address, text) of the buttons in a row of the list
BUTTONS = (
    ("a", Action.ACCEPT_OURS, "accept_ours", "Ours"),
    ("b", Action.ACCEPT_BROKER, "accept_broker", "Broker"),
    ("i", Action.IGNORE, "ignore", "Ignore"),
)


class StateFilter(admin.SimpleListFilter):
    """What waits for a person, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(State.IGNORED, "Ignored for now"), (State.CLOSED, "Closed"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "Waiting",
        }
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Divergence]) -> QuerySet[Divergence]:
        wanted = self.value() or State.OPEN
        return queryset if wanted == "all" else queryset.filter(state=wanted)


class AssigneeFilter(admin.SimpleListFilter):
    """Mine, or nobody's."""

    title = "assignee"
    parameter_name = "assignee"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "Me"), ("nobody", "Nobody")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Divergence]) -> QuerySet[Divergence]:
        match self.value():
            case "me":
                return queryset.filter(assignee=person(request))
            case "nobody":
                return queryset.filter(assignee__isnull=True)
        return queryset


def possible(action: Action) -> Any:
    """Return the test whether an action's button has a meaning for a row."""
    return lambda row: why_not(row, action) is None


@admin.register(Divergence)
class DivergenceAdmin(FactAdmin[Divergence]):
    list_display = (
        "severity_label",
        "title",
        "account",
        "ticket_shown",
        "ours_brief",
        "theirs_brief",
        "age_shown",
        "assignee",
        "state_label",
        "buttons",
    )
    list_display_links = ("severity_label", "title")
    list_filter = (
        StateFilter,
        AssigneeFilter,
        ("severity", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("account", ScopedRelatedFilter),
        ("symbol", FieldTextFilter),
        ("opened_at", RangeDateTimeFilter),
    )
    search_fields = ("=ticket", "=identifier", "symbol", "rule")
    search_help_text = "Ticket, position identifier, symbol or rule"
    list_select_related = ("account", "assignee", "order")
    ordering = ("-severity", "opened_at", "id")
    list_before_template = "reconciliation/queue.html"
    change_form_before_template = "reconciliation/detail.html"
    change_form_outer_after_template = "reconciliation/steps.html"
    actions_list = ("save_filter", "drop_filter")
    actions_detail: Any = (
        "accept_broker", "accept_ours", "adopt", "ignore",
        {"title": "More", "items": ["mark_manual", "assign", "note", "undo"]},
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("severity_label", "kind", "state_label", "account", "assignee")}),
        ("About", {"fields": ("ticket", "identifier", "symbol", "order", "intent")}),
        ("Rule", {"fields": ("rule", "measured", "threshold", "policy", "automatic", "matched")}),
        ("Life", {"fields": ("opened_at", "updated_at", "ignored_until", "asked_at", "asked_by")}),
        ("End", {"fields": ("closed_at", "closed_how", "closed_by", "closed_why")}),
        ("Evidence", {"fields": ("snapshot",)}),
    )
    readonly_fields = ("severity_label", "state_label", "matched")

    class Media:
        css = {"all": ("reconciliation/desk.css",)}
        js = ("reconciliation/desk.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Divergence]:
        """Say of each row whether the person may settle it; list columns have no request to ask."""
        if is_superuser(request.user):
            may: Any = Value(True, BooleanField())
        else:
            own = list(accounts_of(request.user, "trader").values_list("pk", flat=True))
            held = When(account_id__in=own, then=Value(True))
            may = Case(held, default=Value(False), output_field=BooleanField())
        return super().get_queryset(request).annotate(may_settle=may)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Leave the state out where all rows have the same: those that wait."""
        is_queue = not request.GET.get(StateFilter.parameter_name)
        return tuple(name for name in self.list_display if not (is_queue and name == "state_label"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.count_view)
        return [path("count/", view, name="reconciliation_divergence_count"), *super().get_urls()]

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Answer how many divergences wait for a person on the accounts that this person may see."""
        return JsonResponse(dict(selectors.open_counts(accounts_of(request.user))))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        checks = AccountCheck.objects.filter(account__in=accounts_of(request.user))
        extra = {
            "saved_filters": selectors.saved_filters(person(request)),
            "last_check": checks.aggregate(at=Max("checked_at"))["at"],
            "failed_checks": checks.exclude(error="").select_related("account")[:5],
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.visible_row(request, object_id)
        steps = (
            (moment(s.at), s.by or "the engine", s.action.replace("_", " "), s.text)
            for s in row.steps.select_related("by")
        )
        extra = {
            "divergence": row,
            "pairs": pairs(row),
            "hint": _hint(row),
            "steps_table": table(("Time (UTC)", "Who", "Action", "Reason"), steps),
        }
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    @display(description="Severity", label=STATES, ordering="severity")
    def severity_label(self, row: Divergence) -> tuple[str, str]:
        return SEVERITIES[row.severity], row.get_severity_display()

    @display(description="Divergence", ordering="kind")
    def title(self, row: Divergence) -> str:
        return row.get_kind_display()

    @display(description="Ticket", ordering="ticket")
    def ticket_shown(self, row: Divergence) -> str:
        ticket = link(row.order, f"#{row.ticket}") if row.order else (f"#{row.ticket}" if row.ticket else "–")
        return format_html('{} <span class="recon-symbol">{}</span>', ticket, row.symbol)

    @display(description="Ours")
    def ours_brief(self, row: Divergence) -> str:
        return brief(row, row.ours)

    @display(description="Broker")
    def theirs_brief(self, row: Divergence) -> str:
        return brief(row, row.theirs)

    @display(description="Age", ordering="opened_at")
    def age_shown(self, row: Divergence) -> str:
        return format_html(
            '<span title="since {} UTC">{}</span>', moment(row.opened_at), age(row.opened_at, CLOCK.now())
        )

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, row: Divergence) -> tuple[str, str]:
        return row.state, row.get_closed_how_display() if row.state == State.CLOSED else row.get_state_display()

    @display(description="Settle")
    def buttons(self, row: Any) -> str:
        """Offer the dialogs of the keys a, b and i where they have a meaning and the person may use them."""
        found = [
            (key, reverse(f"admin:reconciliation_divergence_{name}", args=(row.pk,)), name.replace("_", " "), text)
            for key, action, name, text in BUTTONS
            if row.may_settle and why_not(row, action) is None
        ]
        return format_html(
            '<span class="recon-do">{}</span>',
            format_html_join(
                "",
                '<a role="button" tabindex="0" data-key="{0}" title="{2} ({0})" hx-get="{1}" hx-select="#dialog" '
                'hx-target="#modal-content" x-on:htmx:after-on-load="openModal = true">{3}</a>',
                found,
            ),
        )

    @post_dialog(
        label="Accept broker",
        question="The broker's side counts.",
        button="Accept the broker's side",
        path="accept-broker",
        icon="download_done",
        form=dialogs.AcceptBrokerDialog,
        shown_when=possible(Action.ACCEPT_BROKER),
    )
    def accept_broker(self, request: HttpRequest, row: Divergence, why: str) -> str:
        settling.accept_broker(divergence=row, why=why, by=person(request), at=CLOCK.now())
        return f"{row}: the broker's side counts."

    @post_dialog(
        label="Accept ours",
        question="The broker is to follow our side.",
        button="Let the engine ask the broker",
        path="accept-ours",
        icon="upload",
        form=dialogs.AcceptOursDialog,
        shown_when=possible(Action.ACCEPT_OURS),
    )
    def accept_ours(self, request: HttpRequest, row: Divergence, why: str) -> str:
        settling.accept_ours(divergence=row, why=why, by=person(request), at=CLOCK.now())
        return f"{row}: the engine was asked to make the broker follow."

    @post_dialog(
        label="Adopt into a cycle",
        question="A bot takes the position over.",
        button="Adopt the position",
        path="adopt",
        icon="family_restroom",
        form=dialogs.AdoptDialog,
        shown_when=possible(Action.ADOPT),
    )
    def adopt(self, request: HttpRequest, row: Divergence, cycle: Cycle, why: str) -> str:
        claim = claims.claim(divergence=row, cycle=cycle, why=why, by=person(request), at=CLOCK.now())
        return f"#{row.ticket} belongs to {claim.cycle} now."

    @post_dialog(
        label="Mark as manual",
        question="The position is somebody's own.",
        button="Leave it alone",
        path="manual",
        icon="back_hand",
        form=dialogs.ManualDialog,
        shown_when=possible(Action.MANUAL),
    )
    def mark_manual(self, request: HttpRequest, row: Divergence, why: str) -> str:
        settling.mark_manual(divergence=row, why=why, by=person(request), at=CLOCK.now())
        return f"#{row.ticket} is left alone."

    @post_dialog(
        label="Ignore until",
        question="It is known and can wait.",
        button="Ignore it for now",
        path="ignore",
        icon="snooze",
        form=dialogs.IgnoreDialog,
        shown_when=possible(Action.IGNORE),
    )
    def ignore(self, request: HttpRequest, row: Divergence, hours: timedelta, why: str) -> str:
        at = CLOCK.now()
        settling.ignore_until(divergence=row, until=at + hours, why=why, by=person(request), at=at)
        return f"{row} is ignored until {moment(at + hours)} UTC."

    @post_dialog(
        label="Assign",
        question="Who looks after it?",
        button="Assign",
        path="assign",
        icon="person_add",
        form=dialogs.AssignDialog,
    )
    def assign(self, request: HttpRequest, row: Divergence, assignee: User | None, why: str) -> str:
        settling.assign(divergence=row, assignee=assignee, why=why, by=person(request), at=CLOCK.now())
        return f"{row} is assigned to {assignee or 'nobody'}."

    @post_dialog(
        label="Note",
        question="Kept beside the divergence for everybody who may see it.",
        button="Keep the note",
        path="note",
        icon="edit_note",
        form=dialogs.NoteDialog,
    )
    def note(self, request: HttpRequest, row: Divergence, why: str) -> str:
        settling.add_note(divergence=row, text=why, by=person(request), at=CLOCK.now())
        return "The note is kept."

    @post_dialog(
        label="Undo",
        question="Put it back into the queue.",
        button="Undo",
        path="undo",
        icon="undo",
        form=dialogs.UndoDialog,
        shown_when=possible(Action.UNDO),
    )
    def undo(self, request: HttpRequest, row: Divergence, why: str) -> str:
        settling.undo(divergence=row, why=why, by=person(request), at=CLOCK.now())
        return f"{row} is back in the queue."

    @post_dialog(
        label="Save this filter",
        question="The filters and the search as they are now, for you alone.",
        button="Save the filter",
        path="save-filter",
        icon="bookmark_add",
        form=dialogs.NameDialog,
    )
    def save_filter(self, request: HttpRequest, row: None, name: str) -> str:
        query = QueryDict(request.headers.get("HX-Current-URL", "").partition("?")[2]).urlencode()
        if len(query) > 500:
            raise ValidationError("This filter is too long to be kept; use fewer conditions.")
        settling.save_filter(user=person(request), name=name, query=query)
        return f"The filter {name} is saved."

    @post_dialog(
        label="Remove a filter",
        question="Removes one of your saved filters.",
        button="Remove the filter",
        path="drop-filter",
        icon="bookmark_remove",
        form=dialogs.NameDialog,
    )
    def drop_filter(self, request: HttpRequest, row: None, name: str) -> str:
        if not settling.drop_filter(user=person(request), name=name):
            raise ValidationError({"name": f"You have no filter {name}."})
        return f"The filter {name} is removed."


def _hint(row: Divergence) -> str:
    """Say what a suggestion means: perhaps the same thing, never more."""
    if "order" in row.suggestion:
        return (
            f"Perhaps this is our order #{row.suggestion['ticket']}: same symbol and side, volume and price are close."
        )
    if "position" in row.suggestion:
        return f"Perhaps position #{row.suggestion['ticket']} is this order: same side, volume and price are close."
    return ""


def waiting_count(request: HttpRequest) -> str:
    """Return the sidebar's badge, which reconciliation/count.js keeps fresh."""
    found = selectors.open_counts(accounts_of(request.user))
    hidden = "" if found["open"] else " hidden"
    return format_html(
        '<span data-divergences title="{} critical"{}>{}</span>', found["critical"], hidden, found["open"]
    )
