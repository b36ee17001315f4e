"""The loop that asks Telegram for news and answers them."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connection

from core.clock import Clock
from core.ids import Ids
from telegram.client import TelegramApi, TelegramError
from telegram.models import Bookmark
from telegram.services import pass_over, take_update

log = logging.getLogger("trading.telegram")

LOCK = 0x5447
PAUSE_SECONDS, PAUSE_LONGEST_SECONDS = 2.0, 60.0


class Poller:
    """Asks for one bot. Of several hosts one polls: who holds the database's lock."""

    def __init__(self, api: TelegramApi, *, clock: Clock, ids: Ids) -> None:
        self.api = api
        self.clock = clock
        self.ids = ids
        self.failures = 0

    def holds_lock(self) -> bool:
        """Take the lock, or tell that another process has it; it is free when its connection ends."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK, self.api.bot])
            return bool(cursor.fetchone()[0])

    def run(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Poll for as long as `goes_on` says."""
        while goes_on():
            if not self.holds_lock():
                self.clock.sleep(PAUSE_LONGEST_SECONDS)
                continue
            while goes_on():
                self.clock.sleep(self.step())

    def step(self) -> float:
        """Ask once, carry out what came, answer it; return the seconds to wait before the next time."""
        after = Bookmark.objects.filter(bot=self.api.bot).values_list("next_update", flat=True).first() or 0
        try:
            updates = self.api.updates(after)
        except TelegramError as problem:
            self.failures += 1
            log.warning("Telegram: %s", problem)
            return min(PAUSE_LONGEST_SECONDS, PAUSE_SECONDS * 2.0 ** min(self.failures, 6))
        self.failures = 0
        taken = 0
        for raw in updates:
            answer = self._take(raw)
            taken += answer is not None
            if answer is not None:
                self._send(*answer)
        # A server that repeats what was seen, or sends nonsense at once, must not keep us spinning
        return 0.0 if taken or not updates else PAUSE_SECONDS

    def _take(self, raw: Any) -> tuple[int, str] | None:
        try:
            return take_update(raw, bot=self.api.bot, clock=self.clock, ids=self.ids)
        except DatabaseError:
            raise
        except Exception:
            # One message that we can't carry out must not keep all that come after it waiting
            log.exception("Telegram: an update was passed over")
            pass_over(raw, bot=self.api.bot)
            return None

    def _send(self, chat_id: int, text: str) -> None:
        try:
            self.api.send(chat_id, text)
        except TelegramError as problem:
            # What was asked for is done and written down; an answer that is lost is asked for again by /status
            log.warning("Telegram: an answer was not sent: %s", problem)
