"""Admin of news: where one's own go, and what was sent there; superusers see everybody's."""

from datetime import time
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admincells import NOTHING, STATES, link, moment
from accounts.adminkit import CLOCK, DialogForm, display, person, post_dialog
from accounts.adminown import OwnAdmin
from accounts.models import TradingAccount
from accounts.numberfields import StrictIntegerField
from accounts.permissions import accounts_of, is_superuser
from events.models import Level
from notifications.models import Delivery, Target, TargetKind
from notifications.services import create_target, send_again, stop_target

State = Delivery.State
COLOURS = {
    State.WAITING: "waiting", State.SENDING: "info", State.SENT: "done", State.GIVEN_UP: "failed",
    State.REPEATED: "ignored",
}  # fmt: skip
CLOCK_TIME = UnfoldAdminTextInputWidget(attrs={"type": "time"})


class TargetDialog(DialogForm):
    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget)
    kind = forms.ChoiceField(choices=TargetKind.choices, widget=UnfoldAdminSelectWidget)
    url = forms.CharField(
        label="Address", max_length=500, widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="As tgram://TOKEN/CHAT, discord://…, mailto://…, or https://… of a webhook. It is never shown again.",
    )  # fmt: skip
    account = forms.CharField(
        required=False, max_length=60, widget=UnfoldAdminTextInputWidget, help_text="Name of one account. Blank: all."
    )
    kinds = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget,
        help_text="Kinds of events, comma separated, as CYCLE_CLOSED. Blank: all.",
    )  # fmt: skip
    level_min = forms.ChoiceField(
        label="From level", choices=Level.choices, initial=Level.WARNING, widget=UnfoldAdminSelectWidget
    )
    quiet_from = forms.TimeField(required=False, widget=CLOCK_TIME, help_text="Quiet hours begin, UTC.")
    quiet_until = forms.TimeField(required=False, widget=CLOCK_TIME, help_text="Quiet hours end, UTC.")
    digest_minutes = StrictIntegerField(
        initial=0, validators=[MinValueValidator(0), MaxValueValidator(1440)], widget=UnfoldAdminIntegerFieldWidget,
        help_text="News of so many minutes come as one message. 0: each at once.",
    )  # fmt: skip


@admin.register(Target)
class TargetAdmin(OwnAdmin):
    owner = "user"
    list_display = ("name", "kind", "user", "account", "wants", "hours", "digest", "state")
    list_select_related = ("user", "account")
    search_fields = ("name", "user__username")
    ordering = ("user__username", "name")
    fields = ("name", "kind", "user", "account", "wants", "hours", "digest", "state", "made")
    readonly_fields = ("wants", "hours", "digest", "state", "made")
    actions_list = ("make",)
    actions_detail = ("stop",)

    @display(description="Wants")
    def wants(self, target: Target) -> str:
        return f"{', '.join(target.kinds) or 'everything'}, from {target.level_min} on"

    @display(description="Quiet (UTC)")
    def hours(self, target: Target) -> str:
        if target.quiet_from is None or target.quiet_until is None:
            return NOTHING
        return f"{target.quiet_from:%H:%M} to {target.quiet_until:%H:%M}"

    @display(description="Digest")
    def digest(self, target: Target) -> str:
        return f"{target.digest_minutes} min" if target.digest_minutes else NOTHING

    @display(description="State", label=STATES)
    def state(self, target: Target) -> tuple[str, str]:
        return ("running", "Active") if target.is_active else ("stopped", "Stopped")

    @display(description="Made (UTC)")
    def made(self, target: Target) -> str:
        return moment(target.created_at)

    @post_dialog(
        label="Make a target",
        question="News of your accounts go there. Warnings before an automatic closing always do, and at once.",
        button="Make the target",
        path="make",
        role="viewer",
        icon="add_alert",
        form=TargetDialog,
    )
    def make(
        self, request: HttpRequest, row: None, name: str, kind: str, url: str, account: str, kinds: str,
        level_min: str, quiet_from: time | None, quiet_until: time | None, digest_minutes: int,
    ) -> str:  # fmt: skip
        _, secret = create_target(
            user=person(request), name=name, kind=kind, url=url, account=_account(request, account),
            kinds=[part.strip() for part in kinds.split(",") if part.strip()], level_min=level_min,
            quiet_from=quiet_from, quiet_until=quiet_until, digest_minutes=digest_minutes, at=CLOCK.now(),
        )  # fmt: skip
        return f"Made. It signs with this secret, which is not shown again: {secret}" if secret else "Made."

    @post_dialog(
        label="Stop",
        question="Nothing more is sent there.",
        button="Stop it",
        path="stop",
        role="viewer",
        icon="notifications_off",
        shown_when=lambda target: target.is_active,
        otherwise="It is stopped",
    )
    def stop(self, request: HttpRequest, target: Target) -> str:
        done = stop_target(target=target, by=person(request), at=CLOCK.now())
        return f"{target} is stopped." if done else f"{target} was stopped already."


def _account(request: HttpRequest, name: str) -> TradingAccount | None:
    if not name.strip():
        return None
    found = accounts_of(person(request)).filter(name=name.strip()).first()
    if found is None:
        raise ValidationError(f"Account: you have none that is called {name.strip()!r}.")
    return found


@admin.register(Delivery)
class DeliveryAdmin(OwnAdmin):
    owner = "target__user"
    list_display = ("time", "kind", "text", "target_link", "state_label", "tries", "due", "done", "error")
    list_display_links = ("time",)
    list_filter = (("state", ChoicesDropdownFilter), ("target", RelatedDropdownFilter))
    list_select_related = ("event", "target__user")
    search_fields = ("event__kind", "event__text", "target__name", "error")
    ordering = ("-id",)
    fields = ("time", "kind", "text", "target_link", "state_label", "is_urgent", "tries", "due", "done", "error")
    readonly_fields = fields
    actions_detail = ("again",)

    def get_field_queryset(self, db: Any, db_field: Any, request: HttpRequest) -> Any:
        """Offer one's own targets as filters."""
        found = Target.objects.all()
        return found if is_superuser(request.user) else found.filter(user=person(request))

    @display(description="Happened (UTC)", ordering="event__at")
    def time(self, row: Delivery) -> str:
        return moment(row.event.at)

    @display(description="Kind", ordering="event__kind")
    def kind(self, row: Delivery) -> str:
        return row.event.kind

    @display(description="Text")
    def text(self, row: Delivery) -> str:
        return row.event.text

    @display(description="Target", ordering="target__name")
    def target_link(self, row: Delivery) -> str:
        return link(row.target)

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, row: Delivery) -> tuple[str, str]:
        return COLOURS[State(row.state)], row.get_state_display()

    @display(description="Due (UTC)", ordering="due_at")
    def due(self, row: Delivery) -> str:
        return moment(row.due_at)

    @display(description="Ended (UTC)", ordering="done_at")
    def done(self, row: Delivery) -> str:
        return NOTHING if row.done_at is None else moment(row.done_at)

    @post_dialog(
        label="Try again",
        question="It is sent once more, within a minute.",
        button="Try again",
        path="again",
        role="viewer",
        icon="replay",
        shown_when=lambda row: row.state == State.GIVEN_UP,
        otherwise="It was not given up",
    )
    def again(self, request: HttpRequest, row: Delivery) -> str:
        if send_again(delivery=row, at=CLOCK.now()):
            return "It is tried again."
        return "It was not given up, or its target is stopped."
