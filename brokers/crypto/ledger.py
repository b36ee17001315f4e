"""Positions out of an exchange's fills: one a symbol, from flat to flat, as on MetaTrader's netting accounts."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from brokers.domain import DealEntry, Side

NOISE = 1e-9
# What was open before the first fill that we know
FOREIGN = 1
COMMENT = "td:"
CLIENT_ID = re.compile(r"TD([ABC])([0-9a-z]{1,12})X([0-9a-zA-Z]{1,20})\Z")
CLIENT_ID_MAX = 32
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose an order is."""

    magic: int = 0
    comment: str = ""


def client_id(intent: str, magic: int, comment: str) -> str | None:
    """Return the client order id of an order: letters and digits, at most 32; None when that can't carry its comment.

    It carries the intent, the magic, and whether the comment is the intent's, the magic's number, or empty.
    """
    kinds = {f"{COMMENT}{intent}": "A", str(magic): "B", "": "C"}
    found = f"TD{kinds.get(comment, '')}{_base36(magic)}X{intent}"
    return found if len(found) <= CLIENT_ID_MAX and CLIENT_ID.match(found) else None


def mark(text: str) -> Mark:
    """Read a client order id; one that is not ours is nobody's."""
    found = CLIENT_ID.match(text)
    if found is None:
        return Mark()
    magic = int(found[2], 36)
    return Mark(magic, {"A": f"{COMMENT}{found[3]}", "B": str(magic), "C": ""}[found[1]])


def _base36(value: int) -> str:
    text = ""
    while value:
        value, digit = divmod(value, 36)
        text = DIGITS[digit] + text
    return text or "0"


def number_of(text: str) -> int:
    """Return an exchange's id as a number: itself, or 56 bits of its hash when it has other characters."""
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**63:
        return int(text)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade of the account at the exchange, in contracts; `fee` is in account currency, above zero when paid."""

    id: str
    order: str
    side: Side
    lots: float
    price: float
    fee: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Booked:
    """A fill and what it did to the symbol's position; `profit` is per unit of contract size."""

    fill: Fill
    position_id: int
    entry: DealEntry
    profit: float


@dataclass(slots=True)
class Folded:
    """A symbol's position after its fills: signed lots, the average price of opening, the order that opened it."""

    lots: float = 0.0
    price: float = 0.0
    position_id: int = 0
    opened_by: str = ""
    opened_at: datetime | None = None


def fold(fills: Iterable[Fill], carried: float) -> tuple[Folded, list[Booked]]:
    """Book fills in their order onto what was open before them. A reversal keeps the position's number, as MT5 does."""
    state = Folded(carried, 0.0, FOREIGN if abs(carried) > NOISE else 0)
    booked = []
    for fill in fills:
        before, change = state.lots, fill.lots * fill.side.sign
        after = before + change if abs(before + change) > NOISE else 0.0
        if abs(before) <= NOISE:
            state.position_id, state.opened_by, state.opened_at = number_of(fill.order), fill.order, fill.at
        is_more = before * change >= 0
        entry = DealEntry.IN if is_more else DealEntry.INOUT if before * after < 0 else DealEntry.OUT
        closed = 0.0 if is_more else min(abs(before), abs(change))
        sign = 1 if before > 0 else -1
        profit = (fill.price - state.price) * closed * sign if state.price else 0.0
        booked.append(Booked(fill, state.position_id, entry, profit))
        if is_more and (state.price or abs(before) <= NOISE):
            state.price = (state.price * abs(before) + fill.price * abs(change)) / abs(after)
        elif entry is DealEntry.INOUT:
            state.price, state.opened_by = fill.price, fill.order
        state.lots = after
        if not after:
            state.price = 0.0
    return state, booked
