"""Damage to what a broker says, and what may come of it."""

import copy
import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from hypothesis import strategies as st

GONE = object()
NUMBERS = st.sampled_from([0, -1, 1, 7, 2**31, 2**63, -(2**63), 2**70, 10**400, 1e15, -1e300, 0.1 + 0.2, 5e-324])
TEXTS = st.sampled_from(["", "frog", "1", "-1", "NaN", "1e999", "\x00", "td:\ud800", "x" * 300, "\u202e", "9" * 40])
ODD = (
    st.sampled_from([None, GONE, True, b"x", (), [], {}])
    | TEXTS
    | NUMBERS
    | st.floats()
    | st.integers()
    | st.text(max_size=6)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of every value inside a JSON answer, parents too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def damaged(row: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy of an answer with one value replaced, or gone; a place that is gone already stays so."""
    made = copy.deepcopy(row)
    inside = made
    try:
        for key in path[:-1]:
            inside = inside[key]
        if odd is GONE:
            del inside[path[-1]]
        else:
            inside[path[-1]] = odd
    except (KeyError, IndexError, TypeError):
        pass
    return made


def is_storable(value: object) -> bool:
    """Tell whether a column could hold a value: 64 bits, finite, text without NUL and halves of characters."""
    if isinstance(value, Enum | bool | datetime | timedelta) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    if isinstance(value, float):
        return abs(value) < 1e16
    if isinstance(value, str):
        return "\x00" not in value and value.encode("utf-8", "replace").decode() == value
    return False


def unstorable(fact: Any) -> dict[str, Any]:
    """Return what of a fact no column could hold."""
    kept = {field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)}
    return {name: value for name, value in kept.items() if not is_storable(value)}
