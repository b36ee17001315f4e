"""Admin of the kill switch: stop a bot, an account or everything, by typing its name; and release it again."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

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
from accounts.permissions import accounts_of, is_superuser
from risk.models import KillSwitch
from risk.services.killing import EVERYTHING, confirmation_of, kill, release
from strategies.models import Bot


class KillDialog(DialogForm):
    """Asks what is to be stopped, how far, why, and for its name. Everything at once is for superusers."""

    account = forms.ModelChoiceField(
        TradingAccount.objects.none(), required=False, widget=UnfoldAdminSelectWidget, empty_label="Choose an account"
    )
    bot = forms.ModelChoiceField(
        Bot.objects.none(), required=False, widget=UnfoldAdminSelectWidget, empty_label="All bots of the account"
    )
    mode = forms.ChoiceField(choices=KillSwitch.Mode.choices, widget=UnfoldAdminSelectWidget)
    reason = reason_field("Why")
    confirmation = forms.CharField(
        label="Type the name of the bot or account to confirm",
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = kwargs["request"].user
        accounts = accounts_of(user, "trader")
        account, bot = self.fields["account"], self.fields["bot"]
        account.queryset = accounts  # type: ignore[attr-defined]
        bot.queryset = Bot.objects.filter(account__in=accounts)  # type: ignore[attr-defined]
        # Where it was opened from a page of something, that is what it begins with
        for name in ("account", "bot", "mode"):
            self.fields[name].initial = kwargs["request"].GET.get(name)
        if is_superuser(user):
            account.empty_label = "Everything: all accounts"  # type: ignore[attr-defined]
            self.fields["confirmation"].label = f"Type the name of the bot or account, or {EVERYTHING}, to confirm"
        else:
            account.required = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        account, bot = cleaned.get("account"), cleaned.get("bot")
        if bot and (account is None or bot.account_id != account.pk):
            raise ValidationError({"bot": f"{bot.name} is not a bot of the chosen account."})
        return cleaned


class ReleaseDialog(DialogForm):
    """Asks why what was stopped may go on."""

    reason = reason_field("Why it may go on")


@admin.register(KillSwitch)
class KillSwitchAdmin(FactAdmin[KillSwitch]):
    list_display = ("thrown", "target", "mode_label", "state", "reason", "by", "released", "release_reason")
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("mode", ChoicesDropdownFilter),
        ("released_at", admin.EmptyFieldListFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("reason", "release_reason")
    list_select_related = ("account", "bot", "by")
    ordering = ("-at", "-id")
    actions_list = ("throw",)
    actions_detail = ("release",)
    actions_row = ("release",)

    @display(description="Since (UTC)", ordering="at")
    def thrown(self, switch: KillSwitch) -> str:
        return moment(switch.at)

    @display(description="Released (UTC)", ordering="released_at")
    def released(self, switch: KillSwitch) -> str:
        return moment(switch.released_at)

    @display(description="What")
    def target(self, switch: KillSwitch) -> str:
        return confirmation_of(switch.account, switch.bot)

    @display(description="Mode", label=STATES, ordering="mode")
    def mode_label(self, switch: KillSwitch) -> tuple[str, str]:
        return switch.mode, switch.get_mode_display()

    @display(description="State", label=STATES)
    def state(self, switch: KillSwitch) -> tuple[str, str]:
        return ("standing", "Standing") if switch.released_at is None else ("released", "Released")

    @post_dialog(
        label="Kill switch",
        question="Stops at once, whatever the strategies do, and stays until somebody releases it.",
        button="Stop it",
        path="kill",
        icon="dangerous",
        form=KillDialog,
    )
    def throw(
        self,
        request: HttpRequest,
        row: None,
        account: TradingAccount | None,
        bot: Bot | None,
        mode: str,
        reason: str,
        confirmation: str,
    ) -> str:
        by = person(request)
        switch = kill(
            mode=mode, reason=reason, confirmation=confirmation, account=account, bot=bot, by=by, at=CLOCK.now()
        )
        return f"{confirmation_of(account, bot)}: {switch.get_mode_display()}."

    @post_dialog(
        label="Release",
        question="Let what was stopped go on.",
        button="Release it",
        path="release",
        role="manager",
        icon="lock_open",
        form=ReleaseDialog,
        shown_when=lambda switch: switch.released_at is None,
    )
    def release(self, request: HttpRequest, switch: KillSwitch, reason: str) -> str:
        release(switch_id=switch.pk, reason=reason, by=person(request), at=CLOCK.now())
        return f"{confirmation_of(switch.account, switch.bot)} may go on."
