"""Times in the parameters of the API: with date, time and offset, because any other is read in somebody's own zone."""

import re
from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django_filters.fields import RangeField
from django_filters.widgets import DateRangeWidget

WITH_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)
MESSAGE = "Give date and time with an offset, as 2026-03-02T10:00:00Z; a + must be percent-encoded in an address."


class MomentField(forms.Field):
    """Takes one time as ISO 8601 with an offset."""

    def to_python(self, value: Any) -> datetime | None:
        """Return aware UTC; None for nothing. Raises ValidationError."""
        if value in self.empty_values:
            return None
        try:
            if not WITH_OFFSET.fullmatch(str(value)):
                raise ValueError
            return datetime.fromisoformat(str(value).upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError(MESSAGE) from None


class MomentRangeField(RangeField):  # type: ignore[misc]
    """Two times, of which each may be left out."""

    widget = DateRangeWidget

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__((MomentField(), MomentField()), *args, **kwargs)


class MomentFilter(django_filters.Filter):  # type: ignore[misc]
    """Takes one time."""

    field_class = MomentField


class TimeRangeFilter(django_filters.IsoDateTimeFromToRangeFilter):  # type: ignore[misc]
    """`name_after` and `name_before`, both inclusive."""

    field_class = MomentRangeField
