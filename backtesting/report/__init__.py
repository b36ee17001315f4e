"""Reports: a result as plain values, as figures, as charts, and as one HTML page."""

from backtesting.report.charts import compared_svg, drawdown_svg, equity_svg, price_svg
from backtesting.report.page import document, html
from backtesting.report.values import CYCLES_SHOWN, figure_rows, guards_said, months_of, plain, shown, text_of

__all__ = [
    "CYCLES_SHOWN",
    "compared_svg",
    "document",
    "drawdown_svg",
    "equity_svg",
    "figure_rows",
    "guards_said",
    "html",
    "months_of",
    "plain",
    "price_svg",
    "shown",
    "text_of",
]
