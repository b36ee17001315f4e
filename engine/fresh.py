"""Entries that have left and that the guards' picture of the account does not show yet: limits count them at once."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from risk.domain import Ask, Load, Standing
from risk.domain.exposure import add_exposure


@dataclass(frozen=True, slots=True)
class _Entry:
    intent_id: int
    ask: Ask
    standing: Standing
    book_at: datetime | None


class FreshEntries:
    """One account's entries since its book was last read. A session owns it, and is the only one that sends."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        # From here on the account was not read again: margin is still to be counted
        self._round = 0

    def begin_round(self, book_at: datetime | None, under_way: Collection[int]) -> None:
        """Forget what a book as of `book_at` shows, and the intents that count as under way anyway."""
        self._entries = [
            e
            for e in self._entries
            if e.intent_id not in under_way and (book_at is None or e.book_at is None or e.book_at >= book_at)
        ]
        self._round = len(self._entries)

    def add(self, intent_id: int, ask: Ask, standing: Standing, book_at: datetime | None) -> None:
        """Count an entry that left; `book_at` is the time of the newest book before it."""
        self._entries.append(_Entry(intent_id, ask, standing, book_at))

    def added_to(self, load: Load) -> Load:
        """Return a load with these entries."""
        if not self._entries:
            return load
        lots, exposure = dict(load.lots), dict(load.exposure)
        for e in self._entries:
            lots[e.ask.symbol] = lots.get(e.ask.symbol, 0.0) + e.ask.volume
            add_exposure(exposure, e.ask.side.sign * e.ask.volume, e.standing.quote, e.standing.spec)
        count = len(self._entries)
        return replace(
            load,
            cycles=load.cycles + sum(e.ask.opens_cycle for e in self._entries),
            orders=load.orders + count,
            lots=lots,
            exposure=exposure,
            entries_minute=load.entries_minute + count,
            entries_day=load.entries_day + count,
            margin_under_way=load.margin_under_way
            + sum(e.ask.volume * e.standing.spec.margin_per_lot for e in self._entries[self._round :]),
        )
