"""What a person at the supervisor's terminal has to know: the journal's warnings and errors, as they are written."""

import logging

from django.db.models import Max

from events.models import Event

log = logging.getLogger("trading.news")

TOLD_AT_ONCE = 20


class News:
    """Tells each warning and error of the journal once, of all that are written after it was made."""

    def __init__(self) -> None:
        self._last: int = Event.objects.aggregate(newest=Max("id"))["newest"] or 0

    def tell(self) -> None:
        """Log what is new."""
        found = Event.objects.filter(pk__gt=self._last, level__in=("warning", "error")).select_related("account")
        for event in found.order_by("pk")[:TOLD_AT_ONCE]:
            self._last = event.pk
            log.log(logging.ERROR if event.level == "error" else logging.WARNING, "%s: %s", event.account, event.text)
