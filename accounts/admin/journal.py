"""Admin of the journal and of the command inbox."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, moment
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from events.models import Command, Event


@admin.register(Event)
class EventAdmin(FactAdmin[Event]):
    list_display = ("time", "level_label", "kind", "account", "bot", "text")
    list_filter = (
        ("level", ChoicesDropdownFilter),
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("kind", FieldTextFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("kind", "text")
    search_help_text = "Kind or text"
    list_select_related = ("account", "bot")
    ordering = ("-id",)
    fields = ("at", "level", "kind", "text", "account", "bot", "cycle", "order", "data")

    @display(description="Time (UTC)", ordering="id")
    def time(self, event: Event) -> str:
        return moment(event.at)

    @display(description="Level", label=STATES, ordering="level")
    def level_label(self, event: Event) -> tuple[str, str]:
        return event.level, event.get_level_display()


@admin.register(Command)
class CommandAdmin(FactAdmin[Command]):
    list_display = ("time", "kind", "account", "state_label", "requested_by", "done", "result")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("account", ScopedRelatedFilter),
        ("requested_at", RangeDateTimeFilter),
    )
    search_fields = ("kind", "result")
    list_select_related = ("account", "requested_by")
    ordering = ("-id",)

    @display(description="Asked (UTC)", ordering="id")
    def time(self, command: Command) -> str:
        return moment(command.requested_at)

    @display(description="Answered (UTC)", ordering="done_at")
    def done(self, command: Command) -> str:
        return moment(command.done_at)

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, command: Command) -> tuple[str, str]:
        return command.state, command.get_state_display()
