"""A result as plain values for the database, the API and `--json`, and as one HTML page that needs nothing else."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any

from backtesting.domain import Result
from backtesting.figures import DEFINITIONS, figures_of, monthly

CYCLES_SHOWN = 500
WIDTH, HEIGHT, MARGIN = 900, 260, 50
LABELS = (
    ("net", "Net", "money"), ("net_share", "Net, of the start", "share"), ("drawdown", "Drawdown", "money"),
    ("drawdown_share", "Drawdown, of the peak", "share"), ("profit_factor", "Profit factor", "number"),
    ("expectancy", "Expectancy", "money"), ("win_share", "Cycles won", "share"), ("closed", "Cycles closed", "count"),
    ("legs", "Legs", "count"), ("sharpe", "Sharpe", "number"), ("sortino", "Sortino", "number"),
    ("exposure", "Exposure", "share"), ("margin_level", "Lowest margin level", "percent"), ("swap", "Swap", "money"),
    ("commission", "Commission", "money"), ("worst_cycle", "Worst cycle", "money"), ("mae", "Worst excursion", "money"),
    ("mfe", "Best excursion", "money"), ("stop_outs", "Stop-outs", "count"),
)  # fmt: skip


def plain(result: Result) -> dict[str, Any]:
    """Return everything of a result as JSON can hold it; money with cents, times in epoch seconds."""
    curve = result.curve
    return {
        "begin": result.begin,
        "end": result.end,
        "ticks": result.ticks,
        "balance_begin": result.balance_begin,
        "balance": result.balance,
        "equity": result.equity,
        "asked": result.asked,
        "looked": result.looked,
        "refused": dict(result.refused),
        "figures": {name: _tidy(value) for name, value in asdict(figures_of(result)).items()},
        "monthly": monthly(result.cycles),
        "cycles": [
            {name: _tidy(value) for name, value in asdict(c).items() if name not in ("legs", "memory", "best_net")}
            | {"net": c.net, "legs": [asdict(leg) | {"net": leg.net} for leg in c.legs]}
            for c in result.cycles
        ],
        "curve": {name: [round(v, 2) for v in getattr(curve, name).tolist()] for name in curve.__slots__},
    }


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def shown(value: float | None, kind: str) -> str:
    """Write a figure as a person reads it; a dash where there is none."""
    if value is None:
        return "–"
    if kind == "count":
        return f"{value:,.0f}"
    return {"money": f"{value:,.2f}", "share": f"{value * 100:.2f} %", "percent": f"{value:,.0f} %"}.get(
        kind, f"{value:.2f}"
    )


def figure_rows(*reports: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return label, definition and one text a report for each figure: one report, or several side by side."""
    return [
        (label, DEFINITIONS.get(name.removesuffix("_share"), ""), [shown(r["figures"][name], kind) for r in reports])
        for name, label, kind in LABELS
    ]


