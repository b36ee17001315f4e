"""Admin of signals: who may send them and by what rules, what came, what people said to it and what came of it."""

from decimal import Decimal

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from accounts.admincells import NOTHING, STATES, link, moment
from accounts.adminkit import (
    CLOCK,
    DialogForm,
    FactAdmin,
    ReasonDialog,
    ScopedRelatedFilter,
    display,
    person,
    post_dialog,
    scoped,
)
from accounts.numberfields import StrictDecimalField, StrictFloatField
from accounts.permissions import can
from core.ids import SystemIds
from signals import services
from signals.models import Signal, SignalSource
from signals.services import create_source, stop_source
from strategies.models import Bot

State = Signal.State
COLOURS = {
    State.WAITING: "waiting", State.APPROVED: "accepted", State.REJECTED: "cancelled", State.EXPIRED: "closed",
    State.DONE: "done", State.REFUSED: "refused",
}  # fmt: skip
SIDES = {"buy": "▲ buy", "sell": "▼ sell", "close": "■ close"}


class SourceDialog(DialogForm):
    bot = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget, help_text="Name of the bot it trades.")
    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="What sends: TradingView, …")
    volume = StrictDecimalField(
        min_value=0,
        max_digits=14,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Lots, if an alert says none.",
    )
    volume_max = StrictDecimalField(
        min_value=0,
        max_digits=14,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Lots no alert may exceed.",
    )
    max_age_seconds = StrictFloatField(
        initial=30,
        min_value=1,
        max_value=3600,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="No older ones.",
    )
    approval_seconds = StrictFloatField(
        required=False, min_value=5, max_value=86_400, widget=UnfoldAdminDecimalFieldWidget,
        help_text="A person approves each alert within so many seconds. Blank: nobody has to.",
    )  # fmt: skip


@admin.register(SignalSource)
class SourceAdmin(FactAdmin[SignalSource]):
    account_path = "bot__account"
    list_display = ("name", "bot_link", "rules", "approval", "state", "address")
    list_select_related = ("bot__account",)
    list_filter = (("bot", ScopedRelatedFilter),)
    search_fields = ("name", "prefix", "bot__name")
    ordering = ("bot__name", "name")
    fields = ("name", "bot", "rules", "approval", "state", "address", "created_by", "created_at")
    readonly_fields = fields
    actions_list = ("make",)
    actions_detail = ("stop",)

    @display(description="Bot", ordering="bot__name")
    def bot_link(self, source: SignalSource) -> str:
        return link(source.bot)

    @display(description="Rules")
    def rules(self, source: SignalSource) -> str:
        lots = f"{_lots(source.volume)} lots, at most {_lots(source.volume_max)}"
        return f"{lots}, no older than {source.max_age_seconds:g} s"

    @display(description="Approval")
    def approval(self, source: SignalSource) -> str:
        return "nobody has to" if source.approval_seconds is None else f"within {source.approval_seconds:g} s"

    @display(description="State", label=STATES)
    def state(self, source: SignalSource) -> tuple[str, str]:
        return ("running", "Taken") if source.is_active else ("stopped", "Stopped")

    @display(description="Posts to")
    def address(self, source: SignalSource) -> str:
        return f"/api/signals/in/{source.prefix}"

    @post_dialog(
        label="Make a source",
        question="Alerts signed with its secret trade the bot, by these rules. The secret is shown once.",
        button="Make the source",
        path="make",
        role="manager",
        icon="sensors",
        form=SourceDialog,
        is_dangerous=True,
    )
    def make(
        self, request: HttpRequest, row: None, bot: str, name: str, volume: Decimal, volume_max: Decimal,
        max_age_seconds: float, approval_seconds: float | None,
    ) -> str:  # fmt: skip
        source, secret = create_source(
            bot=_bot(request, bot), name=name, volume=volume, volume_max=volume_max, max_age_seconds=max_age_seconds,
            approval_seconds=approval_seconds, by=person(request), at=CLOCK.now(), ids=SystemIds(),
        )  # fmt: skip
        return f"{self.address(source)} takes what is signed with this secret, not shown again: {secret}"

    @post_dialog(
        label="Stop",
        question="Nothing more of it is taken. What it opened stays with the bot.",
        button="Stop it",
        path="stop",
        role="manager",
        icon="block",
        shown_when=lambda source: source.is_active,
        otherwise="It is stopped",
    )
    def stop(self, request: HttpRequest, source: SignalSource) -> str:
        done = stop_source(source=source, by=person(request), at=CLOCK.now())
        return f"{source.name} is stopped." if done else f"{source.name} was stopped already."


