"""Forms of the bot pages."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.adminkit import DeskModelForm, ReasonDialog
from accounts.models import TradingAccount
from accounts.numberfields import StrictIntegerField
from accounts.validation import symbol_list
from strategies import registry
from strategies.models import MAGIC_MAX, Bot
from strategies.selectors import next_magic
from strategies.services import room_for_one_more

SYMBOLS_TEXT_MAX = 20 * 30 + 40


class BotStateDialog(ReasonDialog):
    """Shows what a bot holds before its state changes."""

    def preview(self, object_id: str) -> list[str]:
        bot = Bot.objects.select_related("account").get(pk=object_id)
        open_cycles = bot.cycles.exclude(status="closed").count()
        lines = [f"{open_cycles} cycle(s) of it are open." if open_cycles else "None of its cycles is open."]
        if bot.account.desired_state == "stopped":
            lines.append(f"{bot.account.name} is stopped: nothing trades until it is started too.")
        return lines


class SymbolsField(forms.CharField):
    """Symbols as a person writes them: one line, separated by commas."""

    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": "EURUSD, GBPUSD"})

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        text: str = super().clean(value)
        return symbol_list(text.split(","))

    def has_changed(self, initial: Any, data: Any) -> bool:
        given = [part.strip() for part in (data or "").split(",") if part.strip()]
        return list(initial or []) != given


class BotForm(DeskModelForm[Bot]):
    """What identifies a bot; its parameters have a page of their own."""

    strategy = forms.ChoiceField(widget=UnfoldAdminSelectWidget, help_text="Can't be changed later.")
    symbols = SymbolsField(
        max_length=SYMBOLS_TEXT_MAX, help_text="Separated by commas. The bot trades each one on its own."
    )
    magic = StrictIntegerField(
        required=False,
        min_value=1,
        max_value=MAGIC_MAX,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": "next free number"}),
        help_text="Marks the bot's orders at the broker. Leave blank for the account's next free number.",
    )

    class Meta:
        model = Bot
        fields = ("account", "name", "strategy", "symbols", "magic", "interval_seconds", "restart_policy")
        help_texts = {"interval_seconds": "Seconds between two looks at the market besides its watches, from 0.1."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "strategy" in self.fields:
            choices = [(spec.slug, spec.title) for spec in registry.all_strategies()]
            self.fields["strategy"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is None:
            room_for_one_more()
            account = cleaned.get("account")
            if isinstance(account, TradingAccount) and "magic" not in self.errors and not cleaned.get("magic"):
                cleaned["magic"] = next_magic(account.pk)
            return cleaned
        gone = sorted(set(self.instance.symbols) - set(cleaned.get("symbols", self.instance.symbols)))
        if gone and self.instance.desired_state != "stopped":
            raise ValidationError({"symbols": f"Stop the bot before you take {', '.join(gone)} away from it."})
        return cleaned
