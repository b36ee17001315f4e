import csv
import io
import re
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tables import FORMULA_STARTS, Cell, csv_lines, harmless, write_xlsx

AT = datetime(2026, 3, 2, 10, 30, tzinfo=timezone(timedelta(hours=2)))
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=20)


def sheet_of(*rows: list[Cell]) -> str:
    """Return the XML of a workbook's only sheet."""
    file = io.BytesIO()
    assert write_xlsx(file, ["a", "b"], rows, sheet="t") == len(rows)
    with zipfile.ZipFile(file) as parts:
        return parts.read("xl/worksheets/sheet1.xml").decode()


@given(st.sampled_from(FORMULA_STARTS), TEXTS)
def test_no_text_of_a_csv_begins_like_a_formula(start: str, rest: str) -> None:
    lines = "".join(csv_lines(["a"], [[start + rest], [rest]]))
    for row in list(csv.reader(io.StringIO(lines, newline="")))[1:]:
        assert not (row and row[0].startswith(FORMULA_STARTS))


@given(st.sampled_from(FORMULA_STARTS), TEXTS)
def test_no_text_of_a_workbook_is_a_formula_or_a_link_and_it_stays_text_when_edited(start: str, rest: str) -> None:
    xml = sheet_of([start + rest])
    assert "<f>" not in xml
    assert "hyperlink" not in xml
    cell = re.search(r'<c r="A2" s="(\d+)" t="inlineStr">', xml)
    assert cell is not None
    assert cell[1] != "0"


def test_figures_stay_figures_also_negative_ones() -> None:
    assert harmless("-1") == "'-1"
    assert "".join(csv_lines(["x"], [[-1.5], [Decimal("-0.10")], [AT]])) == (
        "x\r\n-1.5\r\n-0.10\r\n2026-03-02T08:30:00+00:00\r\n"
    )
    xml = sheet_of([-1.5, Decimal("-0.10")])
    assert "<v>-1.5</v>" in xml
    assert "<v>-0.1</v>" in xml


def test_a_moment_becomes_a_date_in_utc_and_one_without_a_zone_is_refused() -> None:
    days = (AT.astimezone(UTC).replace(tzinfo=None) - datetime(1899, 12, 30)).total_seconds() / 86_400  # noqa: DTZ001
    assert f"<v>{days:.6f}"[:14] in sheet_of([AT, None])
    with pytest.raises(ValueError, match="time zone"):
        sheet_of([AT.replace(tzinfo=None)])
    with pytest.raises(ValueError, match="time zone"):
        "".join(csv_lines(["at"], [[AT.replace(tzinfo=None)]]))


def test_a_ticket_longer_than_a_double_is_kept_to_the_last_digit() -> None:
    assert "9007199254740993" in sheet_of([9_007_199_254_740_993])
    assert 't="inlineStr"' in sheet_of([9_007_199_254_740_993]).split("<row", 3)[2]


def test_more_rows_than_a_sheet_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.tables.ROWS_MAX", 2)
    sheet_of([1], [2])
    with pytest.raises(ValueError, match="2 rows at most"):
        sheet_of([1], [2], [3])
