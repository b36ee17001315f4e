"""What can be exported, as which file, and the arithmetic of a statement. No Django, no I/O."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.tables import Cell

ZERO = Decimal(0)


class Kind(StrEnum):
    STATEMENT = "statement"
    DEALS = "deals"
    CYCLES = "cycles"
    EQUITY = "equity"


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    PNG = "png"


# What a chart can be drawn of
DRAWN = frozenset({Kind.STATEMENT, Kind.EQUITY})
# A table that is larger is written by a job
ROWS_AT_ONCE = 5_000
STATEMENT_HEADERS = (
    "at", "ticket", "kind", "entry", "position", "symbol", "lots", "price", "profit", "swap", "commission", "fee",
    "amount", "balance", "comment",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to write, and how many there are, for the progress; both were counted at about the same moment."""

    headers: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    count: int


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A deal as a statement shows it; money in the account's currency."""

    at: datetime
    ticket: int
    kind: str
    entry: str
    position: int
    symbol: str
    lots: Decimal
    price: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal
    fee: Decimal
    comment: str

    @property
    def amount(self) -> Decimal:
        """Return what the deal moved the balance by."""
        return self.profit + self.swap + self.commission + self.fee


def problem_of(kind: Kind, filetype: Format) -> str | None:
    """Say why a kind can't be had in a format, or None."""
    if filetype is Format.PNG and kind not in DRAWN:
        return f"A chart is drawn of {' and '.join(sorted(DRAWN))}; ask for csv, xlsx or json."
    return None


def statement_rows(
    lines: Iterable[LedgerLine], *, opening: Decimal, since: datetime | None, until: datetime | None
) -> Iterator[Sequence[Cell]]:
    """Give a statement: the balance before the span, each deal with the balance after it, the balance at the end."""
    balance, nothing = opening, [None] * 11
    yield [since, None, "opening balance", *nothing[:10], balance, None]
    last = since
    for line in lines:
        balance += line.amount
        last = line.at
        yield [
            line.at, line.ticket, line.kind, line.entry, line.position or None, line.symbol or None, line.lots,
            line.price, line.profit, line.swap, line.commission, line.fee, line.amount, balance, line.comment,
        ]  # fmt: skip
    yield [until or last, None, "closing balance", *nothing[:10], balance, None]
