"""Admin of the journal, of the audit trail and of the command inbox."""

import json

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import NOTHING, STATES, moment, to_the_millisecond
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from events.audit import SYSTEM
from events.models import AuditEntry, Command, Event


@admin.register(Event)
class EventAdmin(FactAdmin[Event]):
    list_before_template = "desk/tail.html"
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
        return to_the_millisecond(event.at)

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


@admin.register(AuditEntry)
class AuditEntryAdmin(FactAdmin[AuditEntry]):
    list_display = ("time", "account", "who", "via", "action", "text", "reason")
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("actor_name", FieldTextFilter),
        ("via", FieldTextFilter),
        ("action", FieldTextFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("text", "reason", "request_id", "actor_name")
    search_help_text = "Text, reason, person or number of the request"
    list_select_related = ("account",)
    ordering = ("-id",)
    fields = (
        "at", "who", "via", "action", "text", "reason", "account", "subject", "what_changed", "request_id", "sequence",
        "previous_hash", "hash",
    )  # fmt: skip
    readonly_fields = ("who", "what_changed")

    @display(description="Time (UTC)", ordering="id")
    def time(self, entry: AuditEntry) -> str:
        return moment(entry.at)

    @display(description="Who", ordering="actor_name")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor_name or SYSTEM

    @display(description="Before → after")
    def what_changed(self, entry: AuditEntry) -> str:
        pairs = json.loads(entry.changes)
        return "; ".join(f"{name}: {before} → {after}" for name, (before, after) in sorted(pairs.items())) or NOTHING
