"""The parser of request bodies: strict JSON, refused before anything is built from it."""

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser

from accounts.apikit.exceptions import TooLarge

BYTES_MAX = 64 * 1024
DEPTH_MAX = 20
DIGITS_MAX = 400
# Brackets outside of strings; a string is skipped as a whole
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")


class _NotFinite:
    """Stands for NaN and the infinities until the key is known that holds one."""


class StrictJSONParser(BaseParser):
    """Takes JSON objects. Refuses what Python's parser lets pass: NaN, 1e999, duplicate keys, deep nesting, NUL."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the object. Raises ValidationError, naming the field where there is one; TooLarge."""
        body = stream.read(BYTES_MAX + 1)
        if len(body) > BYTES_MAX:
            raise TooLarge(f"The body is larger than {BYTES_MAX // 1024} KiB.")
        return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse one JSON object strictly. Raises ValidationError."""
    _check_depth(body)
    try:
        text = body.decode("utf-8")
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=lambda _: _NotFinite(), parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError:
        raise ValidationError({"non_field_errors": ["The body is not UTF-8."]}) from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise ValidationError({"non_field_errors": [f"The body is not JSON: {problem.msg} ({where})."]}) from None
    if not isinstance(found, dict):
        raise ValidationError({"non_field_errors": ["Send one JSON object."]})
    return found


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in TOKENS.finditer(body):
        first = match[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEPTH_MAX:
            raise ValidationError({"non_field_errors": [f"The body is nested deeper than {DEPTH_MAX} levels."]})


def _float(text: str) -> float | _NotFinite:
    value = float(text)
    return value if math.isfinite(value) else _NotFinite()


def _int(text: str) -> int | _NotFinite:
    return int(text) if len(text) <= DIGITS_MAX else _NotFinite()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if FORBIDDEN.search(name):
            raise ValidationError({"non_field_errors": ["A field's name holds a NUL or a lone surrogate."]})
        if name in found:
            raise ValidationError({name: ["The field is given twice."]})
        _check_value(name, value)
        found[name] = value
    return found


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, _NotFinite):
        raise ValidationError({name: ["NaN, infinity and numbers beyond all bounds are no values."]})
    if isinstance(value, str) and FORBIDDEN.search(value):
        raise ValidationError({name: ["The text holds a NUL or a lone surrogate."]})
    if isinstance(value, list):
        for inner in value:
            _check_value(name, inner)