def html(report: Mapping[str, Any], *, title: str, about: Mapping[str, Any]) -> str:
    """Return one page with figures, curves, months and cycles; it loads nothing from anywhere."""
    facts = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(_text(v))}</td></tr>" for k, v in about.items())
    figures = "".join(
        f'<tr><th>{escape(label)}</th><td class="n">{value}</td><td class="d">{escape(why)}</td></tr>'
        for label, why, (value,) in figure_rows(report)
    )
    months = "".join(
        f'<tr><th>{month}</th><td class="n">{net:,.2f}</td></tr>' for month, net in report["monthly"].items()
    )
    count = len(report["cycles"])
    return PAGE.format(
        title=escape(title),
        facts=facts,
        figures=figures,
        months=months or "<tr><td>No leg was closed.</td></tr>",
        equity=equity_svg(report["curve"]),
        drawdown=drawdown_svg(report["curve"]),
        cycles=_cycle_rows(report["cycles"]),
        more="" if count <= CYCLES_SHOWN else f"<p>The first {CYCLES_SHOWN} of {count}.</p>",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" if at else "–"


def _cycle_rows(cycles: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for c in cycles[:CYCLES_SHOWN]:
        cells = [
            str(c["number"]), c["symbol"], c["side"], _time(c["opened_at"]), _time(c["closed_at"]),
            str(len(c["legs"])), f"{sum(leg['volume'] for leg in c['legs']):.2f}", f"{c['net']:,.2f}",
            shown(c["worst"], "money"), shown(c["best"], "money"), c["reason"] or c["status"],
        ]  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "".join(rows) or '<tr><td colspan="11">No cycle was opened.</td></tr>'


def equity_svg(curve: Mapping[str, Sequence[float]]) -> str:
    """Draw equity, its range in each piece of time, and the balance."""
    low, high = min(curve["low"], default=0.0), max(curve["high"], default=1.0)
    ranges = list(zip(curve["low"], curve["high"], strict=True))
    lines = [("range", ranges), ("balance", curve["balance"]), ("equity", curve["last"])]
    return _svg(curve["at"], low, high, lines)


def drawdown_svg(curve: Mapping[str, Sequence[float]]) -> str:
    """Draw how far the equity is below its highest so far."""
    peak, falls = -math.inf, []
    for low, high in zip(curve["low"], curve["high"], strict=True):
        peak = max(peak, high)
        falls.append(low - peak)
    return _svg(curve["at"], min(falls, default=-1.0), 0.0, [("fall", falls)])


def _svg(at: Sequence[float], low: float, high: float, lines: Sequence[tuple[str, Sequence[Any]]]) -> str:
    if len(at) < 2:
        return "<p>Too short for a curve.</p>"
    span, height = at[-1] - at[0] or 1.0, (high - low) or 1.0

    def x(time: float) -> float:
        return MARGIN + (time - at[0]) / span * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return 10 + (high - value) / height * (HEIGHT - 40)

    drawn = []
    for name, values in lines:
        if name == "range":
            upper = [f"{x(t):.1f},{y(v[1]):.1f}" for t, v in zip(at, values, strict=True)]
            lower = [f"{x(t):.1f},{y(v[0]):.1f}" for t, v in zip(at, values, strict=True)][::-1]
            drawn.append(f'<polygon class="range" points="{" ".join(upper + lower)}"/>')
        else:
            points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(at, values, strict=True))
            drawn.append(f'<polyline class="{name}" points="{points}"/>')
    texts = [
        f'<text x="{MARGIN}" y="{HEIGHT - 8}">{_time(at[0])[:16]}</text>',
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end">{_time(at[-1])[:16]}</text>',
        f'<text x="{WIDTH - MARGIN + 4}" y="{y(high) + 4:.0f}">{high:,.0f}</text>',
        f'<text x="{WIDTH - MARGIN + 4}" y="{y(low) + 4:.0f}">{low:,.0f}</text>',
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(drawn + texts)}</svg>'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} th {{ text-align: left; font-weight: 500 }}
td, th {{ padding: .2rem .5rem; border-bottom: 1px solid #8884 }}
.n {{ text-align: right; font-variant-numeric: tabular-nums }}
.d {{ color: #888; font-size: 13px }} svg {{ width: 100% }} svg text {{ font-size: 11px; fill: #888 }}
polyline {{ fill: none; stroke-width: 1.5 }} .equity {{ stroke: #2563eb }} .balance {{ stroke: #16a34a }}
.fall {{ stroke: #dc2626 }} .range {{ fill: #2563eb33 }} .scroll {{ overflow-x: auto }}
</style></head><body>
<h1>{title}</h1><table>{facts}</table>
<h2>Figures</h2><table>{figures}</table>
<h2>Equity and balance</h2>{equity}
<h2>Drawdown</h2>{drawdown}
<h2>Months</h2><table>{months}</table>
<h2>Cycles</h2>{more}<div class="scroll"><table><tr><th>#</th><th>Symbol</th><th>Side</th><th>Opened</th><th>Closed</th>
<th>Legs</th><th>Lots</th><th>Net</th><th>MAE</th><th>MFE</th><th>Why</th></tr>{cycles}</table></div>
<p class="d">Times are UTC, money is in account currency.</p></body></html>
"""
