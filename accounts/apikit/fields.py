"""Serializers of request bodies: fields that take their own JSON type only, and no field that nobody knows."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from accounts.apikit.schema import shaped
from accounts.validation import plain_text

PLAIN_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,8})?", re.ASCII)


class StrictBoolean(serializers.BooleanField):
    """Takes true and false, not "yes" or 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Give true or false.")
        return data


class StrictInteger(serializers.IntegerField):
    """Takes whole numbers, not "1", 1.0 or true."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("Give a whole number.")
        return int(super().to_internal_value(data))


class StrictFloat(serializers.FloatField):
    """Takes numbers, not texts or true."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError("Give a number.")
        return float(data)


class StrictText(serializers.CharField):
    """Takes texts, not numbers."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Give a text.")
        return str(super().to_internal_value(data))


@shaped({"type": "string", "pattern": r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?$"})
class StrictDecimal(serializers.Field[Decimal, Any, str, Any]):
    """Takes money, prices and volumes as texts of plain digits, so that no digit is lost on the way."""

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not PLAIN_DECIMAL.fullmatch(data):
            raise serializers.ValidationError('Give a text of plain digits, as "0.10".')
        return Decimal(data)

    def to_representation(self, value: Decimal) -> str:
        return f"{value:f}"


class Money(serializers.DecimalField):
    """Shows money that was computed as floats, as a text with two decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=None, decimal_places=2, **kwargs)

    def to_representation(self, value: Any) -> str:
        return f"{value + 0.0:.2f}"


class StrictMoment(serializers.DateTimeField):
    """Takes ISO 8601 with an offset; a time without one would be read in anybody's zone."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or "T" not in value:
            raise serializers.ValidationError("Give date and time with an offset, as 2026-03-02T10:00:00Z.")
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise serializers.ValidationError("Give date and time with an offset, as 2026-03-02T10:00:00Z.") from None
        if found.tzinfo is None:
            raise serializers.ValidationError("The offset is missing: end it with Z or +02:00.")
        return found


class StrictChoice(serializers.ChoiceField):
    """Takes one of some texts, as it is written."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(f"Choose one of {', '.join(map(str, self.choices))}.")
        return data


@shaped({"type": "object", "additionalProperties": True})
class StrictObject(serializers.Field[dict[str, Any], Any, Any, Any]):
    """Takes an object; what is in it is somebody else's to check."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Give an object.")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


class NoteText(StrictText):
    """Takes words without invisible characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 200, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        plain_text(text)
        return text


class ReasonText(NoteText):
    """Takes a reason in words."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=300, **kwargs)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                known = ", ".join(self.fields) or "none"
                raise serializers.ValidationError({name: [f"Unknown field; known: {known}."] for name in unknown})
        return super().to_internal_value(data)
