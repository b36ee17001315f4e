"""Compare the books with the broker's book: pure, so that what an operator sees is what the engine acts on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brokers.domain import Book, PendingOrder, Position
from core.numbers import CENT, moved
from orders.domain import KnownIntent, KnownOrder, token_in

VOLUME_NOISE = 1e-8


@dataclass(frozen=True, slots=True)
class Findings:
    """What a pass found. `missing` orders are suspicious: open here and not seen there, which proves nothing yet."""

    appeared: tuple[Position, ...] = ()
    activated: tuple[tuple[KnownOrder, Position], ...] = ()
    changed: tuple[tuple[KnownOrder, Position], ...] = ()
    missing: tuple[KnownOrder, ...] = ()
    seen_again: tuple[KnownOrder, ...] = ()
    resting: tuple[PendingOrder, ...] = ()
    resting_missing: tuple[KnownOrder, ...] = ()

    @property
    def nothing(self) -> bool:
        """Tell whether books and broker agree."""
        return self == Findings()


def compare(known: Sequence[KnownOrder], book: Book) -> Findings:
    """Match orders and positions by identifier and say what differs. Tolerances never match anything (X-01)."""
    positions = {p.identifier: p for p in book.positions}
    resting = {o.ticket: o for o in book.orders}
    by_identifier = {k.identifier: k for k in known}
    opened = [k for k in known if k.status == "open"]
    pending = [k for k in known if k.status == "pending"]
    return Findings(
        appeared=tuple(p for i, p in positions.items() if i not in by_identifier),
        activated=tuple((k, positions[k.identifier]) for k in pending if k.identifier in positions),
        changed=tuple(
            (k, positions[k.identifier])
            for k in opened
            if k.identifier in positions and _differs(k, positions[k.identifier])
        ),
        missing=tuple(k for k in opened if k.identifier not in positions),
        seen_again=tuple(k for k in opened if k.suspicious and k.identifier in positions),
        resting=tuple(o for t, o in resting.items() if t not in by_identifier),
        resting_missing=tuple(k for k in pending if k.identifier not in positions and k.ticket not in resting),
    )


def _differs(known: KnownOrder, position: Position) -> bool:
    return (
        known.side != position.side
        or abs(known.volume - position.volume) > VOLUME_NOISE
        or abs(known.sl - position.sl) > VOLUME_NOISE
        or abs(known.tp - position.tp) > VOLUME_NOISE
        or known.ticket != position.ticket
    )


def intent_of(ticket: int, comment: str, intents: Iterable[KnownIntent]) -> KnownIntent | None:
    """Find the intent that made an order, by the ticket the broker answered with or by the token in the comment."""
    token = token_in(comment)
    for intent in intents:
        if intent.kind in ("open", "place") and (intent.reply_order == ticket or (token and intent.token == token)):
            return intent
    return None


def marks_of(book: Book) -> dict[str, Any]:
    """Return the book's floating values as parallel arrays, ordered by identifier."""
    positions = sorted(book.positions, key=lambda p: p.identifier)
    account = book.account
    return {
        "identifiers": [p.identifier for p in positions],
        "profits": [p.profit for p in positions],
        "swaps": [p.swap for p in positions],
        "prices": [p.price_current for p in positions],
        "balance": account.balance,
        "equity": account.equity,
        "margin": account.margin,
        "margin_level": account.margin_level,
    }


def marks_moved(before: Mapping[str, Any] | None, after: Mapping[str, Any], threshold: float = CENT) -> bool:
    """Tell whether any floating value moved by more than `threshold`, or the set of positions changed."""
    if before is None or before["identifiers"] != after["identifiers"]:
        return True
    if any(moved(before[key], after[key], threshold) for key in ("balance", "equity")):
        return True
    return any(
        moved(a, b, threshold) for key in ("profits", "swaps") for a, b in zip(before[key], after[key], strict=True)
    )
