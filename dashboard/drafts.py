"""What a draft of a bot's parameters means while it is typed: its errors, its changes, how far its levels reach."""

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from accounts.adminkit import person
from accounts.models import Symbol
from accounts.permissions import accounts_of
from brokers.domain import Quote, Side, SymbolSpec
from core.clock import Clock, SystemClock
from marketdata.bars import kept_bars
from marketdata.indications import average_true_range
from orders.models import AccountMarks
from risk.domain.projection import lots_of, opened, walk
from strategies import registry
from strategies.admin.versions import said
from strategies.domain import OpenCycle, View
from strategies.forms import config_form
from strategies.models import Bot
from strategies.registry import StrategySpec
from strategies.selectors import differences

CLOCK: Clock = SystemClock()
ATR_BARS = 80
SPREAD_POINTS = 10
# Cooldowns and limits of money must not end a walk that asks how far the levels reach
PLENTY = 1e12


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one cycle of a draft goes if the price runs against it; money in account currency, None when unknown.

    `margin` is what its last level needs, of the larger side where it hedges; `level` the account's margin level there
    in percent, when nothing else is open.
    """

    symbol: str
    side: str
    legs: int
    lots: float
    pips: float
    loss: float | None
    margin: float | None
    level: float | None


@require_POST
def look(request: HttpRequest, bot_id: int) -> HttpResponse:
    """Judge a draft without saving it; the page shows the answer beside the form.

    Raises:
        Http404: There is no such bot, or it is on another person's account.
    """
    bot = Bot.objects.filter(pk=bot_id, account__in=accounts_of(person(request))).select_related("account", "config")
    found = bot.first()
    if found is None:
        raise Http404
    try:
        spec = registry.get(found.strategy)
    except KeyError as error:
        raise Http404 from error
    form = config_form(spec)(request.POST)
    context: dict[str, Any] = {"bot": found, "errors": [], "changes": [], "reaches": []}
    if not form.is_valid():
        labels = {name: str(field.label) for name, field in form.fields.items()}
        context["errors"] = [
            f"{labels[name]}: {text}" if name in labels else text
            for name, texts in form.errors.items()
            for text in texts
        ]
    else:
        values = form.params.model_dump(mode="json")
        saved = found.config.values if found.config else {}
        context["changes"] = [said(change) for change in differences(saved, values)] if saved else []
        context["reaches"] = [r for symbol in found.symbols for r in reaches(found, spec, form.params, symbol)]
    return render(request, "dashboard/draft.html", context)


def reaches(bot: Bot, spec: StrategySpec, params: Any, symbol: str) -> list[Reach]:
    """Walk one cycle of each side against itself, by the strategy's own decisions; nothing without a known price."""
    view = _view(bot, symbol)
    lots = getattr(params, "lot_size", None)
    if view is None or lots is None:
        return []
    found = []
    for side in (Side.BUY, Side.SELL):
        start = opened(view, OpenCycle(side, float(lots), "draft"))
        last = walk(spec.decide, params, start, falling=side is Side.BUY)[-1]
        loss = last.net(view.spec) if view.spec.value_per_price > 0 else None
        margin = max(lots_of(last.legs)) * view.spec.margin_per_lot or None
        is_told = None not in (loss, margin) and view.equity > 0
        found.append(
            Reach(
                symbol=symbol,
                side=side.value,
                legs=len(last.legs),
                lots=round(sum(lots_of(last.legs)), 4),
                pips=round(abs(last.quote.bid - start.quote.bid) / view.spec.pip, 1),
                loss=None if loss is None else round(loss, 2),
                margin=None if margin is None else round(margin, 2),
                level=round(100 * (view.equity + (loss or 0)) / margin, 1) if is_told and margin else None,
            )
        )
    return found


def _view(bot: Bot, symbol: str) -> View | None:
    """Return the market as last seen here: the newest bar's close, and what the broker said of the symbol."""
    row = Symbol.objects.filter(account=bot.account, name=symbol).exclude(digits=None).first()
    bars = kept_bars(bot.account.server, symbol, 60, ATR_BARS)
    if row is None or row.digits is None or not bars:
        return None
    point = row.point or 10.0**-row.digits
    contract = row.contract_size or 0.0
    # What the engine told last; before that it is only known where profits are made in the account's currency
    worth = row.terms.get("value_per_price") or (contract if symbol[3:6] == bot.account.currency else 0.0)
    spec = SymbolSpec(
        symbol, row.digits, point, contract, row.volume_min or 0.01, row.volume_max or PLENTY, row.volume_step or 0.01,
        0, 0, worth, symbol[:3], symbol[3:6], 1, 2, margin_per_lot=row.terms.get("margin_per_lot") or 0.0,
    )  # fmt: skip
    bid = bars[-1][4]
    quote = Quote(symbol, bid, spec.price(bid + SPREAD_POINTS * point), CLOCK.now())
    atr = average_true_range([b[2] for b in bars], [b[3] for b in bars], [b[4] for b in bars])
    marks = AccountMarks.objects.filter(account=bot.account).first()
    equity = marks.equity if marks is not None else 0.0
    return View(CLOCK.now(), quote, spec, (), atr=atr, equity=equity, margin_free=PLENTY)
