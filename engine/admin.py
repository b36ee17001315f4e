"""Admin of the engine: who runs which account, how well, in which process."""

import json

from django.contrib import admin
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter

from accounts.admincells import NOTHING, STATES, moment
from accounts.adminkit import FactAdmin, ScopedRelatedFilter, display
from engine.models import EngineHost, EngineProcess, EngineState, Lease


@admin.register(Lease)
class LeaseAdmin(FactAdmin[Lease]):
    list_display = ("account", "holder", "token", "until")
    list_filter = (("account", ScopedRelatedFilter),)
    search_fields = ("holder", "account__name")
    list_select_related = ("account",)
    ordering = ("account__name",)

    @display(description="Expires (UTC)", ordering="expires_at")
    def until(self, lease: Lease) -> str:
        return moment(lease.expires_at)


@admin.register(EngineState)
class EngineStateAdmin(FactAdmin[EngineState]):
    list_display = (
        "account",
        "status_label",
        "health_label",
        "active_positions_count",
        "last_strategy",
        "error_message",
        "updated",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("status", ChoicesDropdownFilter),
        ("manager_health_status", ChoicesDropdownFilter),
    )
    search_fields = ("account__name", "error_message")
    list_select_related = ("account",)
    ordering = ("account__name",)
    fields = (
        "account",
        "status",
        "manager_health_status",
        "error_message",
        "prehistoric_data_loaded",
        "active_positions_count",
        "last_indication_run",
        "last_strategy_run",
        "last_realtime_run",
        "updated_at",
        "statistics_text",
    )
    readonly_fields = ("statistics_text",)

    @display(description="Status", label=STATES, ordering="status")
    def status_label(self, state: EngineState) -> tuple[str, str]:
        return state.status, state.get_status_display()

    @display(description="Health", label=STATES, ordering="manager_health_status")
    def health_label(self, state: EngineState) -> tuple[str, str]:
        return state.manager_health_status, state.get_manager_health_status_display()

    @display(description="Last asked (UTC)", ordering="last_strategy_run")
    def last_strategy(self, state: EngineState) -> str:
        return moment(state.last_strategy_run)

    @display(description="Updated (UTC)", ordering="updated_at")
    def updated(self, state: EngineState) -> str:
        return moment(state.updated_at)

    @display(description="Statistics")
    def statistics_text(self, state: EngineState) -> str:
        text = json.dumps(state.statistics, indent=2, ensure_ascii=False)
        return format_html('<pre class="overflow-x-auto whitespace-pre-wrap">{}</pre>', text)


@admin.register(EngineProcess)
class EngineProcessAdmin(FactAdmin[EngineProcess]):
    """Processes belong to hosts, not to accounts: superusers see them."""

    account_path = None
    list_display = ("host", "role", "pid", "started", "seen", "restarts", "cpu", "memory", "handles", "stop_requested")
    list_filter = (("role", ChoicesDropdownFilter), ("host", FieldTextFilter))
    search_fields = ("name", "host")
    ordering = ("host", "role", "pid")

    @display(description="Started (UTC)", ordering="started_at")
    def started(self, process: EngineProcess) -> str:
        return moment(process.started_at)

    @display(description="Seen (UTC)", ordering="seen_at")
    def seen(self, process: EngineProcess) -> str:
        return moment(process.seen_at)

    @display(description="CPU", ordering="cpu_percent")
    def cpu(self, process: EngineProcess) -> str:
        return f"{process.cpu_percent:.1f} %"

    @display(description="Memory", ordering="rss_bytes")
    def memory(self, process: EngineProcess) -> str:
        return f"{process.rss_bytes / 2**20:.0f} MB"


@admin.register(EngineHost)
class EngineHostAdmin(FactAdmin[EngineHost]):
    """Machines belong to nobody's account: superusers see them."""

    account_path = None
    list_display = ("host", "seen", "runners", "cpu", "memory", "disk", "clock", "problem")
    search_fields = ("host",)
    ordering = ("host",)

    @display(description="Seen (UTC)", ordering="seen_at")
    def seen(self, host: EngineHost) -> str:
        return moment(host.seen_at)

    @display(description="CPU", ordering="cpu_percent")
    def cpu(self, host: EngineHost) -> str:
        return f"{host.cpu_percent:.0f} %"

    @display(description="Memory", ordering="memory_percent")
    def memory(self, host: EngineHost) -> str:
        return f"{host.memory_percent:.0f} %"

    @display(description="Disk free", ordering="disk_free_bytes")
    def disk(self, host: EngineHost) -> str:
        return f"{host.disk_free_bytes / 1e9:.1f} GB"

    @display(description="Clock ahead", ordering="clock_skew_seconds")
    def clock(self, host: EngineHost) -> str:
        return NOTHING if host.clock_skew_seconds is None else f"{host.clock_skew_seconds:+.3f} s"
