"""What an account's trading has brought, by every division that a trader asks for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from accounts.adminkit import person
from accounts.downloads import FORMATS, download
from accounts.models import TradingAccount
from accounts.permissions import accounts_of
from core.clock import Clock, SystemClock
from core.numbers import money
from orders.selectors import closed_trades, money_flows
from orders.statistics import Curve, Figures, Flow, Trade, curve, figures, grouped
from strategies.models import Bot

CLOCK: Clock = SystemClock()
PERIODS: dict[str, tuple[str, timedelta | None]] = {
    "7": ("7 days", timedelta(days=7)),
    "30": ("30 days", timedelta(days=30)),
    "90": ("90 days", timedelta(days=90)),
    "365": ("A year", timedelta(days=365)),
    "all": ("All", None),
}
DEFAULT_PERIOD = "30"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
POINTS_MAX = 2_000
DAY_SECONDS = 86_400
COLUMNS = ("account", "bot", "symbol", "position", "lots", "opened_utc", "closed_utc", "result")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to see: an account, a period, perhaps one symbol or one bot."""

    account: TradingAccount
    period: str
    symbol: str
    magic: int | None

    def since(self, now: datetime) -> datetime | None:
        """Return where the period begins."""
        span = PERIODS[self.period][1]
        return None if span is None else now - span


def _asked(request: HttpRequest) -> Asked | None:
    """Read the address; what it names and the person may not see, or isn't there, is not found.

    Raises:
        Http404: As said.
    """
    accounts = accounts_of(person(request)).order_by("name")
    wanted = request.GET.get("account", "")
    account = accounts.filter(pk=wanted).first() if wanted.isdecimal() else None if wanted else accounts.first()
    if account is None:
        if wanted:
            raise Http404
        return None
    period, magic = request.GET.get("period") or DEFAULT_PERIOD, request.GET.get("magic", "")
    if period not in PERIODS or (magic and not magic.isdecimal()):
        raise Http404
    return Asked(account, period, request.GET.get("symbol", ""), int(magic) if magic else None)


def _trades(asked: Asked, now: datetime) -> list[Trade]:
    found = closed_trades([asked.account.pk], since=asked.since(now), until=None)
    return [trade for trade in found if asked.symbol in ("", trade.symbol) and asked.magic in (None, trade.magic)]


@require_safe
def statistics(request: HttpRequest) -> HttpResponseBase:
    """Show the figures of an account, or give its trades as CSV or XLSX."""
    asked, now = _asked(request), CLOCK.now()
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Statistics", "asked": asked}
    if asked is None:
        return TemplateResponse(request, "dashboard/statistics.html", context)
    names = dict(Bot.objects.filter(account=asked.account).values_list("magic", "name"))
    trades = _trades(asked, now)
    if (kind := request.GET.get("format")) in FORMATS:
        return _file(kind, asked, trades, names)
    every, flows = closed_trades([asked.account.pk], since=None, until=None), money_flows([asked.account.pk])
    whole = curve(every, flows)
    context |= {
        "accounts": accounts_of(person(request)).order_by("name"),
        "periods": [(key, title) for key, (title, _) in PERIODS.items()],
        "symbols": sorted({trade.symbol for trade in trades} | ({asked.symbol} - {""})),
        "bots": sorted(names.items(), key=lambda pair: pair[1]),
        "cards": _cards(figures(trades), whole) + _paid(every, flows),
        "tables": _tables(trades, names),
        "years": _years(whole),
        "chart": {
            "points": _points(whole, asked.since(now)),
            "days": _days(trades),
            "currency": asked.account.currency,
        },
        "files": [(kind.upper(), f"?{_query(request, kind)}") for kind in FORMATS],
    }
    return TemplateResponse(request, "dashboard/statistics.html", context)


def _query(request: HttpRequest, kind: str) -> str:
    query = request.GET.copy()
    query["format"] = kind
    return query.urlencode()


