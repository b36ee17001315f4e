"""Admin of going live: managers ask, a second manager agrees."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admincells import STATES, moment
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
from accounts.models import TradingAccount
from accounts.permissions import accounts_of
from risk.models import LiveRequest
from risk.services.golive import approve_live, ask_live, end_live


class AskDialog(DialogForm):
    """Asks for the real account, the demo account of its paper run, and what that has shown."""

    account = forms.ModelChoiceField(TradingAccount.objects.none(), widget=UnfoldAdminSelectWidget)
    paper = forms.ModelChoiceField(
        TradingAccount.objects.none(), required=False, widget=UnfoldAdminSelectWidget, label="Paper run on"
    )
    reason = reason_field("What the paper run has shown")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        managed = accounts_of(kwargs["request"].user, "manager")
        self.fields["account"].queryset = managed  # type: ignore[attr-defined]
        paper = accounts_of(kwargs["request"].user).filter(demo=True)
        self.fields["paper"].queryset = paper  # type: ignore[attr-defined]


class AgreeDialog(DialogForm):
    """Asks what the second person has looked at."""

    reason = reason_field("What you have looked at")


class EndDialog(DialogForm):
    """Asks why the account is not to trade real money."""

    reason = reason_field("Why")


@admin.register(LiveRequest)
class LiveRequestAdmin(FactAdmin[LiveRequest]):
    list_display = ("asked", "account", "state", "paper", "asked_by", "reason", "approved_by", "approve_reason")
    list_filter = (("account", ScopedRelatedFilter), ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("account", "paper", "asked_by", "approved_by")
    ordering = ("-asked_at", "-id")
    actions_list = ("ask",)
    actions_detail = ("agree", "end")
    actions_row = ("agree", "end")

    @display(description="Asked (UTC)", ordering="asked_at")
    def asked(self, row: LiveRequest) -> str:
        return moment(row.asked_at)

    @display(description="State", label=STATES)
    def state(self, row: LiveRequest) -> tuple[str, str]:
        if row.ended_at is not None:
            return "ended", "Ended"
        return ("done", "Approved") if row.approved_at is not None else ("waiting", "Waiting for a second person")

    @post_dialog(
        label="Ask to go live",
        question="A second manager has to agree before the account trades real money.",
        button="Ask",
        path="ask",
        role="manager",
        icon="rocket_launch",
        form=AskDialog,
    )
    def ask(
        self, request: HttpRequest, row: None, account: TradingAccount, paper: TradingAccount | None, reason: str
    ) -> str:
        ask_live(account=account, paper=paper, reason=reason, by=person(request), at=CLOCK.now())
        return f"Asked. A second person has to agree that {account.name} trades real money."

    @post_dialog(
        label="Agree",
        question="The account may trade real money.",
        button="Agree",
        path="agree",
        role="manager",
        icon="verified",
        form=AgreeDialog,
        shown_when=lambda row: row.approved_at is None and row.ended_at is None,
    )
    def agree(self, request: HttpRequest, row: LiveRequest, reason: str) -> str:
        approve_live(request_id=row.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"{row.account.name} may trade real money."

    @post_dialog(
        label="End",
        question="No new entries on the account any more.",
        button="End it",
        path="end",
        role="manager",
        icon="cancel",
        form=EndDialog,
        shown_when=lambda row: row.ended_at is None,
    )
    def end(self, request: HttpRequest, row: LiveRequest, reason: str) -> str:
        end_live(request_id=row.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"{row.account.name} trades no real money any more."
