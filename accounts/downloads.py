"""Tables that leave the site as files: the same rows as CSV or XLSX, for the admin's pages and the API alike."""

import tempfile
from collections.abc import Iterable, Sequence

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.text import slugify

from core.tables import CSV_TYPE, XLSX_TYPE, Cell, csv_lines, write_xlsx

FORMATS = ("csv", "xlsx")
# A workbook is written whole before it is sent: up to this size in memory, then in a file that goes by itself
MEMORY_MAX = 4 * 2**20


def download(kind: str, name: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponseBase:
    """Answer with a table as a file called after `name`; `kind` is one of FORMATS.

    Raises:
        ValueError: `kind` is no format, or the rows are more than a sheet holds (`core.tables`).
    """
    if kind not in FORMATS:
        raise ValueError(f"format: {kind!r} is none of {', '.join(FORMATS)}.")
    file = f"{slugify(name) or 'table'}.{kind}"
    if kind == "csv":
        answer = StreamingHttpResponse(csv_lines(headers, rows), content_type=CSV_TYPE)
        answer["Content-Disposition"] = f'attachment; filename="{file}"'
        return answer
    content = tempfile.SpooledTemporaryFile(max_size=MEMORY_MAX)  # noqa: SIM115 - the response closes it
    write_xlsx(content, headers, rows, sheet=slugify(name)[:31] or "table")  # type: ignore[arg-type]
    content.seek(0)
    return FileResponse(content, as_attachment=True, filename=file, content_type=XLSX_TYPE)
