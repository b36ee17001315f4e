"""Admin of bots."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter

from accounts.admincells import NOTHING, STATES, link, live_risk, projection_of, stop_out_text, worst_case_text
from accounts.adminkit import CLOCK, DeskAdmin, ScopedRelatedFilter, display, person, post_dialog
from accounts.models import DesiredState
from strategies import registry, services
from strategies.admin.forms import BotForm, BotStateDialog
from strategies.admin.page import config_file, config_page
from strategies.admin.rollout import rollout_page
from strategies.models import Bot


@admin.register(Bot)
class BotAdmin(DeskAdmin[Bot]):
    form = BotForm
    list_display = (
        "name",
        "account_link",
        "money_kind",
        "wanted",
        "strategy_title",
        "symbol_list",
        "magic",
        "version",
        "cycles",
    )
    list_filter = (
        ("account", ScopedRelatedFilter),
        ("desired_state", ChoicesDropdownFilter),
        ("strategy", FieldTextFilter),
    )
    search_fields = ("name", "=magic", "strategy", "account__name")
    list_select_related = ("account", "account__projection", "config")
    ordering = ("account__name", "name")
    actions_detail = ("start", "pause", "resume", "stop")
    actions_row = ("start", "pause", "resume", "stop")
    change_form_outer_before_template = "strategies/bot_links.html"
    identity = (
        "account", "strategy", "magic", "wanted", "version", "worst", "to_stop_out", "cost_to_close", "created_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "account", "wanted", "version")}),
        ("Worst case", {"fields": ("to_stop_out", "cost_to_close", "worst")}),
        ("Market", {"fields": ("strategy", "symbols", "magic", "interval_seconds", "restart_policy", "created_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("account", "name", "strategy", "symbols", "magic", "interval_seconds", "restart_policy")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bot]:
        open_cycles = Count("cycles", filter=Q(cycles__status__in=("open", "closing")))
        return super().get_queryset(request).annotate(cycles_open=open_cycles)

    def get_readonly_fields(self, request: HttpRequest, obj: Bot | None = None) -> tuple[str, ...]:
        return () if obj is None else self.identity

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.config_view)
        file = self.admin_site.admin_view(self.file_view)
        rollout = self.admin_site.admin_view(self.rollout_view)
        return [
            path("<path:object_id>/rollout/", rollout, name="strategies_bot_rollout"),
            path("<path:object_id>/config/", view, name="strategies_bot_config"),
            path("<path:object_id>/config.yaml", file, name="strategies_bot_file"),
            *super().get_urls(),
        ]

    def config_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show and save the bot's parameters; the form is generated from its strategy."""
        return config_page(self, request, self.visible_row(request, object_id))

    def file_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the bot's parameters as a YAML file."""
        return config_file(request, self.visible_row(request, object_id))

    def rollout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the bot's parameters to other bots of its strategy."""
        return rollout_page(self, request, self.visible_row(request, object_id))

    @display(description="Account", ordering="account__name")
    def account_link(self, bot: Bot) -> str:
        return link(bot.account)

    @display(description="Money", label=STATES)
    def money_kind(self, bot: Bot) -> tuple[str, str]:
        return bot.account.money, bot.account.money.label

    @display(description="Wanted", label=STATES, ordering="desired_state")
    def wanted(self, bot: Bot) -> tuple[str, str]:
        return bot.desired_state, bot.get_desired_state_display()

    @display(description="Strategy", ordering="strategy")
    def strategy_title(self, bot: Bot) -> str:
        try:
            return registry.get(bot.strategy).title
        except KeyError:
            return f"{bot.strategy} (not installed)"

    @display(description="Symbols")
    def symbol_list(self, bot: Bot) -> str:
        return ", ".join(bot.symbols)

    @display(description="Configuration")
    def version(self, bot: Bot) -> str:
        url = reverse("admin:strategies_bot_config", args=(bot.pk,))
        text = f"v{bot.config.version}" if bot.config else "not yet"
        return format_html('<a class="text-link" href="{}">{}</a>', url, text)

    @display(description="If prices run to the last level")
    def worst(self, bot: Bot) -> str:
        text = worst_case_text(projection_of(bot.account, "bots", bot.pk))
        return live_risk("worst", bot.account_id, text, bot=bot.pk)

    @display(description="Distance to stop-out")
    def to_stop_out(self, bot: Bot) -> str:
        return live_risk("to-stop-out", bot.account_id, stop_out_text(bot.account, bot.symbols), bot=bot.pk)

    @display(description="To close everything of it now")
    def cost_to_close(self, bot: Bot) -> str:
        return live_risk("cost-to-close", bot.account_id, NOTHING, bot=bot.pk)

    @display(description="Open cycles")
    def cycles(self, bot: Any) -> str:
        return str(bot.cycles_open) if bot.cycles_open else NOTHING

    def save_model(self, request: HttpRequest, obj: Bot, form: "forms.ModelForm[Bot]", change: bool) -> None:
        by, at = person(request), CLOCK.now()
        if change:
            services.change_bot(
                bot=obj,
                name=obj.name,
                symbols=obj.symbols,
                interval_seconds=obj.interval_seconds,
                restart_policy=obj.restart_policy,
                by=by,
                at=at,
            )
        else:
            created = services.create_bot(
                account=obj.account,
                name=obj.name,
                strategy=obj.strategy,
                symbols=obj.symbols,
                magic=obj.magic,
                interval_seconds=obj.interval_seconds,
                restart_policy=obj.restart_policy,
                by=by,
                at=at,
            )
            obj.pk = created.pk

    def response_add(self, request: HttpRequest, obj: Bot, post_url_continue: str | None = None) -> HttpResponse:
        """Lead on to the parameters: a bot without them can't start."""
        if "_popup" in request.POST or "_addanother" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj.name} was created. Set its parameters, then start it.")
        return redirect("admin:strategies_bot_config", object_id=obj.pk)

    def _set_state(self, request: HttpRequest, bot: Bot, state: DesiredState, reason: str) -> str:
        changed = services.set_bot_state(bot=bot, state=state, by=person(request), at=CLOCK.now(), reason=reason)
        word = state.label.lower()
        return f"{bot.name} is to be {word}." if changed else f"{bot.name} was to be {word} already."

    @post_dialog(
        label="Start",
        question="Let this bot open positions while its account runs.",
        button="Start the bot",
        path="start",
        icon="play_arrow",
        form=BotStateDialog,
        shown_when=lambda bot: bot.desired_state == DesiredState.STOPPED,
        otherwise="The bot is not stopped",
    )
    def start(self, request: HttpRequest, bot: Bot, reason: str) -> str:
        return self._set_state(request, bot, DesiredState.RUNNING, reason)

    @post_dialog(
        label="Pause (exits only)",
        question="No new entries by this bot. Its open cycles are still looked after and closed.",
        button="Pause the bot",
        path="pause",
        icon="pause",
        form=BotStateDialog,
        shown_when=lambda bot: bot.desired_state == DesiredState.RUNNING,
        otherwise="Only a running bot can be paused",
    )
    def pause(self, request: HttpRequest, bot: Bot, reason: str) -> str:
        return self._set_state(request, bot, DesiredState.PAUSED, reason)

    @post_dialog(
        label="Resume",
        question="Allow entries by this bot again.",
        button="Resume the bot",
        path="resume",
        icon="play_arrow",
        form=BotStateDialog,
        shown_when=lambda bot: bot.desired_state == DesiredState.PAUSED,
        otherwise="Only a paused bot can be resumed",
    )
    def resume(self, request: HttpRequest, bot: Bot, reason: str) -> str:
        return self._set_state(request, bot, DesiredState.RUNNING, reason)

    @post_dialog(
        label="Stop",
        question="The bot is not asked any more. Its open cycles stay open and nobody closes them.",
        button="Stop the bot",
        path="stop",
        icon="stop",
        form=BotStateDialog,
        shown_when=lambda bot: bot.desired_state != DesiredState.STOPPED,
        otherwise="The bot is stopped already",
    )
    def stop(self, request: HttpRequest, bot: Bot, reason: str) -> str:
        return self._set_state(request, bot, DesiredState.STOPPED, reason)
