"""Backups of the database, by PostgreSQL's own programs, and the way back."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tradingsite.postgres import PostgresError
from tradingsite.postgres.place import shipped_programs

# Tasks of the queue: delivered again a day later, they would be answers to questions that nobody asks any more
LEFT_OUT = "django_q_ormq"
CREATED = re.compile(r"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
USED = "Somebody uses the database: stop the engine and the site first (`manage.py stop`). Nothing was changed."


class BackupError(RuntimeError):
    """What can't be done, and what to do."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did. `kept` is the name under which the database of before stays on the server."""

    made_at: datetime
    accounts: int
    kept: str


def backup(path: Path) -> int:
    """Write the whole database into a new file, whole or not at all; return its bytes. The site may run meanwhile.

    Raises:
        BackupError: The file exists or can't be written, or pg_dump failed.
    """
    if path.exists():
        raise BackupError(f"{path} exists already: a backup overwrites nothing.")
    draft = path.with_name(path.name + ".part")
    try:
        # Like the secrets beside it: it holds everything but the keys of the sealed passwords
        os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        _run("pg_dump", "--format=custom", f"--exclude-table-data={LEFT_OUT}", f"--file={draft}", of=_name())
        os.replace(draft, path)
    except OSError as problem:
        raise BackupError(f"{path}: {problem.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return path.stat().st_size


def restore(path: Path, *, at: datetime, prepare: Callable[[datetime], int]) -> Restored:
    """Put a backup in the place of the database, which stays beside it under another name.

    It is loaded, migrated and prepared (`prepare` gets the time of the backup, in the restored database) aside; only
    then the two change places, in one step.

    Raises:
        BackupError: It is no backup of ours or of a newer version, or somebody uses the database. Nothing was changed.
    """
    made_at = _made_at(path)
    name = _name()
    draft, kept = f"{name}_restoring", f"{name}_before_{at:%Y%m%d_%H%M%S}"
    _refuse_while_used(name)
    with _server() as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(draft)))
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(draft)))
        try:
            _run(
                "pg_restore",
                "--no-owner",
                "--no-privileges",
                "--exit-on-error",
                f"--dbname={draft}",
                str(path),
                of=draft,
            )
            with _working_on(draft):
                _refuse_newer()
                call_command("migrate", verbosity=0)
                accounts = prepare(made_at)
            _refuse_while_used(name)
            connection.close()
            with server.transaction():
                server.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(kept))
                )
                server.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(draft), sql.Identifier(name))
                )
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(draft)))
    return Restored(made_at, accounts, kept)


def _refuse_while_used(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'",
            [name],
        )
        row = cursor.fetchone()
    if row is None or row[0]:
        raise BackupError(USED)


def _refuse_newer() -> None:
    known = MigrationLoader(connection).disk_migrations
    unknown = sorted(".".join(one) for one in MigrationRecorder(connection).applied_migrations() if one not in known)
    if unknown:
        raise BackupError(f"The backup is of a newer version, which knows {unknown[0]}. Nothing was changed.")


def _made_at(path: Path) -> datetime:
    """Tell when a backup was made, as the file itself says. Raises BackupError when it is none of ours."""
    if not path.is_file():
        raise BackupError(f"{path}: there is no such file.")
    listed = _run("pg_restore", "--list", str(path), of=_name())
    found = CREATED.search(listed)
    if found is None or " engine_lease " not in listed:
        raise BackupError(f"{path} is no backup of this product.")
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


@contextmanager
def _working_on(name: str) -> Iterator[None]:
    """Let Django's connection lead to another database of the server."""
    before = _name()
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def _server() -> Iterator[psycopg.Connection]:
    """Give a connection to the server, apart from the database that is to be renamed. Raises BackupError."""
    found = _place()
    where = make_conninfo(
        dbname="postgres", host=found.get("PGHOST"), port=found.get("PGPORT"), user=found.get("PGUSER"),
        password=found.get("PGPASSWORD"),
    )  # fmt: skip
    try:
        with psycopg.connect(where, autocommit=True) as server:
            yield server
    except psycopg.errors.ObjectInUse:
        raise BackupError(USED) from None
    except psycopg.Error as problem:  # as when the login may make no databases
        raise BackupError(f"The server refused it: {str(problem).splitlines()[0]}. Nothing was changed.") from None


def _name() -> str:
    return str(connection.settings_dict["NAME"])


def _place() -> dict[str, str]:
    """Give the variables with which PostgreSQL's programs find the server that Django is connected to."""
    connection.ensure_connection()
    info = connection.connection.info
    found = {"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": info.user, "PGPASSWORD": info.password}
    return {variable: value for variable, value in found.items() if value}


def _run(program: str, *arguments: str, of: str) -> str:
    """Run one of PostgreSQL's programs on a database; the password goes through the environment, not the arguments."""
    done = subprocess.run(
        [str(_program(program)), *arguments], env={**os.environ, **_place(), "PGDATABASE": of, "TZ": "UTC"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BackupError(f"{program}: {' '.join(done.stderr.split())[-300:] or 'failed'}")
    return done.stdout


def _program(name: str) -> Path:
    """Find a program: the one that came with the embedded server, else the host's."""
    try:
        folder = shipped_programs()
    except PostgresError:
        folder = Path()
    for candidate in (folder / name, folder / f"{name}.exe"):
        if candidate.is_file():
            return candidate
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not installed: install PostgreSQL's client programs.")
    return Path(found)
