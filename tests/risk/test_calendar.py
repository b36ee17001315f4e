"""News calendars from files: what is read of CSV and iCal, and what is said of a file that can't be read."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from risk.domain.calendar import IMPACTS, NewsItem, parse_calendar

ICAL = """BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VEVENT\r
DTSTART:20260306T133000Z\r
SUMMARY:USD Non-Farm\\, Pay\r
 rolls\r
CATEGORIES:High impact\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;TZID=Europe/Berlin:20260402T141500\r
SUMMARY:Rate decision\r
CATEGORIES:EUR\r
PRIORITY:5\r
END:VEVENT\r
BEGIN:VEVENT\r
DTSTART;VALUE=DATE:20260407\r
SUMMARY:Bank holiday\r
PRIORITY:9\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_an_ical_file_is_read_with_zones_folded_lines_and_priorities() -> None:
    assert parse_calendar(ICAL) == [
        NewsItem(datetime(2026, 3, 6, 13, 30, tzinfo=UTC), "USD", "high", "USD Non-Farm, Payrolls"),
        NewsItem(datetime(2026, 4, 2, 12, 15, tzinfo=UTC), "EUR", "medium", "Rate decision"),
        NewsItem(datetime(2026, 4, 7, tzinfo=UTC), "", "low", "Bank holiday"),
    ]


def test_a_csv_file_is_read_in_any_order_of_columns_and_any_zone() -> None:
    text = "\ufeffTitle,Impact,Currency,Time\nCPI,HIGH,usd,2026-03-11T08:30:00-04:00\nHoliday,low,,2026-03-12T00:00\n"
    assert parse_calendar(text) == [
        NewsItem(datetime(2026, 3, 11, 12, 30, tzinfo=UTC), "USD", "high", "CPI"),
        NewsItem(datetime(2026, 3, 12, tzinfo=UTC), "", "low", "Holiday"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the header must name"),
        ("time,currency,impact,title\n", "holds no event"),
        ("time,currency,impact,title\nsoon,USD,high,x\n", "line 2: time 'soon'"),
        ("time,currency,impact,title\n2026-03-06T13:30:00Z,USD,huge,x\n", "line 2: impact 'huge'"),
        ("time,currency,impact,title\n2026-03-06T13:30:00Z,DOLLAR,high,x\n", "line 2: currency 'DOLLAR'"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT\n", "line 4: the event has no DTSTART"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID=Nowhere/Here:20260306T1330\nEND:VEVENT\n", "can't be read"),
    ],
)
def test_what_can_not_be_read_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_calendar(text)


AROUND = (
    "{}", "time,currency,impact,title\n{},USD,high,x\n",
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:{}\nEND:VEVENT",
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID={}:20260306T133000\nEND:VEVENT",
)  # fmt: skip


@given(st.text(max_size=100), st.sampled_from(AROUND))
@example("\r0", "{}")
@example("a\0b", "{}")
@example("0001-01-01T00:00:00+14:00", AROUND[1])
@example("Europe", AROUND[3])
@example("../etc/passwd", AROUND[3])
def test_any_text_is_a_calendar_or_a_named_error(text: str, around: str) -> None:
    try:
        items = parse_calendar(around.replace("{}", text))
    except ValueError:
        return
    assert all(item.impact in IMPACTS and item.at.tzinfo is UTC for item in items)
