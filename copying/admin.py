"""Admin of trade copy: who copies whom by what rules, and what came of each position."""

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.admincells import NOTHING, STATES, link, moment
from accounts.adminkit import (
    CLOCK,
    DialogForm,
    FactAdmin,
    ScopedRelatedFilter,
    display,
    person,
    post_dialog,
    scoped,
)
from accounts.models import TradingAccount
from accounts.numberfields import StrictDecimalField, StrictFloatField, StrictIntegerField
from accounts.permissions import accounts_of, can
from copying.models import SCALINGS, Copy, Subscription
from copying.services import subscribe, unsubscribe
from strategies.models import Bot

State = Copy.State
COLOURS = {
    State.WAITING: "waiting", State.OPEN: "open", State.CLOSING: "closing", State.CLOSED: "closed",
    State.SKIPPED: "refused",
}  # fmt: skip


class SubscriptionDialog(DialogForm):
    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget)
    bot = forms.CharField(
        max_length=60, widget=UnfoldAdminTextInputWidget, help_text="Name of a bot with the strategy copier."
    )
    provider = forms.CharField(
        max_length=60, widget=UnfoldAdminTextInputWidget, help_text="Name of the account copied."
    )
    provider_bot = forms.CharField(
        required=False, max_length=60, widget=UnfoldAdminTextInputWidget, help_text="Only this bot of it. Blank: all."
    )
    scaling = forms.ChoiceField(choices=SCALINGS, widget=UnfoldAdminSelectWidget)
    factor = StrictDecimalField(
        max_digits=12, decimal_places=4, initial=1, min_value=Decimal("0.0001"), widget=UnfoldAdminDecimalFieldWidget
    )
    volume_max = StrictDecimalField(
        max_digits=14,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Lots of a copy at most.",
    )
    symbol_map = forms.CharField(
        required=False, max_length=4000, widget=UnfoldAdminTextInputWidget,
        help_text='Where symbols are called otherwise here, as {"EURUSD.r": "EURUSD"}.',
    )  # fmt: skip
    reverse = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget, help_text="Buy what they sell.")
    positions_max = StrictIntegerField(
        initial=10, min_value=1, max_value=1000, widget=UnfoldAdminIntegerFieldWidget, help_text="Open copies at most."
    )
    age_max_seconds = StrictFloatField(
        initial=10, min_value=0.5, max_value=3600, widget=UnfoldAdminDecimalFieldWidget,
        help_text="Positions that were opened longer ago are not copied.",
    )  # fmt: skip
    deviation_pips_max = StrictFloatField(
        initial=5, min_value=0, max_value=100_000, widget=UnfoldAdminDecimalFieldWidget,
        help_text="How far the price may be from the provider's.",
    )  # fmt: skip


