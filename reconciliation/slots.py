"""At most so many accounts of a host reconcile at once, whichever process runs them: PostgreSQL's advisory locks.

A lock belongs to the database connection, so a process that is killed gives its slot back by itself.
"""

import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def slot(at_once: int, host: str | None = None) -> Iterator[bool]:
    """Take one of a host's `at_once` slots for the block; yields False when all are taken."""
    place = zlib.crc32(f"reconciliation:{host or socket.gethostname()}".encode()) - 2**31
    taken = next((number for number in range(at_once) if _call("pg_try_advisory_lock", place, number)), None)
    try:
        yield taken is not None
    finally:
        if taken is not None:
            _call("pg_advisory_unlock", place, taken)


def _call(function: str, place: int, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [place, number])
        return bool(cursor.fetchone()[0])
