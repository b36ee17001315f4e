"""Numbers as people type them into forms: plain decimal digits and one dot, nothing that is read in two ways."""

import math
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,10})?\Z", re.ASCII)
INTEGER = re.compile(r"[+-]?\d{1,15}\Z", re.ASCII)


class StrictFloatField(forms.FloatField):
    """Plain decimal numbers only: no exponent, underscore, thousands separator, other digits, NaN or infinity."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not NUMBER.match(value.strip()):
            raise ValidationError("Enter a number like 12 or 0.5.", code="invalid")
        number = super().to_python(value)
        if number is not None and not math.isfinite(number):
            raise ValidationError("Enter a finite number.", code="invalid")
        return None if number is None else number + 0.0


class StrictDecimalField(forms.DecimalField):
    """Plain decimal numbers only, kept exactly; -0 is 0."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not NUMBER.match(value.strip()):
            raise ValidationError("Enter a number like 12 or 0.5.", code="invalid")
        number = super().to_python(value)
        return None if number is None else number + 0


class StrictIntegerField(forms.IntegerField):
    """Plain whole numbers only."""

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, str) and value.strip() and not INTEGER.match(value.strip()):
            raise ValidationError("Enter a whole number like 5.", code="invalid")
        return super().to_python(value)


# For ModelAdmin.formfield_overrides
STRICT_FORMFIELDS: dict[type[models.Field[Any, Any]], dict[str, Any]] = {
    models.FloatField: {"form_class": StrictFloatField},
    models.DecimalField: {"form_class": StrictDecimalField},
    models.IntegerField: {"form_class": StrictIntegerField},
    models.BigIntegerField: {"form_class": StrictIntegerField},
    models.PositiveIntegerField: {"form_class": StrictIntegerField},
}
