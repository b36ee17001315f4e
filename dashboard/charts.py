"""The chart of a symbol as an account trades it: bars, entries and exits; what is open moves with the feed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.adminkit import person
from accounts.models import DesiredState, Symbol, TradingAccount
from accounts.permissions import accounts_of
from accounts.selectors import digits_of
from core.clock import Clock, SystemClock
from dashboard.views import page_data
from marketdata.bars import TIMEFRAMES, kept_bars
from marketdata.services import ask_for_candles
from orders.selectors import fills

CLOCK: Clock = SystemClock()
DEFAULT_SECONDS = 60
DIGITS_UNKNOWN = 5
DIGITS_OF_KEY = 19


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose symbol a chart shows, the length of its bars in seconds, and the cycle that its fills are limited to."""

    account: TradingAccount
    symbol: str
    seconds: int
    cycle: int | None = None


def _asked(request: HttpRequest) -> Asked | None:
    """Read the address or the form; what the person may not see is not found, without an account there is nothing.

    Raises:
        Http404: As said.
    """
    given = request.POST if request.method == "POST" else request.GET
    accounts = accounts_of(person(request)).order_by("name", "pk")
    wanted, seconds = given.get("account", ""), given.get("seconds") or str(DEFAULT_SECONDS)
    account = accounts.filter(pk=wanted).first() if wanted.isdecimal() else None if wanted else accounts.first()
    if account is None and not wanted:
        return None
    if account is None or not seconds.isdecimal() or int(seconds) not in TIMEFRAMES:
        raise Http404
    names = list(Symbol.objects.filter(account=account).order_by("name").values_list("name", flat=True))
    symbol = given.get("symbol") or (names[0] if names else "")
    if symbol and symbol not in names:
        raise Http404
    cycle = given.get("cycle", "")
    return Asked(
        account, symbol, int(seconds), int(cycle) if cycle.isdecimal() and len(cycle) < DIGITS_OF_KEY else None
    )


def _drawn(asked: Asked) -> dict[str, Any]:
    """Return bars and the fills that happened during them."""
    bars = kept_bars(asked.account.server, asked.symbol, asked.seconds) if asked.symbol else []
    since = datetime.fromtimestamp(bars[0][0], UTC) if bars else None
    found = fills(asked.account.pk, asked.symbol, since=since, cycle_id=asked.cycle) if bars else []
    return {"bars": bars, "fills": found}


@require_safe
def chart(request: HttpRequest) -> HttpResponse:
    """Show the chart."""
    asked = _asked(request)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Chart", "asked": asked}
    if asked is not None:
        data = page_data(request)
        known = Symbol.objects.filter(account__in=accounts_of(person(request))).order_by("account__name", "name")
        context |= {
            "live": data,
            "symbols": [(row.account, row.name) for row in known.select_related("account")],
            "timeframes": TIMEFRAMES,
            "runs": asked.account.desired_state != DesiredState.STOPPED,
            "chart": {
                **_drawn(asked),
                "account": asked.account.pk,
                "symbol": asked.symbol,
                "seconds": asked.seconds,
                "digits": digits_of(asked.account.pk, asked.symbol) or DIGITS_UNKNOWN,
                "lines": [],
                "bars_url": reverse("chart-bars"),
                "fetch_url": reverse("chart-fetch"),
                "runs": asked.account.desired_state != DesiredState.STOPPED,
            },
        }
    return TemplateResponse(request, "dashboard/chart.html", context)


@require_safe
def bars(request: HttpRequest) -> HttpResponse:
    """Give bars and fills anew, for a page that is open already."""
    asked = _asked(request)
    if asked is None:
        raise Http404
    return JsonResponse(_drawn(asked))


@require_POST
def fetch_bars(request: HttpRequest) -> HttpResponse:
    """Ask the engine to fetch the newest bars from the broker; the page then looks for them."""
    asked = _asked(request)
    if asked is None or not asked.symbol:
        raise Http404
    new = asked.account.desired_state != DesiredState.STOPPED and ask_for_candles(
        account=asked.account, symbol=asked.symbol, seconds=asked.seconds, at=CLOCK.now()
    )
    return JsonResponse({"asked": new})
