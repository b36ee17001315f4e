"""What-if: the values of a configuration form and the saved ones, replayed over the last days. Nothing is saved."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.adminkit import CLOCK, person
from accounts.permissions import can
from backtesting import services
from backtesting.admin.pages import changes_between, drawing
from backtesting.domain import Asked, BacktestError, Cancelled, Plan
from backtesting.replay import Replay
from backtesting.report import compared_svg, equity_svg, figure_rows, plain
from backtesting.report.charts import moment
from backtesting.selectors import balance_of
from backtesting.sources import Source, recorded_span
from marketdata.selectors import candle_store
from strategies import registry
from strategies.forms import config_form
from strategies.models import Bot

DAYS = (1, 7, 30, 90)
# A page answers within that; what takes longer is a job's work
SECONDS_MAX = 20.0


def try_on_history(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Answer with a piece of the configuration page.

    Raises:
        Http404: The person may not see the bot, or there is none.
        PermissionDenied: The person only looks.
    """
    bot = Bot.objects.select_related("account", "config").filter(pk=bot_id).first()
    if bot is None or not can(person(request), bot.account_id, "viewer"):
        raise Http404
    if request.method != "POST" or not can(person(request), bot.account_id, "trader"):
        raise PermissionDenied
    return render(request, "backtesting/tried.html", _tried(request, bot))


def _tried(request: HttpRequest, bot: Bot) -> dict[str, Any]:
    context: dict[str, Any] = {"bot": bot}
    try:
        spec = registry.get(bot.strategy)
    except KeyError as problem:
        return context | {"problem": problem.args[0]}
    form = config_form(spec)(request.POST)
    if not form.is_valid():
        errors = [(form.fields[n].label if n in form.fields else "", e) for n, es in form.errors.items() for e in es]
        return context | {"errors": errors}
    text = request.POST.get("days", "")
    days = int(text) if text in map(str, DAYS) else DAYS[1]
    store = candle_store()
    span = recorded_span(store, bot.account.server, bot.symbols)
    if span is None:
        return context | {"is_empty": True}
    begin = max(span[0], span[1] - timedelta(days=days))
    balance = balance_of(bot.account) or Asked().balance
    started = CLOCK.ticks()
    try:
        source = services.source_of(bot, Asked(begin=begin, end=span[1], balance=balance))
        account = services.account_of(source, balance=balance, leverage=Asked().leverage)
        draft = _replayed(services.plan_for(bot, bot.strategy, form.cleaned_data, source, account), source)
        saved = _replayed(services.plan_of(bot.config, source, account), source) if bot.config else None
    except BacktestError as problem:
        return context | {"problem": str(problem)}
    except Cancelled:
        return context | {"is_long": True}
    return context | {
        "seconds": f"{CLOCK.ticks() - started:.1f}",
        "from": moment(begin.timestamp()),
        "to": moment(span[1].timestamp()),
        "days": f"{(span[1] - begin) / timedelta(days=1):.3g}",
        "source": source.text,
        "account": f"{balance:,.2f} {account.currency}, leverage {account.leverage}",
        "has_saved": saved is not None,
        "changed": changes_between(bot.config.values, form.cleaned_data) if bot.config else (),
        "figures": figure_rows(draft, saved) if saved else figure_rows(draft),
        "equity": drawing(compared_svg(draft, saved) if saved else equity_svg(draft)),
        "follows_signals": spec.follows_signals(form.params),
    }


def _replayed(plan: Plan, source: Source) -> dict[str, Any]:
    until = CLOCK.ticks() + SECONDS_MAX

    def progress(share: float) -> None:
        if CLOCK.ticks() > until:
            raise Cancelled

    return plain(Replay(plan, source.history, progress=progress).run())
