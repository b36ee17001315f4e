"""The news calendar, imported from files."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from events.audit import name_of, record_change
from risk.domain.calendar import parse_calendar
from risk.models import NewsEvent

CALENDAR_LENGTH_MAX = 2_000_000


@transaction.atomic
def import_calendar(*, text: str, at: datetime, by: User | None = None) -> int:
    """Add the events of a CSV or iCal text that are not known yet; return how many.

    Raises:
        ValidationError: The text is no calendar; the message names the line and the fix.
    """
    if len(text) > CALENDAR_LENGTH_MAX:
        raise ValidationError(f"A calendar has at most {CALENDAR_LENGTH_MAX:,} characters.", code="calendar")
    if "\0" in text:
        raise ValidationError("The calendar holds NUL characters: it is no text.", code="calendar")
    try:
        items = parse_calendar(text)
    except ValueError as problem:
        raise ValidationError(str(problem), code="calendar") from None
    before = NewsEvent.objects.count()
    NewsEvent.objects.bulk_create(
        [NewsEvent(at=i.at, currency=i.currency, impact=i.impact, title=i.title) for i in items], ignore_conflicts=True
    )
    new = NewsEvent.objects.count() - before
    record_change(
        kind="CALENDAR_IMPORTED",
        text=f"{new} news events imported by {name_of(by)}",
        after={"events": new},
        by=by,
        at=at,
    )
    return new
