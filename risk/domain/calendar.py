"""News calendars from files: CSV with a header, or iCal (RFC 5545) as calendar sites export it."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

IMPACTS = ("low", "medium", "high")
CURRENCY = re.compile(r"\b([A-Z]{3})\b")
MAJORS = {"USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD"}
OTHERS = {"CNY", "SEK", "NOK", "DKK", "PLN", "HUF", "CZK", "ZAR", "MXN", "TRY", "SGD", "HKD"}
KNOWN_CURRENCIES = MAJORS | OTHERS
TITLE_MAX = 200


@dataclass(frozen=True, slots=True)
class NewsItem:
    """One event: time in UTC, the currency that it moves (empty: all), its impact, its title."""

    at: datetime
    currency: str
    impact: str
    title: str


def parse_calendar(text: str) -> list[NewsItem]:
    """Read a calendar, iCal when it begins like one, else CSV. Raises ValueError that names the line and the fix."""
    text = text.removeprefix("\ufeff")
    try:
        items = list(_ical(text) if text.lstrip().startswith("BEGIN:VCALENDAR") else _csv(text))
    except csv.Error as problem:
        raise ValueError(f"this is no CSV file: {problem}") from None
    if not items:
        raise ValueError("the file holds no event")
    return items


def _csv(text: str) -> Iterator[NewsItem]:
    reader = csv.DictReader(io.StringIO(text, newline=None))
    columns = {name.strip().lower() for name in reader.fieldnames or ()}
    if not {"time", "currency", "impact", "title"} <= columns:
        raise ValueError("line 1: the header must name time, currency, impact and title")
    for n, row in enumerate(reader, start=2):
        clean = {str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k is not None}
        try:
            at = datetime.fromisoformat(clean["time"])
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(f"line {n}: time {clean['time']!r} is no time like 2026-03-06T13:30:00Z") from None
        if clean["impact"].lower() not in IMPACTS:
            raise ValueError(f"line {n}: impact {clean['impact']!r} must be low, medium or high")
        currency = clean["currency"].upper()
        if currency and not re.fullmatch(r"[A-Z]{3}", currency):
            raise ValueError(f"line {n}: currency {clean['currency']!r} must have three letters, or be empty for all")
        yield NewsItem(at, currency, clean["impact"].lower(), clean["title"][:TITLE_MAX])


def _ical(text: str) -> Iterator[NewsItem]:
    """Read DTSTART, SUMMARY, CATEGORIES and PRIORITY of each VEVENT; folded lines begin with a space or a tab."""
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    event: dict[str, tuple[str, str]] | None = None
    for n, line in enumerate(unfolded.splitlines(), start=1):
        name, _, value = line.partition(":")
        key, _, options = name.partition(";")
        if line.strip() == "BEGIN:VEVENT":
            event = {}
        elif line.strip() == "END:VEVENT" and event is not None:
            if "DTSTART" not in event:
                raise ValueError(f"line {n}: the event has no DTSTART")
            yield _event(event, n)
            event = None
        elif event is not None:
            event[key.upper()] = (options, value)


def _event(event: dict[str, tuple[str, str]], line: int) -> NewsItem:
    options, value = event["DTSTART"]
    title = re.sub(r"\\([,;\\])", r"\1", event.get("SUMMARY", ("", ""))[1].replace("\\n", " "))
    categories = event.get("CATEGORIES", ("", ""))[1]
    currency = next((c for c in CURRENCY.findall(f"{title} {categories}") if c in KNOWN_CURRENCIES), "")
    return NewsItem(_ical_time(options, value.strip(), line), currency, _impact(event, categories), title[:TITLE_MAX])


def _ical_time(options: str, value: str, line: int) -> datetime:
    """Read a date, a UTC time, or a time of the zone that TZID names; without one it counts as UTC."""
    try:
        day = value if "T" in value else f"{value}T000000"
        at = datetime.fromisoformat(day.removesuffix("Z"))
        zone = None if value.endswith("Z") else re.search(r"TZID=([^;:]+)", options)
        return at.replace(tzinfo=ZoneInfo(zone[1].strip('"')) if zone else UTC).astimezone(UTC)
    # A zone's name is looked up as a file: one that names a folder is an OSError
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        raise ValueError(f"line {line}: DTSTART {value!r} can't be read") from None


def _impact(event: dict[str, tuple[str, str]], categories: str) -> str:
    """Take the impact from the categories, else from the priority (RFC 5545: 1 is highest, 5 medium); else high."""
    named = next((i for i in IMPACTS if i in categories.lower()), None)
    priority = event.get("PRIORITY", ("", ""))[1].strip()
    if named or not priority.isdecimal() or priority == "0":
        return named or "high"
    return "high" if int(priority) < 5 else "medium" if int(priority) == 5 else "low"