def _points(whole: Curve, since: datetime | None) -> list[list[float]]:
    """Return `[seconds since 1970, balance]`, one a second at most, thinned out to what a chart can show."""
    last: dict[int, float] = {}
    for at, balance in whole.points:
        if since is None or at >= since:
            last[int(at.timestamp())] = round(balance, 2)
    points = [[float(at), balance] for at, balance in last.items()]
    step = max(1, len(points) // POINTS_MAX)
    return points[::step] + (points[-1:] if step > 1 else [])


def _cards(seen: Figures, whole: Curve) -> list[tuple[str, str, str]]:
    """Return (name, figure, gain or loss or nothing) in the order in which a trader asks."""
    return [
        ("Net result", signed(seen.net), tone(seen.net)),
        ("Gain since the start", change(whole.gain), tone(whole.gain)),
        ("Worst drawdown", f"{plain(whole.drawdown)} ({share(whole.drawdown_share)})", ""),
        ("Trades", f"{seen.trades}", ""),
        ("Won", share(seen.win_rate), ""),
        ("Profit factor", plain(seen.profit_factor), ""),
        ("Expectancy", signed(seen.expectancy), tone(seen.expectancy)),
        ("Average win", signed(seen.mean_win), tone(seen.mean_win)),
        ("Average loss", signed(seen.mean_loss), tone(seen.mean_loss)),
        ("Best trade", signed(seen.best), tone(seen.best)),
        ("Worst trade", signed(seen.worst), tone(seen.worst)),
        ("Longest streaks", f"{seen.longest_win_streak} won, {seen.longest_loss_streak} lost", ""),
        ("Volume", f"{seen.volume_lots:.2f} lots", ""),
        ("Held on average", "–" if seen.mean_hours is None else f"{seen.mean_hours:.1f} h", ""),
    ]


def _paid(trades: list[Trade], flows: list[Flow]) -> list[tuple[str, str, str]]:
    """Return what came and went without a trade, and the gain on all that was paid in (Myfxbook: absolute)."""
    paid_in = sum(flow.amount for flow in flows if flow.amount > 0)
    net = sum(trade.result for trade in trades)
    absolute = net / paid_in if paid_in else None
    return [
        ("Absolute gain", change(absolute), tone(absolute)),
        ("Paid in", plain(paid_in), ""),
        ("Paid out", plain(-sum(flow.amount for flow in flows if flow.amount < 0)), ""),
    ]


def _days(trades: list[Trade]) -> list[list[float]]:
    """Return `[seconds since 1970, result]` of each UTC day on which something was closed, oldest first."""
    by_day = grouped(trades, lambda t: int(t.closed_at.timestamp()) // DAY_SECONDS)
    return [[float(day * DAY_SECONDS), round(seen.net, 2)] for day, seen in by_day.items()]


def _tables(trades: list[Trade], names: dict[int, str]) -> list[tuple[str, list[dict[str, str]]]]:
    by_bot = grouped(trades, lambda t: names.get(t.magic) or (f"Magic {t.magic}" if t.magic else "By hand"))
    by_hour = grouped(trades, lambda t: t.opened_at.hour)
    by_day = grouped(trades, lambda t: t.opened_at.weekday())
    return [
        ("By bot", _rows(by_bot.items())),
        ("By magic", _rows((str(m), seen) for m, seen in grouped(trades, lambda t: t.magic).items())),
        ("By symbol", _rows(grouped(trades, lambda t: t.symbol).items())),
        ("By weekday of opening (UTC)", _rows((WEEKDAYS[day], seen) for day, seen in by_day.items())),
        ("By hour of opening (UTC)", _rows((f"{hour:02d}:00", seen) for hour, seen in by_hour.items())),
    ]


def _rows(groups: Iterable[tuple[str, Figures]]) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "trades": f"{seen.trades}",
            "won": share(seen.win_rate),
            "net": signed(seen.net),
            "tone": tone(seen.net),
            "factor": plain(seen.profit_factor),
            "expectancy": signed(seen.expectancy),
        }
        for name, seen in groups
    ]


def _years(whole: Curve) -> list[tuple[int, list[tuple[str, str, str]], str, str]]:
    """Return (year, (month, gain, tone) twelve times, the year's gain, its tone), newest first."""
    found = []
    for year in sorted({year for year, _ in whole.by_month}, reverse=True):
        gains = [whole.by_month.get((year, month)) for month in range(1, 13)]
        growth = 1.0
        for gain in gains:
            growth *= 1 + (gain or 0.0)
        cells = [(name, change(gain), tone(gain)) for name, gain in zip(MONTHS, gains, strict=True)]
        found.append((year, cells, change(growth - 1), tone(growth - 1)))
    return found


def signed(value: float | None) -> str:
    """Write money with its sign and an arrow, so that colour is not all that tells."""
    if value is None:
        return "–"
    arrow = "▲ " if value > 0 else "▼ " if value < 0 else ""
    return f"{arrow}{value:+,.2f}" if value else "0.00"


def plain(value: float | None) -> str:
    """Write a number that has no good or bad sign."""
    return "–" if value is None else f"{value:,.2f}"


def change(value: float | None) -> str:
    """Write a gain or loss as per cent, with its sign and an arrow."""
    if value is None:
        return "–"
    arrow = "▲ " if value > 0 else "▼ " if value < 0 else ""
    return f"{arrow}{value:+.2%}" if value else "0.00%"


def share(value: float | None) -> str:
    """Write a share as per cent."""
    return "–" if value is None else f"{value:.2%}"


def tone(value: float | None) -> str:
    """Name the colour of a figure."""
    return "" if not value else "desk-gain" if value > 0 else "desk-loss"


def _file(kind: str, asked: Asked, trades: list[Trade], names: dict[int, str]) -> HttpResponseBase:
    rows = (
        (
            asked.account.name,
            names.get(trade.magic, ""),
            trade.symbol,
            trade.position_id,
            money(trade.volume_lots),
            trade.opened_at,
            trade.closed_at,
            money(trade.result),
        )
        for trade in trades
    )
    return download(kind, f"trades-{asked.account.login}-{asked.period}", COLUMNS, rows)
