"""Serializers of request bodies: fields that take their own JSON type only, and no field that nobody knows."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers


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


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                known = ", ".join(self.fields) or "none"
                raise serializers.ValidationError({name: [f"Unknown field; known: {known}."] for name in unknown})
        return super().to_internal_value(data)
