"""A result as plain values for the database, the API and `--json`, and its figures as people read them."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from backtesting.domain import Result
from backtesting.figures import DEFINITIONS, figures_of, monthly

CYCLES_SHOWN = 500
# What a step of a guard comes to, by its phase
STEPS = {
    "standing": "allowed exits only", "countdown": "counted down", "closing": "closed", "closed": "kept closed",
    "ended": "ended",
}  # fmt: skip
PRICE_DIGITS = 8
LABELS = (
    ("net", "Net", "money"), ("net_share", "Net, of the start", "share"), ("floating", "Floating at the end", "money"),
    ("drawdown", "Drawdown", "money"),
    ("drawdown_share", "Drawdown, of the peak", "share"), ("profit_factor", "Profit factor", "number"),
    ("expectancy", "Expectancy", "money"), ("win_share", "Cycles won", "share"), ("closed", "Cycles closed", "count"),
    ("legs", "Legs", "count"), ("sharpe", "Sharpe", "number"), ("sortino", "Sortino", "number"),
    ("exposure", "Exposure", "share"), ("margin_level", "Lowest margin level", "percent"), ("swap", "Swap", "money"),
    ("commission", "Commission", "money"), ("worst_cycle", "Worst cycle", "money"), ("worst_day", "Worst day", "share"),
    ("lowest_equity", "Lowest equity", "money"), ("lots_most", "Most lots open at once", "number"),
    ("mae", "Worst excursion", "money"), ("mfe", "Best excursion", "money"), ("stop_outs", "Stop-outs", "count"),
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
        "guards": [asdict(step) for step in result.guards],
        "figures": {name: _tidy(value) for name, value in asdict(figures_of(result)).items()},
        "monthly": monthly(result.cycles),
        "cycles": [
            {name: _tidy(value) for name, value in asdict(c).items() if name not in ("legs", "memory", "best_net")}
            | {"net": c.net, "legs": [asdict(leg) | {"net": leg.net} for leg in c.legs]}
            for c in result.cycles
        ],
        "prices": {
            symbol: {name: [round(v, PRICE_DIGITS) for v in getattr(p, name).tolist()] for name in p.__slots__}
            for symbol, p in result.prices.items()
        },
        "digits": dict(result.digits),
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


def figure_rows(*reports: Mapping[str, Any], names: Collection[str] = ()) -> list[tuple[str, str, list[str]]]:
    """Return label, definition and one text a report for each figure (of `names`): one report, or several."""
    return [
        (
            label,
            DEFINITIONS.get(name.removesuffix("_share"), ""),
            [shown(r["figures"].get(name), kind) for r in reports],
        )
        for name, label, kind in LABELS
        if not names or name in names
    ]


def months_of(monthly: Mapping[str, float]) -> list[tuple[int, list[float | None], float]]:
    """Return (year, the net of each of its months, None where nothing was closed, and their sum), oldest first."""
    years: dict[int, list[float | None]] = defaultdict(lambda: [None] * 12)
    for month, net in monthly.items():
        years[int(month[:4])][int(month[5:]) - 1] = net
    return [(year, nets, round(sum(net or 0.0 for net in nets), 2)) for year, nets in sorted(years.items())]


def guards_said(steps: Sequence[Mapping[str, Any]]) -> str:
    """Say in words what guards did: how often each step was taken, and since when the account was closed."""
    if not steps:
        return "none found anything to forbid or to close"
    counts = Counter(f"{step['guard'].replace('_', ' ')} {STEPS[step['phase']]}" for step in steps)
    said = ", ".join(f"{step} {count}×" for step, count in counts.items())
    ends = [s for s in steps if s["phase"] == "closed" and s["level"] in ("bot", "account", "portfolio")]
    if not ends:
        return said
    first = ends[0]
    at = datetime.fromtimestamp(first["at"], UTC)
    return (
        f"{said}. Closed by the {first['guard'].replace('_', ' ')} guard at {at:%Y-%m-%d %H:%M:%S} UTC "
        f"({first['text']}), and to the end: nobody re-arms in a backtest"
    )


def text_of(value: Any) -> str:
    """Write a fact of a report's head."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
