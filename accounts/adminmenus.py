"""The menus of actions on the admin's pages."""

from collections.abc import Sequence
from typing import Any


def switched_off(items: Sequence[Any], path: str, why: str) -> list[Any]:
    """Return unfold's entries with the one that leads to `path` switched off, also in a menu; `why` is its tooltip."""
    off = {"dialog": None, "attrs": {"aria-disabled": "true", "title": why}}
    found = []
    for item in items:
        if item.get("path") == path:
            found.append(item | off)
        elif item.get("items"):
            found.append(item | {"items": switched_off(item["items"], path, why)})
        else:
            found.append(item)
    return found