@admin.register(Subscription)
class SubscriptionAdmin(FactAdmin[Subscription]):
    account_path = "bot__account"
    list_display = ("name", "bot_link", "copies_whom", "lots", "guards", "state")
    list_select_related = ("bot__account", "provider", "provider_bot")
    list_filter = (("bot", ScopedRelatedFilter),)
    search_fields = ("name", "bot__name", "provider__name")
    ordering = ("bot__name", "name")
    fields = ("name", "bot_link", "copies_whom", "lots", "guards", "symbol_map", "reverse", "state", "since")
    readonly_fields = fields
    actions_list = ("make",)
    actions_detail = ("stop",)

    @display(description="Bot", ordering="bot__name")
    def bot_link(self, subscription: Subscription) -> str:
        return link(subscription.bot)

    @display(description="Copies")
    def copies_whom(self, subscription: Subscription) -> str:
        # By name: who may see the copying account need not see the provider's
        return str(subscription.provider_bot or subscription.provider.name)

    @display(description="Lots")
    def lots(self, subscription: Subscription) -> str:
        turned = ", turned around" if subscription.reverse else ""
        return f"{subscription.scaling} × {subscription.factor.normalize():f}{turned}"

    @display(description="Guards")
    def guards(self, subscription: Subscription) -> str:
        return (
            f"at most {subscription.volume_max.normalize():f} lots, {subscription.positions_max} open, "
            f"{subscription.age_max_seconds:g} s old, {subscription.deviation_pips_max:g} pips away"
        )

    @display(description="State", label=STATES)
    def state(self, subscription: Subscription) -> tuple[str, str]:
        return ("running", "Copies") if subscription.is_active else ("stopped", "Stopped")

    @post_dialog(
        label="Copy an account",
        question="What it opens from now on is opened here as well, through the review and guards of this account.",
        button="Copy it",
        path="make",
        role="manager",
        icon="content_copy",
        form=SubscriptionDialog,
        is_dangerous=True,
    )
    def make(
        self, request: HttpRequest, row: None, bot: str, provider: str, provider_bot: str, symbol_map: str,
        factor: Decimal, volume_max: Decimal, **terms: Any,
    ) -> str:  # fmt: skip
        who = person(request)
        copier, account = _bot(request, bot), _account(request, provider)
        if not can(who, copier.account, "manager"):
            raise PermissionDenied
        of_bot = _bot(request, provider_bot) if provider_bot.strip() else None
        made = subscribe(
            bot=copier, provider=account, provider_bot=of_bot, symbol_map=_pairs(symbol_map), factor=factor,
            volume_max=volume_max, by=who, at=CLOCK.now(), **terms,
        )  # fmt: skip
        return f"{made} copies from now on."

    @post_dialog(
        label="Stop",
        question="Nothing more is copied. What is open is followed to its end.",
        button="Stop it",
        path="stop",
        role="manager",
        icon="block",
        shown_when=lambda subscription: subscription.is_active,
        otherwise="It is stopped",
    )
    def stop(self, request: HttpRequest, subscription: Subscription) -> str:
        done = unsubscribe(subscription=subscription, by=person(request), at=CLOCK.now())
        return f"{subscription.name} is stopped." if done else f"{subscription.name} was stopped already."


def _bot(request: HttpRequest, name: str) -> Bot:
    found = list(scoped(Bot.objects.select_related("account"), request).filter(name=name.strip())[:2])
    if len(found) != 1:
        raise ValidationError(f"Bot: {'several are' if found else 'none is'} called {name.strip()!r}.")
    return found[0]


def _account(request: HttpRequest, name: str) -> TradingAccount:
    found = accounts_of(person(request)).filter(name=name.strip()).first()
    if found is None:
        raise ValidationError(f"Provider: you have no account that is called {name.strip()!r}.")
    return found


def _pairs(text: str) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValidationError('Symbol map: write it as {"EURUSD.r": "EURUSD"}.')
    return found


@admin.register(Copy)
class CopyAdmin(FactAdmin[Copy]):
    account_path = "subscription__bot__account"
    list_display = ("number", "of", "bot_link", "what", "state_label", "reason", "latency_shown", "seen", "cycle_link")
    list_display_links = ("number",)
    list_select_related = ("subscription__bot", "source", "cycle__bot")
    list_filter = (("subscription", ScopedRelatedFilter), ("state", ChoicesDropdownFilter))
    search_fields = ("reason", "source__symbol", "subscription__name")
    ordering = ("-id",)
    fields = ("of", "bot_link", "what", "state_label", "reason", "latency_shown", "seen", "decided_at", "cycle_link")
    readonly_fields = fields

    @display(description="#", ordering="pk")
    def number(self, copy: Copy) -> str:
        return f"{copy.pk}"

    @display(description="Provider's position")
    def of(self, copy: Copy) -> str:
        source = copy.source
        return f"#{source.ticket} {source.side} {source.volume_initial.normalize():f} {source.symbol}"

    @display(description="Bot")
    def bot_link(self, copy: Copy) -> str:
        return link(copy.subscription.bot)

    @display(description="Lots here")
    def what(self, copy: Copy) -> str:
        return NOTHING if copy.volume is None else f"{copy.volume.normalize():f}"

    @display(description="State", label=STATES, ordering="state")
    def state_label(self, copy: Copy) -> tuple[str, str]:
        return COLOURS[State(copy.state)], copy.get_state_display()

    @display(description="Latency")
    def latency_shown(self, copy: Copy) -> str:
        return NOTHING if copy.latency is None else f"{copy.latency.total_seconds():.2f} s"

    @display(description="Seen (UTC)", ordering="seen_at")
    def seen(self, copy: Copy) -> str:
        return moment(copy.seen_at)

    @display(description="Cycle")
    def cycle_link(self, copy: Copy) -> str:
        return NOTHING if copy.cycle is None else link(copy.cycle)
