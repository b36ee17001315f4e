"""Admin of blocks: who forbids entries on what and why; people raise and lift them here."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import FieldTextFilter, RangeDateTimeFilter
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
from risk import services
from risk.models import Block
from risk.services.blocks import GUARD, RESTART
from strategies.models import Bot

PERSON = "person"


class RaiseDialog(DialogForm):
    """Asks what is to be blocked and why; offers the accounts on which the person may trade."""

    account = forms.ModelChoiceField(TradingAccount.objects.none(), widget=UnfoldAdminSelectWidget)
    bot = forms.ModelChoiceField(
        Bot.objects.none(), required=False, widget=UnfoldAdminSelectWidget, empty_label="All bots of the account"
    )
    reason = reason_field("Why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = accounts_of(kwargs["request"].user, "trader")
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]
        self.fields["bot"].queryset = Bot.objects.filter(account__in=accounts)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        account, bot = cleaned.get("account"), cleaned.get("bot")
        if account and bot and bot.account_id != account.pk:
            raise ValidationError({"bot": f"{bot.name} is not a bot of {account.name}."})
        return cleaned


class LiftDialog(DialogForm):
    """Asks why entries are to be allowed again."""

    why = reason_field("Why entries may go on")


@admin.register(Block)
class BlockAdmin(FactAdmin[Block]):
    list_display = (
        "raised",
        "account",
        "bot",
        "symbol",
        "cause",
        "reason",
        "standing",
        "raised_by",
        "lifted_why",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("bot", ScopedRelatedFilter),
        ("cause", FieldTextFilter),
        ("lifted_at", admin.EmptyFieldListFilter),
        ("raised_at", RangeDateTimeFilter),
    )
    search_fields = ("cause", "reason", "lifted_why")
    list_select_related = ("account", "bot", "raised_by")
    ordering = ("-raised_at", "-id")
    actions_list = ("raise_block",)
    actions_detail = ("approve", "lift")
    actions_row = ("approve", "lift")

    @display(description="Raised (UTC)", ordering="raised_at")
    def raised(self, block: Block) -> str:
        return moment(block.raised_at)

    @display(description="State", label=STATES)
    def standing(self, block: Block) -> tuple[str, str]:
        return ("standing", "Standing") if block.lifted_at is None else ("lifted", "Lifted")

    @post_dialog(
        label="Raise a block",
        question="No new entries while it stands. Closing stays possible.",
        button="Block entries",
        path="raise",
        icon="block",
        form=RaiseDialog,
    )
    def raise_block(
        self, request: HttpRequest, row: None, account: TradingAccount, bot: Bot | None, reason: str
    ) -> str:
        services.raise_block(
            account_id=account.pk,
            bot_id=bot.pk if bot else None,
            cause=PERSON,
            reason=reason,
            by_id=person(request).pk,
            at=CLOCK.now(),
        )
        return f"No new entries on {bot.name if bot else account.name}: {reason}"

    @post_dialog(
        label="Approve",
        question="The bots go on as they decide, and may open again what the restart report calls missing.",
        button="Approve going on",
        path="approve",
        icon="task_alt",
        form=LiftDialog,
        shown_when=lambda block: block.lifted_at is None and block.cause.startswith(f"{RESTART} "),
    )
    def approve(self, request: HttpRequest, block: Block, why: str) -> str:
        return self._lifted(request, block, why, "Approved")

    @post_dialog(
        label="Lift",
        question="Entries are allowed again as far as this block is concerned.",
        button="Lift the block",
        path="lift",
        icon="lock_open",
        form=LiftDialog,
        shown_when=lambda block: block.lifted_at is None and not block.cause.startswith((f"{GUARD} ", f"{RESTART} ")),
    )
    def lift(self, request: HttpRequest, block: Block, why: str) -> str:
        return self._lifted(request, block, why, "The block was lifted")

    def _lifted(self, request: HttpRequest, block: Block, why: str, said: str) -> str:
        won = services.lift_block(block_id=block.pk, why=why, by_id=person(request).pk, at=CLOCK.now())
        return f"{said}: {why}" if won else "The block was lifted before."
