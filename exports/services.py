"""Named writes of exports: ask for one, write its file, forget old ones."""

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.db import transaction
from django_q.tasks import async_task

from accounts.models import TradingAccount, User
from core.clock import Clock
from events.audit import name_of, record_change
from exports.domain import ROWS_AT_ONCE, Format, Kind, problem_of
from exports.models import Export, ExportPart
from exports.selectors import table_of
from exports.writing import write

TASK, QUEUE = "exports.tasks.run", "jobs"
PART_BYTES = 2**20
BYTES_MAX = 256 * 2**20
UNDER_WAY_MAX = 5
KEPT = timedelta(days=7)
# A running export says how far it is many times a minute; one that is silent for so long has lost its worker
SILENT = timedelta(minutes=10)
Status = Export.Status


def check(*, kind: str, filetype: str, since: datetime | None, until: datetime | None) -> None:
    """Refuse what can't be exported. Raises ValidationError that names the field."""
    if (problem := problem_of(Kind(kind), Format(filetype))) is not None:
        raise ValidationError({"format": problem})
    if since is not None and until is not None and until <= since:
        raise ValidationError({"until": "It is not after the begin."})


def ask(
    *, account: TradingAccount, kind: str, filetype: str, since: datetime | None, until: datetime | None, by: User,
    clock: Clock,
) -> Export:  # fmt: skip
    """Export something: at once when it is small (then it is done on return), else by a job.

    Raises:
        ValidationError: It can't be exported, or (code `state`) too many of the person's exports are under way.
    """
    check(kind=kind, filetype=filetype, since=since, until=until)
    at = clock.now()
    if Export.objects.filter(user=by, status__in=(Status.QUEUED, Status.RUNNING)).count() >= UNDER_WAY_MAX:
        raise ValidationError(f"{UNDER_WAY_MAX} of your exports are under way: wait for one of them.", "state")
    is_small = filetype == Format.PNG or table_of(Kind(kind), account, since=since, until=until).count <= ROWS_AT_ONCE
    with transaction.atomic():
        export = Export.objects.create(
            user=by, account=account, kind=kind, format=filetype, since=since, until=until, created_at=at, heard_at=at
        )
        record_change(
            kind="EXPORT", text=f"{name_of(by)} exports {kind} as {filetype}", subject=f"export {export.pk}",
            account_id=account.pk, by=by, at=at,
            after={"kind": kind, "format": filetype, "since": str(since or ""), "until": str(until or "")},
        )  # fmt: skip
        if not is_small:
            async_task(TASK, export.pk, cluster=QUEUE, task_name=f"export {export.pk}")
    if is_small:
        run(export.pk, clock=clock)
        export.refresh_from_db()
    return export


def run(export_id: int, *, clock: Clock) -> str:
    """Write the file of an export, once however often the queue delivers it; return how it ended."""
    waiting = Export.objects.filter(pk=export_id, status=Status.QUEUED)
    if not waiting.update(status=Status.RUNNING, heard_at=clock.now()):
        return "nothing to do"
    export = Export.objects.select_related("account").get(pk=export_id)

    def told(share: float) -> None:
        _running(export).update(progress=share, heard_at=clock.now())

    with tempfile.TemporaryFile() as file:
        try:
            rows = write(
                file, Kind(export.kind), Format(export.format), export.account, since=export.since,
                until=export.until, now=clock.now(), told=told,
            )  # fmt: skip
            size = file.tell()
            if size > BYTES_MAX:
                raise ValueError(f"The file would have more than {BYTES_MAX // 2**20} MiB: ask for a shorter time.")
        except ValueError as problem:
            return _end(export, Status.FAILED, clock, error=str(problem)[:300])
        except Exception as problem:
            _end(export, Status.FAILED, clock, error=type(problem).__name__)
            raise
        file.seek(0)
        with transaction.atomic():
            if _end(export, Status.DONE, clock, progress=1.0, rows=rows, size_bytes=size) == Status.DONE:
                _keep(export, file)
    return str(Export.objects.values_list("status", flat=True).get(pk=export_id))


def _running(export: Export) -> Any:
    return Export.objects.filter(pk=export.pk, status=Status.RUNNING)


def _end(export: Export, status: str, clock: Clock, **fields: Any) -> str:
    """Write the end of a running export; one that was given up in the meantime stays as it is."""
    won = _running(export).update(status=status, finished_at=clock.now(), **fields)
    return str(status) if won else "given up before"


def _keep(export: Export, file: BinaryIO) -> None:
    number = 0
    while content := file.read(PART_BYTES):
        ExportPart.objects.create(export=export, number=number, content=content)
        number += 1


def content_of(export: Export) -> Iterator[bytes]:
    """Give the file of a finished export piece by piece."""
    for number in sorted(export.parts.values_list("number", flat=True)):
        yield bytes(export.parts.values_list("content", flat=True).get(number=number))


def sweep(*, clock: Clock) -> int:
    """Forget exports older than a week, and give up those whose worker fell silent; return how many were forgotten."""
    at = clock.now()
    Export.objects.filter(status=Status.RUNNING, heard_at__lt=at - SILENT).update(
        status=Status.FAILED, error="Its worker was lost. Ask again.", finished_at=at
    )
    old = Export.objects.filter(created_at__lt=at - KEPT)
    count = old.count()
    old.delete()
    return count
