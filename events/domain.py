"""Values of the journal and of the live bus; no Django, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event that is not written yet; `at` is aware, the ids name rows it is about."""

    kind: str
    text: str
    at: datetime
    level: str = "info"
    account_id: int | None = None
    bot_id: int | None = None
    cycle_id: int | None = None
    order_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def shortened(text: str, limit: int = TEXT_MAX) -> str:
    """Return the text, cut with an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
