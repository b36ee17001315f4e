"""Charts of a report as SVG: a page draws them without a script, at any width, in light and dark.

The drawing is stretched to the width it is given; lines and dots keep their size, and what is written stands beside it
as text. Colours are classes of `report.css`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

WIDTH, HEIGHT = 1000.0, 300.0
# Share of the height that stays free above and below
ROOM = 0.04
LEGS_DRAWN = 600
# A chart of one cycle shows a bit of what was before and after it
AROUND = 0.15
AROUND_SECONDS = 300.0
Report = Mapping[str, Any]
TOO_SHORT = "<p>Too short for a curve.</p>"


@dataclass(frozen=True, slots=True)
class Frame:
    """What part of time and values a chart shows."""

    begin: float
    end: float
    low: float
    high: float

    def x(self, at: float) -> str:
        """Return where a time lies."""
        return f"{(at - self.begin) / ((self.end - self.begin) or 1.0) * WIDTH:.1f}"

    def y(self, value: float) -> str:
        """Return where a value lies."""
        share = (self.high - value) / ((self.high - self.low) or 1.0)
        return f"{HEIGHT * (ROOM + share * (1 - 2 * ROOM)):.1f}"

    def line(self, name: str, points: Iterable[tuple[float, float]]) -> str:
        """Draw a line."""
        text = " ".join(f"{self.x(at)},{self.y(value)}" for at, value in points)
        return f'<polyline class="bt-line bt-{name}" points="{text}"/>'

    def area(self, name: str, at: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
        """Draw what lies between two lines."""
        upper = [f"{self.x(t)},{self.y(v)}" for t, v in zip(at, high, strict=True)]
        lower = [f"{self.x(t)},{self.y(v)}" for t, v in zip(at, low, strict=True)]
        return f'<polygon class="bt-area bt-{name}" points="{" ".join(upper + lower[::-1])}"/>'

    def stroke(self, name: str, start: tuple[float, float], end: tuple[float, float]) -> str:
        """Draw a straight stroke; one from a point to itself is a dot."""
        (t, v), (u, w) = start, end
        return f'<path class="{name}" d="M{self.x(t)} {self.y(v)}L{self.x(u)} {self.y(w)}"/>'

    def figure(
        self, drawn: Iterable[str], *, label: str, digits: int, legend: Mapping[str, str], ends: Sequence[str] = ()
    ) -> str:
        """Put the drawing, its limits and its legend together; `ends` are texts in place of the first and last time."""
        left, right = ends or (moment(self.begin), moment(self.end))
        items = "".join(f'<li><i class="bt-{key}"></i>{escape(text)}</li>' for key, text in legend.items())
        return (
            f'<figure class="bt-chart"><svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" '
            f'role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'
            f'<span class="bt-top">{self.high:,.{digits}f}</span><span class="bt-bottom">{self.low:,.{digits}f}</span>'
            f"<figcaption><span>{escape(left)}</span><span>{escape(right)}</span></figcaption></figure>"
            + (f'<ul class="bt-legend">{items}</ul>' if items else "")
        )


def moment(at: float) -> str:
    """Write a time, UTC, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def equity_svg(report: Report) -> str:
    """Draw equity, its range in each piece of time, and the balance."""
    curve = report["curve"]
    at: list[float] = curve["at"]
    if len(at) < 2:
        return TOO_SHORT
    values = [*curve["low"], *curve["high"], *curve["balance"]]
    frame = Frame(at[0], at[-1], min(values), max(values))
    drawn = [
        frame.area("equity", at, curve["low"], curve["high"]),
        frame.line("balance", zip(at, curve["balance"], strict=True)),
        frame.line("equity", zip(at, curve["last"], strict=True)),
    ]
    legend = {"equity": "Equity, and its range", "balance": "Balance"}
    return frame.figure(drawn, label="Equity and balance", digits=2, legend=legend)


def drawdown_svg(report: Report) -> str:
    """Draw how far the equity is below its highest so far."""
    curve = report["curve"]
    if len(curve["at"]) < 2:
        return TOO_SHORT
    peak, falls = -math.inf, []
    for low, high in zip(curve["low"], curve["high"], strict=True):
        peak = max(peak, high)
        falls.append(low - peak)
    frame = Frame(curve["at"][0], curve["at"][-1], min(falls), 0.0)
    drawn = [
        frame.area("fall", curve["at"], falls, [0.0] * len(falls)),
        frame.line("fall", zip(curve["at"], falls, strict=True)),
    ]
    return frame.figure(drawn, label="Drawdown", digits=2, legend={})


