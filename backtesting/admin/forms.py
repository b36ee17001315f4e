"""The form that asks for a backtest."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.numberfields import StrictFloatField, StrictIntegerField
from backtesting.domain import BALANCE_MAX, BALANCE_MIN, LEVERAGE_MAX, SEED_MAX, SPREAD_PIPS_MAX, Asked
from backtesting.selectors import config_of
from strategies.models import VERSION_MAX, Bot, BotConfig

PRICES = (("recorded", "Recorded M1 candles"), ("model", "Made by the price model, from a seed"))


def _date(label: str, help_text: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text=help_text,
    )


class BacktestForm(forms.Form):
    """What to replay, on what prices, with what account."""

    bot = forms.ModelChoiceField(queryset=Bot.objects.none(), widget=UnfoldAdminSelectWidget)
    version = StrictIntegerField(
        required=False,
        min_value=1,
        max_value=VERSION_MAX,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": "the one in use"}),
        help_text="Version of its configuration. Leave blank for the one in use.",
    )
    prices = forms.ChoiceField(choices=PRICES, widget=UnfoldAdminSelectWidget)
    begin = _date("From", "First day, UTC. Leave blank for the first recorded one.")
    end = _date("To", "Last day, UTC. Leave blank for the last recorded one.")
    seed = StrictIntegerField(
        required=False,
        min_value=0,
        max_value=SEED_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="For made prices: the same seed makes the same prices.",
    )
    balance = StrictFloatField(
        min_value=BALANCE_MIN, max_value=BALANCE_MAX, initial=10_000, widget=UnfoldAdminDecimalFieldWidget,
        help_text="At the start, in the currency that the first symbol's profits come in.",
    )  # fmt: skip
    leverage = StrictIntegerField(
        min_value=1, max_value=LEVERAGE_MAX, initial=100, widget=UnfoldAdminIntegerFieldWidget
    )
    spread = StrictFloatField(
        label="Spread (pips)", min_value=0, max_value=SPREAD_PIPS_MAX, initial=1, widget=UnfoldAdminDecimalFieldWidget,
        help_text="Candles hold bids only; the ask is so much above them.",
    )  # fmt: skip

    def __init__(self, *args: Any, bots: QuerySet[Bot], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["bot"].queryset = bots  # type: ignore[attr-defined]
        self.config: BotConfig | None = None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("prices") == "model" and cleaned.get("seed") is None and "seed" not in self.errors:
            raise ValidationError({"seed": "Made prices need a seed."})
        bot, version = cleaned.get("bot"), cleaned.get("version")
        if isinstance(bot, Bot) and "version" not in self.errors:
            self.config = config_of(bot, version)
        if not self.errors and (problems := self.asked().problems()):
            raise ValidationError(problems)
        return cleaned

    def asked(self) -> Asked:
        """Return what was asked for by a valid form."""
        given = self.cleaned_data
        begin, end = given["begin"], given["end"]
        return Asked(
            begin=datetime.combine(begin, time(), UTC) if begin else None,
            end=datetime.combine(end + timedelta(days=1), time(), UTC) if end else None,
            seed=given["seed"] if given["prices"] == "model" else None,
            balance=given["balance"],
            leverage=given["leverage"],
            spread_pips=given["spread"],
        )
