"""A report as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from backtesting.report.charts import drawdown_svg, equity_svg, price_svg
from backtesting.report.values import CYCLES_SHOWN, figure_rows, months_of, shown, text_of

STYLE = Path(__file__).resolve().parent.parent / "static" / "backtesting" / "report.css"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def html(report: Mapping[str, Any], *, title: str, about: Mapping[str, Any]) -> str:
    """Return one page with figures, curves, trades on the prices, months and cycles; it loads nothing from anywhere."""
    facts = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(text_of(v))}</td></tr>" for k, v in about.items())
    figures = "".join(
        f'<tr><th>{escape(label)}</th><td class="n">{value}</td><td class="d">{escape(why)}</td></tr>'
        for label, why, (value,) in figure_rows(report)
    )
    prices = "".join(
        f"<h2>{escape(symbol)} with trades and grid levels</h2>{price_svg(report, symbol)}"
        for symbol in report.get("prices", {})
    )
    count = len(report["cycles"])
    return document(
        title,
        f"<table>{facts}</table><h2>Figures</h2><table>{figures}</table>"
        f"<h2>Equity and balance</h2>{equity_svg(report)}<h2>Drawdown</h2>{drawdown_svg(report)}{prices}"
        f'<h2>Months</h2><div class="scroll">{_months(report["monthly"])}</div>'
        f"<h2>Cycles</h2>{'' if count <= CYCLES_SHOWN else f'<p>The first {CYCLES_SHOWN} of {count}.</p>'}"
        f'<div class="scroll"><table><tr><th>#</th><th>Symbol</th><th>Side</th><th>Opened</th><th>Closed</th>'
        f"<th>Legs</th><th>Lots</th><th>Net</th><th>MAE</th><th>MFE</th><th>Why</th></tr>"
        f"{_cycle_rows(report['cycles'])}</table></div>",
    )


def document(title: str, body: str) -> str:
    """Return a whole page around some HTML, with the styles in it."""
    return PAGE.format(title=escape(title), style=STYLE.read_text("utf-8"), body=body)


def _months(monthly: Mapping[str, float]) -> str:
    years = months_of(monthly)
    if not years:
        return "<p>No leg was closed.</p>"
    head = "".join(f"<th>{name}</th>" for name in ("Year", *MONTHS, "Total"))
    rows = "".join(
        f"<tr><th>{year}</th>"
        + "".join(f'<td class="n">{shown(net, "money")}</td>' for net in (*nets, total))
        + "</tr>"
        for year, nets, total in years
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


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


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} th {{ text-align: left; font-weight: 500 }}
td, th {{ padding: .2rem .5rem; border-bottom: 1px solid #8884 }}
.n {{ text-align: right; font-variant-numeric: tabular-nums }} td {{ overflow-wrap: anywhere }}
.d {{ color: #888; font-size: 13px }} .scroll {{ overflow-x: auto }} .scroll td {{ white-space: nowrap }}
{style}</style></head><body>
<h1>{title}</h1>{body}
<p class="d">Times are UTC, money is in account currency.</p></body></html>
"""
