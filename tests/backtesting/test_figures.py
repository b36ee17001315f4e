"""The figures of a report against their definitions, and the page that shows them."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from backtesting.domain import Curve
from backtesting.figures import daily_returns, figures_of, monthly, sharpe, sortino
from backtesting.replay import Replay
from backtesting.report import html, months_of, plain, shown
from tests.backtesting.markets import GRID, history, plan


def test_ratios_follow_their_definitions() -> None:
    returns = [0.01, -0.02, 0.03, 0.0]
    mean = sum(returns) / 4
    deviation = (sum((r - mean) ** 2 for r in returns) / 3) ** 0.5
    assert sharpe(returns) == pytest.approx(mean / deviation * 252**0.5)
    assert sortino(returns) == pytest.approx(mean / (0.02**2 / 4) ** 0.5 * 252**0.5)
    assert sharpe(returns[:2]) is None
    assert sharpe([0.01] * 5) is None
    assert sortino([0.01, 0.02, 0.03]) is None


def test_daily_returns_take_each_days_last_equity() -> None:
    at = np.array([0.0, 40_000.0, 90_000.0, 180_000.0])
    values = np.array([100.0, 110.0, 99.0, 198.0])
    curve = Curve(at, values, values, values, values)
    assert daily_returns(curve, 100.0) == pytest.approx([0.1, -0.1, 1.0])


def test_figures_are_those_of_the_cycles() -> None:
    found = Replay(plan(**GRID, strategy="cycle-trader"), history(11, 800)).run()
    closed = [c.net for c in found.cycles if c.status == "closed"]
    figures = figures_of(found)
    assert figures.closed == len(closed) > 2
    assert figures.net == pytest.approx(found.equity - 10_000.0, abs=0.005)
    assert figures.expectancy == pytest.approx(sum(closed) / len(closed))
    assert figures.won == sum(n > 0 for n in closed)
    assert figures.worst_cycle == min(closed)
    assert 0 < figures.exposure <= 1
    assert figures.floating == pytest.approx(figures.net - (found.balance - 10_000.0), abs=0.01)
    assert figures.mae == min(c.worst for c in found.cycles)
    assert figures.lowest_equity == found.curve.low.min() <= found.equity
    assert 0.1 <= figures.lots_most <= 0.1 * len(found.legs)
    assert figures.drawdown >= max(0.0, 10_000.0 - float(found.curve.low.min())) - 0.01
    assert sum(monthly(found.cycles).values()) == pytest.approx(
        sum(leg.net for leg in found.legs if leg.state == "closed"), abs=0.01
    )
    for cycle in found.cycles:
        if cycle.status == "closed":
            assert cycle.worst <= cycle.net <= cycle.best


class Tags(HTMLParser):
    """Collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_page_needs_nothing_else_and_shows_text_as_text() -> None:
    found = Replay(plan(**GRID, strategy="cycle-trader"), history(11, 300)).run()
    report = json.loads(json.dumps(plain(found)))
    page = html(report, title="<script>alert(1)</script>", about={"Bot": "<b>x</b>"})
    tags = Tags()
    tags.feed(page)
    assert tags.loads == []
    assert "script" not in tags.names
    assert tags.names.count("svg") == 3
    assert "&lt;b&gt;x" in page
    # A dashed line for each level, a dot for each entry, a stroke to each exit
    legs = [leg for cycle in report["cycles"] for leg in cycle["legs"]]
    assert page.count('class="bt-level') == len(legs) > 3
    assert page.count('class="bt-dot') == sum(leg["opened_at"] > 0 for leg in legs)
    assert page.count('class="bt-trade') == sum(leg["state"] == "closed" for leg in legs)
    assert f"{report['figures']['net']:,.2f}" in page


def test_prices_are_outlined_piece_by_piece() -> None:
    ticks = history(3, 500)
    outline = ticks.outline(40)["EURUSD"]
    at, bid = ticks.ticks["EURUSD"].at, ticks.ticks["EURUSD"].bid
    width = (at[-1] - at[0]) / 40
    assert 30 < len(outline.at) <= 41
    for n, begin in enumerate(outline.at):
        part = bid[(at >= begin - 1e-3) & (at < begin + width - 1e-3)]
        assert (outline.low[n], outline.high[n], outline.last[n]) == (part.min(), part.max(), part[-1])


def test_months_stand_in_years() -> None:
    assert months_of({"2025-12": 1.5, "2026-02": -0.5}) == [
        (2025, [None] * 11 + [1.5], 1.5),
        (2026, [None, -0.5] + [None] * 10, -0.5),
    ]
    assert months_of({}) == []


def test_nothing_traded_is_a_report_too() -> None:
    quiet = replace(plan(**GRID, strategy="cycle-trader"), values=GRID | {"direction": "signal"})
    found = Replay(quiet, history(1, 10)).run()
    report = plain(found)
    assert report["figures"]["profit_factor"] is None
    assert "No cycle was opened." in html(report, title="t", about={})
    assert (shown(None, "money"), shown(0.5, "share"), shown(1234.5, "money")) == ("–", "50.00 %", "1,234.50")
