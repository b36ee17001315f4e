"""Admin of configuration versions: seen, compared and brought back, never changed."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import RangeDateTimeFilter

from accounts.admincells import moment
from accounts.adminkit import CLOCK, DialogForm, FactAdmin, ScopedRelatedFilter, display, person, post_dialog
from accounts.numberfields import StrictIntegerField
from strategies import services
from strategies.models import VERSION_MAX, BotConfig
from strategies.selectors import Change, differences


def current_version(config: BotConfig) -> int:
    """Return the version that the bot uses now; 0 for none."""
    return config.bot.config.version if config.bot.config else 0


def said(change: Change) -> str:
    """Put a changed parameter into words."""
    before, after = (json.dumps(value, ensure_ascii=False) for value in (change.before, change.after))
    return f"{change.name}: {before} → {after}"


class RevertDialog(DialogForm):
    """Remembers which version was current when the dialog was opened."""

    seen_version = StrictIntegerField(widget=forms.HiddenInput, min_value=0, max_value=VERSION_MAX)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = BotConfig.objects.filter(pk=kwargs["object_id"]).select_related("bot__config").first()
        self.fields["seen_version"].initial = current_version(config) if config else 0


@admin.register(BotConfig)
class BotConfigAdmin(FactAdmin[BotConfig]):
    account_path = "bot__account"
    list_display = ("bot", "version", "in_use", "strategy", "strategy_version", "note", "created_by", "saved")
    list_filter = (("bot", ScopedRelatedFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("bot__name", "note")
    list_select_related = ("bot", "bot__config", "created_by")
    ordering = ("-created_at", "-id")
    fields = (
        "bot",
        "version",
        "in_use",
        "changes",
        "values",
        "note",
        "strategy",
        "strategy_version",
        "created_by",
        "created_at",
    )
    readonly_fields = ("in_use", "changes")
    actions_detail = ("revert",)

    @display(description="In use", boolean=True)
    def in_use(self, config: BotConfig) -> bool:
        return config.pk == config.bot.config_id

    @display(description="Saved (UTC)", ordering="created_at")
    def saved(self, config: BotConfig) -> str:
        return moment(config.created_at)

    @display(description="Changed in this version")
    def changes(self, config: BotConfig) -> str:
        older = BotConfig.objects.filter(bot=config.bot_id, version__lt=config.version).order_by("-version").first()
        if older is None:
            return "first version"
        return "; ".join(said(change) for change in differences(older.values, config.values)) or "nothing"

    @post_dialog(
        label="Use this version again",
        question="Its values become the bot's newest version; the engine uses them at once.",
        button="Use these values",
        path="revert",
        role="manager",
        icon="history",
        form=RevertDialog,
        shown_when=lambda config: config.pk != config.bot.config_id,
    )
    def revert(self, request: HttpRequest, config: BotConfig, seen_version: int) -> str:
        saved = services.revert(
            bot=config.bot, version=config.version, seen_version=seen_version, by=person(request), at=CLOCK.now()
        )
        return str(
            format_html("{} uses the values of v{} again, as v{}.", config.bot.name, config.version, saved.version)
        )
