"""When which bot is asked."""

from collections.abc import Sequence

from core.clock import Clock
from strategies.models import Bot

# A bot whose strategy hung is asked again only so much later: its account has other work
HUNG_PAUSE_SECONDS = 60.0
# How often to see which bots there are while none that is known is due
LOOK_SECONDS = 1.0
# Whoever sleeps until the next turn may wake so much early, as sums of floats go
EARLY_SECONDS = 0.001


class Turns:
    """Remembers when each bot is due by its interval. Times are the clock's ticks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[int, float] = {}
        self._look_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether a known bot is due, or it is time to see which bots there are."""
        return self._clock.ticks() >= self._look_at - EARLY_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds until it is due; 0.0 when it is."""
        return max(0.0, self._look_at - self._clock.ticks())

    def take(self, bots: Sequence[Bot]) -> list[Bot]:
        """Return those of the bots whose turn it is, and note their next."""
        ticks = self._clock.ticks()
        due = [b for b in bots if self._due.get(b.pk, 0.0) <= ticks + EARLY_SECONDS]
        for bot in due:
            self._due[bot.pk] = ticks + bot.interval_seconds
        self._look_at = min((ticks + LOOK_SECONDS, *(self._due[b.pk] for b in bots)))
        return due

    def pause(self, bot: Bot) -> None:
        """Let a bot whose strategy hung wait."""
        self._due[bot.pk] = self._clock.ticks() + HUNG_PAUSE_SECONDS
