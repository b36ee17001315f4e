"""Tables as files for spreadsheets: CSV and XLSX, in which no text is ever read as a formula."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from xlsxwriter import Workbook

Cell = str | int | float | Decimal | date | datetime | None

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# Limits of the format: 2^20 rows, the first of them the headers; characters of a cell; digits of an IEEE double
ROWS_MAX = 2**20 - 1
TEXT_MAX = 32_767
EXACT_DIGITS = 15
DECIMALS_MAX = 10
COLUMN_WIDTH = 16
# OWASP "CSV Injection": what makes a spreadsheet read a text as a formula, full-width forms included
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """Keep a spreadsheet from reading a text of a CSV file as a formula, by an apostrophe before it."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def csv_lines(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Return a CSV file line by line, so that a long one can be sent while it is read.

    Moments are ISO 8601 in UTC to the second; None is empty.

    Raises:
        ValueError: A moment has no time zone.
    """
    writer = csv.writer(_Echo())
    yield writer.writerow([harmless(name) for name in headers])
    for row in rows:
        yield writer.writerow([_as_text(cell) for cell in row])


def write_xlsx(target: BinaryIO, headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, sheet: str) -> int:
    """Write a workbook of one sheet to an open binary file, a row in memory at a time; return how many rows it has.

    Figures stay figures and moments become Excel's dates in UTC. A whole number or a Decimal that a double can't hold
    exactly, such as a broker's long ticket, is written as text.

    Raises:
        ValueError: More than 1,048,575 rows, which no sheet holds, or a moment without a time zone.
    """
    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    }  # fmt: skip
    with Workbook(target, options) as book:
        page = _Page(book, sheet)
        page.write(0, headers)
        page.sheet.freeze_panes(1, 0)
        page.sheet.set_column(0, max(0, len(headers) - 1), COLUMN_WIDTH)
        number = 0
        for number, row in enumerate(rows, start=1):
            if number > ROWS_MAX:
                raise ValueError(f"A sheet holds {ROWS_MAX:,} rows at most: ask for less, or for CSV.")
            page.write(number, row)
    return number


class _Echo:
    """A file whose writing returns what was written."""

    def write(self, text: str) -> str:
        return text


class _Page:
    """A sheet that knows how each kind of value is written; formats are made once."""

    def __init__(self, book: Any, name: str) -> None:
        self.book = book
        self.sheet = book.add_worksheet(name)
        self.formats: dict[str, Any] = {}
        # What an apostrophe typed before a text does: it stays text when its cell is edited
        self.quoted = book.add_format({"quote_prefix": True})

    def format(self, pattern: str) -> Any:
        if pattern not in self.formats:
            self.formats[pattern] = self.book.add_format({"num_format": pattern})
        return self.formats[pattern]

    def write(self, number: int, row: Sequence[Cell]) -> None:
        for column, cell in enumerate(row):
            if isinstance(cell, datetime):
                self.sheet.write_datetime(
                    number, column, _in_utc(cell).replace(tzinfo=None), self.format("yyyy-mm-dd hh:mm:ss")
                )
            elif isinstance(cell, date):
                self.sheet.write_datetime(number, column, cell, self.format("yyyy-mm-dd"))
            elif _is_exact(cell):
                self.sheet.write_number(number, column, float(cell), self._figure(cell))  # type: ignore[arg-type]
            elif cell is not None:
                text = str(cell)[:TEXT_MAX]
                self.sheet.write_string(number, column, text, self.quoted if harmless(text) != text else None)

    def _figure(self, cell: Cell) -> Any:
        if not isinstance(cell, Decimal):
            return None
        exponent = cell.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        return self.format("0." + "0" * min(decimals, DECIMALS_MAX)) if decimals else None


def _is_exact(cell: Cell) -> bool:
    """Tell whether a value is a figure that a sheet keeps as it is; `bool` is written as its word."""
    if isinstance(cell, bool):
        return False
    if isinstance(cell, int):
        return len(str(abs(cell))) <= EXACT_DIGITS
    if isinstance(cell, Decimal):
        return cell.is_finite() and len(cell.as_tuple().digits) <= EXACT_DIGITS
    return isinstance(cell, float) and math.isfinite(cell)


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone.")
    return at.astimezone(UTC)


def _as_text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, datetime):
        return _in_utc(cell).isoformat(timespec="seconds")
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)
