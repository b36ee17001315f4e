"""Write one export to an open file, telling how far it is."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from accounts.models import TradingAccount
from core.tables import CSV_TYPE, XLSX_TYPE, Cell, csv_lines, write_xlsx
from exports.domain import Format, Kind, Table
from exports.drawing import draw_lines
from exports.selectors import lines_of, table_of

TYPES = {
    Format.CSV: CSV_TYPE,
    Format.XLSX: XLSX_TYPE,
    Format.JSON: "application/json",
    Format.PNG: "image/png",
}  # fmt: skip
# How many rows are written between two looks at the progress
STRIDE = 1_000
Told = Callable[[float], None]


def write(
    target: BinaryIO, kind: Kind, filetype: Format, account: TradingAccount, *, since: datetime | None,
    until: datetime | None, now: datetime, told: Told = lambda share: None,
) -> int:  # fmt: skip
    """Write an export; return its rows (of a chart: points). Raises ValueError when a sheet can't hold them."""
    if filetype is Format.PNG:
        lines = lines_of(kind, account, since=since, until=until, now=now)
        title = f"{kind.capitalize()} of {account.name} ({account.currency}), UTC"
        return draw_lines(target, lines, title=title)
    table = table_of(kind, account, since=since, until=until)
    counter = _Counter(table, told)
    if filetype is Format.XLSX:
        write_xlsx(target, table.headers, counter.rows(), sheet=kind)
        return counter.seen
    text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=False)
    about = {"kind": kind, "account": account.name, "currency": account.currency, "since": since, "until": until}
    pieces = (
        csv_lines(table.headers, counter.rows())
        if filetype is Format.CSV
        else json_pieces(about, table.headers, counter.rows())
    )
    for piece in pieces:
        text.write(piece)
    text.flush()
    text.detach()
    return counter.seen


def json_pieces(about: dict[str, Any], headers: Sequence[str], rows: Iterator[Sequence[Cell]]) -> Iterator[str]:
    """Give a JSON object piece by piece: what it is about, and `rows` as objects. Decimals are texts, as in the API."""
    head = json.dumps({name: _plain(value) for name, value in about.items()}, ensure_ascii=False)
    yield f'{head[:-1]}, "rows": ['
    before = "\n"
    for row in rows:
        shown = {name: _plain(cell) for name, cell in zip(headers, row, strict=True)}
        yield before + json.dumps(shown, ensure_ascii=False)
        before = ",\n"
    yield "\n]}\n"


class _Counter:
    """Counts rows while they are written, and tells the share."""

    def __init__(self, table: Table, told: Told) -> None:
        self.table, self.told, self.seen = table, told, 0

    def rows(self) -> Iterator[Sequence[Cell]]:
        for row in self.table.rows:
            self.seen += 1
            if self.seen % STRIDE == 0:
                self.told(min(1.0, self.seen / max(1, self.table.count)))
            yield row


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return value
