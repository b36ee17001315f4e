"""The page with a bot's parameters: a typed form generated from its strategy, and the versions that were saved."""

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import slugify
from unfold.forms import AdminForm
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.adminkit import CLOCK, person
from accounts.numberfields import StrictIntegerField
from accounts.validation import plain_text
from strategies import registry, services
from strategies.admin.versions import said
from strategies.configfile import SIZE_MAX, as_yaml, fitting, read_yaml
from strategies.forms import ParamsForm, config_form, fieldsets
from strategies.models import VERSION_MAX, Bot
from strategies.selectors import differences, versions_of

if TYPE_CHECKING:
    from strategies.admin.bots import BotAdmin


WHOLE = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class VersionForm(forms.Form):
    """What is saved beside the parameters: why, and which version the person was looking at."""

    note = forms.CharField(
        required=False,
        max_length=services.NOTE_LENGTH_MAX,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "why this changes"}),
        help_text="Kept with the version.",
    )
    seen_version = StrictIntegerField(widget=forms.HiddenInput, min_value=0, max_value=VERSION_MAX)


def styled(form: forms.Form) -> None:
    """Give generated fields the admin's look; the fields themselves know nothing of it."""
    for field in form.fields.values():
        if isinstance(field, forms.BooleanField):
            field.widget = UnfoldBooleanSwitchWidget()
        elif isinstance(field, forms.ChoiceField):
            field.widget = UnfoldAdminSelectWidget(choices=field.choices)
        else:
            field.widget.attrs["class"] = " ".join(INPUT_CLASSES)


def save(request: HttpRequest, bot: Bot, params: ParamsForm, version: VersionForm) -> HttpResponse | None:
    """Save what valid forms hold; None when the service refused and the form now says why."""
    before = bot.config.version if bot.config else 0
    try:
        saved = services.save_config(
            bot=bot,
            values=params.cleaned_data,
            note=version.cleaned_data["note"],
            seen_version=version.cleaned_data["seen_version"],
            by=person(request),
            at=CLOCK.now(),
        )
    except ValidationError as error:
        params.add_error(None, error.messages)
        return None
    if saved.version == before:
        messages.info(request, "Nothing changed, so there is no new version.")
    else:
        messages.success(request, f"Saved as version {saved.version}. The engine uses it at its next look.")
    return redirect("admin:strategies_bot_config", object_id=bot.pk)


def filled(request: HttpRequest, bot: Bot) -> dict[str, Any] | None:
    """Return the values of a file that was handed in, with a word about it; None when it does not hold."""
    given = request.FILES.get("file")
    try:
        if given is None:
            raise ValidationError("choose one first.")
        file = fitting(read_yaml(given.read(SIZE_MAX + 1)), bot)
    except ValidationError as problem:
        messages.error(request, f"The file was not taken: {' '.join(problem.messages)}")
        return None
    changes = differences(bot.config.values if bot.config else {}, file.values)
    what = ", ".join(said(change) for change in changes) or "nothing"
    messages.info(request, f"Read from {given.name}, not saved yet. It changes: {what}.")
    return file.values


def config_file(request: HttpRequest, bot: Bot) -> HttpResponse:
    """Give a version of the parameters as a YAML file, the one in use unless `version` names another."""
    number = request.GET.get("version")
    known = bot.configs.filter(version=int(number)).first() if number and WHOLE.fullmatch(number) else None
    config = bot.config if number is None else known
    if config is None:
        raise Http404
    name = f"{slugify(bot.name) or 'bot'}-v{config.version}.yaml"
    return HttpResponse(
        as_yaml(bot, config), content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


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
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": f"Configuration of {bot.name}",
        "bot": bot,
        "may_change": may_change,
    }
    try:
        spec = registry.get(bot.strategy)
    except KeyError as error:
        context |= {"problem": str(error.args[0]), "versions": history(bot)}
        return TemplateResponse(request, "strategies/config.html", context)
    is_file = "fill" in request.POST
    data = request.POST if request.method == "POST" and not is_file else None
    known = bot.config.values if bot.config else None
    params = config_form(spec, (filled(request, bot) if is_file else None) or known)(data)
    version = VersionForm(data, initial={"seen_version": bot.config.version if bot.config else 0})
    styled(params)
    # Both are judged, so that all errors show at once
    if data is not None and all((params.is_valid(), version.is_valid())):
        answer = save(request, bot, params, version)
        if answer is not None:
            return answer
    if not may_change:
        for field in (*params.fields.values(), *version.fields.values()):
            field.disabled = True
    groups = [(title, {"fields": names}) for title, names in fieldsets(spec)]
    context |= {
        "spec": spec,
        "form": params,
        "version_form": version,
        "versions": history(bot),
        "adminform": AdminForm(params, groups, {}, model_admin=model_admin),
        "versionform": AdminForm(version, [("This version", {"fields": ("note",)})], {}, model_admin=model_admin),
    }
    return TemplateResponse(request, "strategies/config.html", context)
