"""Admin of alarms: managers veto a countdown and re-arm what fired; peaks and days show what guards stand on."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter

from accounts.admincells import STATES, amount, moment, worst_case_text
from accounts.adminkit import (
    CLOCK,
    DialogForm,
    FactAdmin,
    ScopedRelatedFilter,
    display,
    person,
    post_dialog,
    reason_field,
)
from accounts.models import Money
from risk.models import DayStart, EquityPeak, GuardAlarm, RiskProjection
from risk.services.alarms import acknowledge_alarm, rearm_alarm, veto_alarm

TIERS = {GuardAlarm.Tier.WARN: "warn", GuardAlarm.Tier.REDUCE: "reduce", GuardAlarm.Tier.CLOSE: "close"}


class VetoDialog(DialogForm):
    """Asks why the closing is to be stopped."""

    reason = reason_field("Why nothing is to be closed")


class RearmDialog(DialogForm):
    """Asks why entries may go on."""

    reason = reason_field("What you found, and why entries may go on")


class AcknowledgeDialog(DialogForm):
    """Asks what the person has seen; the next one reads it in the audit."""

    reason = reason_field("What you have seen, or do about it")


@admin.register(GuardAlarm)
class GuardAlarmAdmin(FactAdmin[GuardAlarm]):
    list_display = (
        "raised",
        "account",
        "guard",
        "about",
        "tier_label",
        "phase_label",
        "text",
        "left",
        "until",
        "acknowledged_by",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("guard", FieldTextFilter),
        ("phase", ChoicesDropdownFilter),
        ("tier", ChoicesDropdownFilter),
        ("ended_at", admin.EmptyFieldListFilter),
        ("since", RangeDateTimeFilter),
    )
    search_fields = ("guard", "subject", "text", "veto_reason", "end_reason")
    list_select_related = ("account", "bot", "acknowledged_by")
    ordering = ("-since", "-id")
    actions_detail = ("veto", "rearm", "acknowledge")
    actions_row = ("veto", "rearm", "acknowledge")
    fieldsets = (
        (None, {"fields": ("account", "guard", "level", "subject", "bot", "tier", "phase", "text")}),
        ("Figures", {"fields": ("figure", "limit", "since", "deadline", "left", "trouble")}),
        (
            "People",
            {
                "fields": (
                    "acknowledged_at",
                    "acknowledged_by",
                    "vetoed_at",
                    "vetoed_by",
                    "veto_reason",
                    "ended_at",
                    "ended_by",
                    "end_reason",
                )
            },
        ),
    )

    @display(description="Since (UTC)", ordering="since")
    def raised(self, alarm: GuardAlarm) -> str:
        return moment(alarm.since)

    @display(description="Closes at (UTC)", ordering="deadline")
    def until(self, alarm: GuardAlarm) -> str:
        return moment(alarm.deadline)

    @display(description="About")
    def about(self, alarm: GuardAlarm) -> str:
        return f"{alarm.level} {alarm.subject}".strip()

    @display(description="Asks for", label=STATES, ordering="tier")
    def tier_label(self, alarm: GuardAlarm) -> tuple[str, str]:
        return TIERS[GuardAlarm.Tier(alarm.tier)], alarm.get_tier_display()

    @display(description="State", label=STATES, ordering="phase")
    def phase_label(self, alarm: GuardAlarm) -> tuple[str, str]:
        return alarm.phase, alarm.get_phase_display()

    @post_dialog(
        label="Veto",
        question="Stop the countdown: nothing is closed. No entries until the guard is re-armed, and a much deeper "
        "loss counts down again.",
        button="Veto the closing",
        path="veto",
        role="manager",
        icon="front_hand",
        form=VetoDialog,
        shown_when=lambda alarm: alarm.phase == GuardAlarm.Phase.COUNTDOWN,
    )
    def veto(self, request: HttpRequest, alarm: GuardAlarm, reason: str) -> str:
        veto_alarm(alarm_id=alarm.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"Vetoed: nothing is closed on {alarm.account.name}."

    @post_dialog(
        label="Re-arm",
        question="End the alarm: entries are allowed again, and the guard begins anew from what is there now.",
        button="Re-arm the guard",
        path="rearm",
        role="manager",
        icon="restart_alt",
        form=RearmDialog,
        shown_when=lambda alarm: alarm.phase in (GuardAlarm.Phase.CLOSED, GuardAlarm.Phase.VETOED),
    )
    def rearm(self, request: HttpRequest, alarm: GuardAlarm, reason: str) -> str:
        rearm_alarm(alarm_id=alarm.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"{alarm.guard} is armed again on {alarm.account.name}."

    @post_dialog(
        label="Acknowledge",
        question="Write down that you have seen it. It changes nothing else: what counts down or closes goes on.",
        button="I have seen it",
        path="acknowledge",
        role="trader",
        icon="visibility",
        form=AcknowledgeDialog,
        shown_when=lambda alarm: alarm.ended_at is None and alarm.acknowledged_at is None,
    )
    def acknowledge(self, request: HttpRequest, alarm: GuardAlarm, reason: str) -> str:
        acknowledge_alarm(alarm_id=alarm.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"{alarm.guard} on {alarm.account.name}: seen by you. It still stands."


@admin.register(EquityPeak)
class PeakAdmin(FactAdmin[EquityPeak]):
    list_display = ("account", "money_kind", "peak", "at", "start_value", "start_at", "ledger_gap")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    ordering = ("account__name",)

    @display(description="Money", label=STATES)
    def money_kind(self, row: EquityPeak) -> tuple[str, str]:
        money = row.account.money if row.demo else Money.LIVE
        return money, money.label

    @display(description="Clean peak", ordering="value")
    def peak(self, row: EquityPeak) -> str:
        return amount(row.value)


@admin.register(DayStart)
class DayAdmin(FactAdmin[DayStart]):
    list_display = ("day", "account", "equity", "balance", "at")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    ordering = ("-day",)


@admin.register(RiskProjection)
class ProjectionAdmin(FactAdmin[RiskProjection]):
    list_display = ("account", "at", "distance", "worst")
    list_filter = (("account", ScopedRelatedFilter),)
    list_select_related = ("account",)
    ordering = ("account__name",)

    @display(description="Above stop-out")
    def distance(self, row: RiskProjection) -> str:
        return amount(row.data.get("to_stop_out"))

    @display(description="If prices run to the last level")
    def worst(self, row: RiskProjection) -> str:
        return worst_case_text(row.data)