def compared_svg(one: Report, two: Report) -> str:
    """Draw the equity of two reports over the time of both, each as its change since its own start."""
    curves = [(r["curve"]["at"], [v - r["balance_begin"] for v in r["curve"]["last"]]) for r in (one, two)]
    if any(len(at) < 2 for at, _ in curves):
        return TOO_SHORT
    values = [0.0, *curves[0][1], *curves[1][1]]
    times = [*curves[0][0], *curves[1][0]]
    frame = Frame(min(times), max(times), min(values), max(values))
    drawn = [
        frame.line(name, zip(at, changes, strict=True))
        for name, (at, changes) in zip(("one", "two"), curves, strict=True)
    ]
    return frame.figure(drawn, label="Equity of both", digits=2, legend={"one": "First", "two": "Second"})


def price_svg(report: Report, symbol: str, *, cycle: int | None = None) -> str:
    """Draw a symbol's prices with trades and grid levels: of the whole report, or around one cycle."""
    prices = report.get("prices", {}).get(symbol)
    cycles = [c for c in report["cycles"] if c["symbol"] == symbol and cycle in (None, c["number"])]
    # With each leg, when it was over at the latest
    legs = [(leg, leg["closed_at"] or c["closed_at"]) for c in cycles for leg in c["legs"]][:LEGS_DRAWN]
    if prices is None or len(prices["at"]) < 2:
        return TOO_SHORT
    begin, end = report["begin"], report["end"]
    if cycle is not None and cycles:
        begin, end = _around(cycles[0], begin, end)
    # One piece before and after, so that the line reaches the edges
    at: list[float] = prices["at"]
    first = max(0, sum(t <= begin for t in at) - 1)
    last = min(len(at), sum(t < end for t in at) + 1)
    part = {name: prices[name][first:last] for name in ("at", "low", "high", "last")}
    ends = [leg[name] for leg, _ in legs for name in ("price_open", "price_close") if leg[name]]
    values = [*part["low"], *part["high"], *ends]
    if len(part["at"]) < 2:
        return TOO_SHORT
    frame = Frame(max(begin, part["at"][0]), min(end, max(part["at"][-1], begin + 1)), min(values), max(values))
    drawn = [
        frame.area("price", part["at"], part["low"], part["high"]),
        frame.line("price", zip(part["at"], part["last"], strict=True)),
        *(stroke for leg, gone in legs for stroke in _leg(frame, leg, gone or end)),
    ]
    legend = {
        "price": "Bid, and its range", "buy": "Buy: level and entry", "sell": "Sell: level and entry",
        "gain": "Closed with a gain", "loss": "Closed with a loss",
    }  # fmt: skip
    what = f"{symbol} with trades" if cycle is None else f"{symbol} around cycle {cycle}"
    return frame.figure(drawn, label=what, digits=report.get("digits", {}).get(symbol, 5), legend=legend)


def _around(cycle: Mapping[str, Any], begin: float, end: float) -> tuple[float, float]:
    """Return the time that a chart of one cycle shows."""
    closed = cycle["closed_at"] or end
    more = max((closed - cycle["opened_at"]) * AROUND, AROUND_SECONDS)
    return max(begin, cycle["opened_at"] - more), min(end, closed + more)


def _leg(frame: Frame, leg: Mapping[str, Any], gone: float) -> list[str]:
    """Draw a leg: its level while it stood, its entry, and the way to its exit."""
    level, side = leg["price_open"], leg["side"]
    drawn = [frame.stroke(f"bt-level bt-{side}", (leg["placed_at"], level), (gone, level))]
    if not leg["opened_at"]:
        return drawn
    entry = (leg["opened_at"], level)
    if leg["state"] == "closed":
        came, out = "gain" if leg["net"] > 0 else "loss", (leg["closed_at"], leg["price_close"])
        drawn += [frame.stroke(f"bt-trade bt-{came}", entry, out), frame.stroke(f"bt-end bt-{came}", out, out)]
    return [*drawn, frame.stroke(f"bt-dot bt-{side}", entry, entry)]
