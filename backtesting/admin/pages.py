"""What the pages of finished backtests show."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe

from accounts.admincells import NOTHING, money
from backtesting import services
from backtesting.models import Backtest
from backtesting.report import (
    compared_svg,
    drawdown_svg,
    equity_svg,
    figure_rows,
    months_of,
    price_svg,
    shown,
    text_of,
)
from backtesting.report.charts import moment
from backtesting.report.page import MONTHS

CYCLES_A_PAGE = 100
CARDS = ("net", "floating", "drawdown", "profit_factor", "expectancy", "sharpe", "sortino", "win_share", "margin_level")
SIDES = {"buy": "▲ buy", "sell": "▼ sell"}


def drawing(svg: str) -> SafeString:
    """Mark a chart as markup: it is made of numbers and of names that were escaped."""
    return mark_safe(svg)  # noqa: S308


def report_context(request: HttpRequest, backtest: Backtest) -> dict[str, Any]:
    """Return what the page of a finished backtest shows; `?cycle=` names a cycle to look at closely."""
    report: dict[str, Any] = backtest.result or {}
    pages = Paginator(report["cycles"], CYCLES_A_PAGE)
    page = pages.get_page(request.GET.get("page"))
    wanted = request.GET.get("cycle", "")
    chosen = next((c for c in report["cycles"] if str(c["number"]) == wanted), None)
    return {
        "about": [(name, text_of(value)) for name, value in services.about(backtest).items()],
        "figures": [(label, why, text) for label, why, (text,) in figure_rows(report)],
        "cards": [(label, text) for label, why, (text,) in figure_rows(report, names=CARDS)],
        "equity": drawing(equity_svg(report)),
        "fall": drawing(drawdown_svg(report)),
        "charts": [(symbol, drawing(price_svg(report, symbol))) for symbol in report.get("prices", {})],
        "months": MONTHS,
        "years": _years(report["monthly"]),
        "page": page,
        "cycles": [_cycle(c) for c in page.object_list],
        "chosen": None if chosen is None else _closely(report, chosen),
    }


def compared(one: Backtest, two: Backtest) -> dict[str, Any]:
    """Return what the page of two finished backtests shows."""
    reports = (one.result or {}, two.result or {})
    rows = [
        {"label": label, "why": why, "texts": texts, "is_equal": texts[0] == texts[1]}
        for label, why, texts in figure_rows(*reports)
    ]
    facts = [services.about(b) for b in (one, two)]
    return {
        "one": one,
        "two": two,
        "figures": rows,
        "facts": [(name, text_of(facts[0][name]), text_of(facts[1][name])) for name in ("Bot", "Prices", "Account")],
        "changed": changes_between(one.plan["values"], two.plan["values"]),
        "same_prices": one.data_hash == two.data_hash,
        "equity": drawing(compared_svg(*reports)),
    }


def changes_between(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the parameters in which two configurations differ: name, first value, second value."""
    names = [*one, *(name for name in two if name not in one)]
    return [(n, _value(one, n), _value(two, n)) for n in names if _value(one, n) != _value(two, n)]


def _value(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _years(monthly: Mapping[str, float]) -> list[tuple[int, list[tuple[str, str]], str]]:
    return [
        (year, [(name, money(net)) for name, net in zip(MONTHS, nets, strict=True)], money(total))
        for year, nets, total in months_of(monthly)
    ]


def _cycle(cycle: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": cycle["number"],
        "symbol": cycle["symbol"],
        "side": SIDES[cycle["side"]],
        "opened": moment(cycle["opened_at"]),
        "closed": moment(cycle["closed_at"]) if cycle["closed_at"] else NOTHING,
        "legs": len(cycle["legs"]),
        "lots": f"{sum(leg['volume'] for leg in cycle['legs']):.2f}",
        "net": money(cycle["net"]),
        "mae": shown(cycle["worst"], "money"),
        "mfe": shown(cycle["best"], "money"),
        "why": cycle["reason"] or cycle["status"],
    }


def _closely(report: Mapping[str, Any], cycle: Mapping[str, Any]) -> dict[str, Any]:
    digits = report.get("digits", {}).get(cycle["symbol"], 5)
    return {
        **_cycle(cycle),
        "chart": drawing(price_svg(report, cycle["symbol"], cycle=cycle["number"])),
        "rows": [_leg(leg, digits) for leg in _in_order(cycle["legs"])],
    }


def _in_order(legs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(legs, key=lambda leg: (leg["placed_at"], leg["order_id"]))


def _leg(leg: Mapping[str, Any], digits: int) -> dict[str, Any]:
    return {
        "level": leg["level"],
        "side": SIDES[leg["side"]],
        "lots": f"{leg['volume']:.2f}",
        "state": leg["state"],
        "opened": moment(leg["opened_at"]) if leg["opened_at"] else NOTHING,
        "entry": f"{leg['price_open']:.{digits}f}" if leg["price_open"] else NOTHING,
        "closed": moment(leg["closed_at"]) if leg["closed_at"] else NOTHING,
        "exit": f"{leg['price_close']:.{digits}f}" if leg["price_close"] else NOTHING,
        "net": money(leg["net"]) if leg["state"] == "closed" else NOTHING,
        "why": leg["reason"] or NOTHING,
    }
