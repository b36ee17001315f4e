"""Strict JSON: refused before anything is built from it. What Python's parser lets pass, this one does not:
NaN, 1e999, duplicate keys, deep nesting, NUL and lone surrogates."""

import json
import math
import re
from typing import Any

DEPTH_MAX = 20
DIGITS_MAX = 400
# Brackets outside of strings; a string is skipped as a whole
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")


class StrictJsonError(ValueError):
    """What is wrong, and with which field; `field` is empty when it is the whole."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.text = text
        self.field = field


class _NotFinite:
    """Stands for NaN and the infinities until the key is known that holds one."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse one JSON object. Raises StrictJsonError."""
    _check_depth(body)
    try:
        text = body.decode("utf-8")
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=lambda _: _NotFinite(), parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError:
        raise StrictJsonError("The body is not UTF-8.") from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise StrictJsonError(f"The body is not JSON: {problem.msg} ({where}).") from None
    if not isinstance(found, dict):
        raise StrictJsonError("Send one JSON object.")
    return found


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in TOKENS.finditer(body):
        first = match[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEPTH_MAX:
            raise StrictJsonError(f"The body is nested deeper than {DEPTH_MAX} levels.")


def _float(text: str) -> float | _NotFinite:
    value = float(text)
    return value if math.isfinite(value) else _NotFinite()


def _int(text: str) -> int | _NotFinite:
    return int(text) if len(text) <= DIGITS_MAX else _NotFinite()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if FORBIDDEN.search(name):
            raise StrictJsonError("A field's name holds a NUL or a lone surrogate.")
        if name in found:
            raise StrictJsonError("The field is given twice.", name)
        _check_value(name, value)
        found[name] = value
    return found


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, _NotFinite):
        raise StrictJsonError("NaN, infinity and numbers beyond all bounds are no values.", name)
    if isinstance(value, str) and FORBIDDEN.search(value):
        raise StrictJsonError("The text holds a NUL or a lone surrogate.", name)
    if isinstance(value, list):
        for inner in value:
            _check_value(name, inner)