def _lots(volume: Decimal) -> str:
    return f"{volume.normalize():f}"


def _bot(request: HttpRequest, name: str) -> Bot:
    found = list(scoped(Bot.objects.select_related("account"), request).filter(name=name.strip())[:2])
    if len(found) != 1:
        text = "several bots are called" if found else "there is no bot that is called"
        raise ValidationError(f"Bot: {text} {name.strip()!r}.")
    if not can(person(request), found[0].account, "manager"):
        raise PermissionDenied
    return found[0]


@admin.register(Signal)
class SignalAdmin(FactAdmin[Signal]):
    account_path = "source__bot__account"
    list_display = ("key", "bot_link", "source_link", "what", "state_label", "result", "received", "until", "decided")
    list_select_related = ("source__bot__account", "decided_by")
    list_filter = (("source", ScopedRelatedFilter), ("state", ChoicesDropdownFilter))
    search_fields = ("key", "symbol", "source__name", "source__bot__name")
    ordering = ("-id",)
    fields = (
        "key", "bot_link", "source_link", "what", "sl", "tp", "state_label", "result", "sent_at", "received", "until",
        "decided", "cycle_link",
    )  # fmt: skip
    readonly_fields = fields
    actions_detail = ("approve", "reject")

    @display(description="Bot")
    def bot_link(self, signal: Signal) -> str:
        return link(signal.source.bot)

    @display(description="Source", ordering="source__name")
    def source_link(self, signal: Signal) -> str:
        return link(signal.source)

    @display(description="Asked for")
    def what(self, signal: Signal) -> str:
        return f"{SIDES[signal.action]} {_lots(signal.volume)} {signal.symbol}"

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, signal: Signal) -> tuple[str, str]:
        state = State(signal.state_at(CLOCK.now()))
        return COLOURS[state], str(state.label)

    @display(description="Received (UTC)", ordering="received_at")
    def received(self, signal: Signal) -> str:
        return moment(signal.received_at)

    @display(description="Until (UTC)", ordering="follow_until")
    def until(self, signal: Signal) -> str:
        return moment(signal.follow_until)

    @display(description="Decided")
    def decided(self, signal: Signal) -> str:
        if signal.decided_at is None:
            return NOTHING
        return f"{signal.decided_by or 'the system'}, {moment(signal.decided_at)}"

    @display(description="Cycle")
    def cycle_link(self, signal: Signal) -> str:
        return NOTHING if signal.cycle is None else link(signal.cycle)

    @post_dialog(
        label="Approve",
        question="The bot's session trades it now, through the same review as the bot's own entries.",
        button="Approve it",
        path="approve",
        icon="check",
        form=ReasonDialog,
        shown_when=lambda signal: signal.state_at(CLOCK.now()) == State.WAITING,
        otherwise="It does not wait",
    )
    def approve(self, request: HttpRequest, signal: Signal, reason: str) -> str:
        services.approve(signal=signal, by=person(request), at=CLOCK.now(), reason=reason)
        return f"{signal.key} is approved."

    @post_dialog(
        label="Reject",
        question="Nothing is traded for it.",
        button="Reject it",
        path="reject",
        icon="close",
        form=ReasonDialog,
        shown_when=lambda signal: signal.state_at(CLOCK.now()) == State.WAITING,
        otherwise="It does not wait",
    )
    def reject(self, request: HttpRequest, signal: Signal, reason: str) -> str:
        services.reject(signal=signal, by=person(request), at=CLOCK.now(), reason=reason)
        return f"{signal.key} is rejected."
