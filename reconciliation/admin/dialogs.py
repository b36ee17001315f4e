"""The desk's dialogs: each shows what will happen before it asks for the reason."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.adminkit import DialogForm, reason_field
from accounts.models import User
from accounts.validation import plain_text
from cycles.models import Cycle, CycleStatus
from reconciliation.actions import Action, preview, why_not
from reconciliation.admin.cells import pairs
from reconciliation.models import Claim, Divergence

PERIODS = {"1": "1 hour", "4": "4 hours", "24": "1 day", "168": "1 week"}


def row_of(object_id: object) -> Divergence | None:
    """Return the divergence that a dialog is about; the action itself checks who may see it."""
    pk = str(object_id)
    return Divergence.objects.filter(pk=pk).first() if pk.isdigit() else None


class SettleDialog(DialogForm):
    """Shows both sides and the preview of an action, and asks why."""

    action: ClassVar[Action]
    form_before_template = "reconciliation/dialog.html"
    why = reason_field("Reason")

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        context = super().get_before_template_context(request, object_id)
        row = row_of(object_id)
        if row is None:
            return context
        return {
            **context,
            "pairs": pairs(row),
            "lines": preview(row, self.action),
            "objection": why_not(row, self.action),
        }


class AcceptBrokerDialog(SettleDialog):
    action = Action.ACCEPT_BROKER


class AcceptOursDialog(SettleDialog):
    action = Action.ACCEPT_OURS


class ManualDialog(SettleDialog):
    action = Action.MANUAL


class UndoDialog(SettleDialog):
    action = Action.UNDO


class IgnoreDialog(SettleDialog):
    """Asks for how long."""

    action = Action.IGNORE
    hours = forms.ChoiceField(label="Ignore for", choices=list(PERIODS.items()), widget=UnfoldAdminSelectWidget)

    def input(self) -> dict[str, Any]:
        found = super().input()
        return {**found, "hours": timedelta(hours=int(found["hours"]))}


class AdoptDialog(SettleDialog):
    """Asks for the cycle; offers the open ones of the account and symbol."""

    action = Action.ADOPT
    cycle = forms.ModelChoiceField(Cycle.objects.none(), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = row_of(kwargs.get("object_id"))
        if row is not None:
            cycles = Cycle.objects.filter(account_id=row.account_id, status=CycleStatus.OPEN)
            fitting = cycles.filter(symbol__iexact=row.symbol).select_related("bot")
            self.fields["cycle"].queryset = fitting  # type: ignore[attr-defined]


class AssignDialog(SettleDialog):
    """Asks for the person; offers those with a role in the account."""

    action = Action.ASSIGN
    assignee = forms.ModelChoiceField(
        User.objects.none(), required=False, widget=UnfoldAdminSelectWidget, empty_label="Nobody"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = row_of(kwargs.get("object_id"))
        if row is not None:
            people = User.objects.filter(is_active=True, account_roles__account_id=row.account_id)
            own = User.objects.filter(pk=kwargs["request"].user.pk)
            self.fields["assignee"].queryset = (people | own).distinct()  # type: ignore[attr-defined]


class NoteDialog(SettleDialog):
    action = Action.NOTE
    why = reason_field("Note")


class NameDialog(DialogForm):
    """Asks for the name of a saved filter."""

    name = forms.CharField(max_length=40, validators=[plain_text], widget=UnfoldAdminTextInputWidget)


class ReleaseDialog(DialogForm):
    """Says what a release does, and asks why."""

    form_before_template = "reconciliation/dialog.html"
    why = reason_field("Reason")

    def get_before_template_context(self, request: HttpRequest, object_id: str | None = None) -> dict[str, Any]:
        context = super().get_before_template_context(request, object_id)
        pk = str(object_id)
        claim = Claim.objects.select_related("order", "cycle__bot").filter(pk=pk).first() if pk.isdigit() else None
        if claim is None:
            return context
        lines = [
            f"#{claim.order.ticket} leaves {claim.cycle}: its bot counts it no more and will not close it.",
            "The position stays open at the broker, and comes back to the desk as a foreign one.",
        ]
        return {**context, "lines": lines}
