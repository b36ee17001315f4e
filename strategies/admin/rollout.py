"""The page that gives a bot's configuration to other bots, and shows who has which version."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.adminkit import CLOCK, person, reason_field, scoped
from strategies.admin.versions import said
from strategies.models import Bot, BotConfig
from strategies.rollout import Target, roll_out, targets_of

if TYPE_CHECKING:
    from strategies.admin.bots import BotAdmin

REST, ACCOUNT, TICKED = "rest", "account-", "ticked"


class RolloutForm(forms.Form):
    """Why the other bots get it."""

    reason = reason_field("Reason (kept with each version and in the audit trail)")


def rollout_page(model_admin: "BotAdmin", request: HttpRequest, bot: Bot) -> HttpResponse:
    """Show which bots of the strategy have the configuration; on POST give it to those that were named.

    Who manages the bot's account may hand its configuration out, to bots of accounts that they manage too.
    """
    if not model_admin.has_change_permission(request, bot):
        raise PermissionDenied
    if bot.config is None:
        raise Http404
    managed = set(scoped(Bot.objects.all(), request, "manager").values_list("pk", flat=True))
    targets = targets_of(bot.config, scoped(Bot.objects.all(), request))
    form = RolloutForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        wanted = [target for target in _chosen(request, targets) if target.bot.pk in managed]
        if _carried_out(request, bot.config, wanted, form):
            return redirect(request.path)
    left = [target for target in targets if target.bot.pk in managed and not target.has_it]
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": f"Roll out v{bot.config.version} of {bot.name}",
        "bot": bot,
        "form": form,
        "rows": [_row(target, target.bot.pk in managed) for target in targets],
        "left": len(left),
        "accounts": _accounts(left),
    }
    return TemplateResponse(request, "strategies/rollout.html", context)


def _chosen(request: HttpRequest, targets: list[Target]) -> list[Target]:
    """Return the targets that the pressed button means, without those that have the values already."""
    pressed, left = request.POST.get("apply", ""), [target for target in targets if not target.has_it]
    if pressed == REST:
        return left
    if pressed.startswith(ACCOUNT):
        return [target for target in left if str(target.bot.account_id) == pressed.removeprefix(ACCOUNT)]
    ticked = set(request.POST.getlist("bot"))
    return [target for target in left if str(target.bot.pk) in ticked]


def _carried_out(request: HttpRequest, config: BotConfig, wanted: list[Target], form: RolloutForm) -> bool:
    """Give the values to the bots; False when nothing was done, and the form or a message says why."""
    if request.POST.get("config") != str(config.pk):
        form.add_error(None, "A newer version of this bot was saved meanwhile: look at it, then roll it out.")
        return False
    if not wanted:
        # What a second click finds
        messages.info(request, "No bot was named that has other values: nothing changed.")
        return True
    seen = {target.bot.pk: _number(request.POST.get(f"seen-{target.bot.pk}")) for target in wanted}
    try:
        saved = roll_out(
            config=config, seen=seen, reason=form.cleaned_data["reason"], by=person(request), at=CLOCK.now()
        )
    except ValidationError as error:
        form.add_error(None, error.messages)
        return False
    names = ", ".join(target.bot.name for target in wanted)
    messages.success(request, f"{len(saved)} bot(s) have it now: {names}. Their engines use it at their next look.")
    return True


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else -1


def _row(target: Target, may_change: bool) -> dict[str, Any]:
    config = target.bot.config
    return {
        "target": target,
        "may": may_change and not target.has_it,
        "why": "" if may_change else f"Only a manager of {target.bot.account.name} changes it",
        "saved": f"{config.created_at:%Y-%m-%d %H:%M} UTC by {config.created_by or 'the system'}" if config else "",
        "changes": [said(change) for change in target.changes] if target.version else ["its first configuration"],
    }


def _accounts(left: list[Target]) -> list[tuple[int, str, int]]:
    """Return (key, name, bots left) of each account with a bot that lacks the values."""
    counts: dict[tuple[int, str], int] = {}
    for target in left:
        key = (target.bot.account_id, target.bot.account.name)
        counts[key] = counts.get(key, 0) + 1
    return [(pk, name, count) for (pk, name), count in counts.items()]
