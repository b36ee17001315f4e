"""The page with a bot's parameters: a typed form generated from its strategy, and the versions that were saved."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm as DjangoAdminForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.forms import AdminForm as UnfoldAdminForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.adminkit import CLOCK, person
from accounts.validation import plain_text
from strategies import registry, services
from strategies.admin.versions import said
from strategies.forms import config_form, fieldsets
from strategies.models import Bot
from strategies.registry import StrategySpec
from strategies.selectors import versions_of

if TYPE_CHECKING:
    from strategies.admin.bots import BotAdmin

AdminForm: type[DjangoAdminForm] = UnfoldAdminForm
OURS = ("note", "seen_version")


def bound_form(spec: StrategySpec, bot: Bot, data: Any) -> forms.Form:
    """Make the form of a strategy's parameters, with a note and the version that the person sees."""
    initial = bot.config.values if bot.config is not None else {}
    generated = config_form(spec, initial)
    ours = {
        "note": forms.CharField(
            required=False,
            max_length=services.NOTE_LENGTH_MAX,
            validators=[plain_text],
            widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "why this changes"}),
            help_text="Kept with the version.",
        ),
        "seen_version": forms.IntegerField(
            widget=forms.HiddenInput, min_value=0, initial=bot.config.version if bot.config else 0
        ),
    }
    made: type[forms.Form] = type("BotParametersForm", (generated,), ours)
    return made(data=data)


def save(request: HttpRequest, bot: Bot, form: forms.Form) -> HttpResponse | None:
    """Save what a valid form holds; None when the service refused and the form now says why."""
    values = {name: value for name, value in form.cleaned_data.items() if name not in OURS}
    before = bot.config.version if bot.config else 0
    try:
        saved = services.save_config(
            bot=bot,
            values=values,
            note=form.cleaned_data["note"],
            seen_version=form.cleaned_data["seen_version"],
            by=person(request),
            at=CLOCK.now(),
        )
    except ValidationError as error:
        form.add_error(None, error.messages)
        return None
    if saved.version == before:
        messages.info(request, "Nothing changed, so there is no new version.")
    else:
        messages.success(request, f"Saved as version {saved.version}. The engine uses it at its next look.")
    return redirect("admin:strategies_bot_config", object_id=bot.pk)


def history(bot: Bot) -> list[dict[str, Any]]:
    """List the versions with what each changed, newest first."""
    return [
        {
            "config": version.config,
            "current": version.current,
            "changes": [said(change) for change in version.changes],
            "by": version.config.created_by or "the system",
        }
        for version in versions_of(bot)
    ]


def config_page(model_admin: "BotAdmin", request: HttpRequest, bot: Bot) -> HttpResponse:
    """Show the parameters; on POST save them as the next version. Viewers and traders only look."""
    may_change = model_admin.has_change_permission(request, bot)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Configuration of {bot.name}",
        "bot": bot,
        "may_change": may_change,
        "versions": history(bot),
        "app_label": "strategies",
    }
    try:
        spec = registry.get(bot.strategy)
    except KeyError as error:
        context["problem"] = str(error.args[0])
        return TemplateResponse(request, "strategies/config.html", context)
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    form = bound_form(spec, bot, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (answer := save(request, bot, form)) is not None:
        return answer
    if not may_change:
        for field in form.fields.values():
            field.disabled = True
    context |= {
        "spec": spec,
        "form": form,
        "adminform": AdminForm(
            form, [*fieldsets(spec), ("This version", {"fields": ("note",)})], {}, model_admin=model_admin
        ),
    }
    return TemplateResponse(request, "strategies/config.html", context)
