"""One embedded PostgreSQL server: its folder, its start, its recovery and its end.

The server is driven through its own `pg_ctl`, because a hand-over that counts users in memory is wrong after kill -9.
Who changes something holds the file lock; who only connects needs none.
"""

import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql

from tradingsite.postgres.account import Account
from tradingsite.postgres.locks import Sessions, file_lock
from tradingsite.postgres.place import Place, PostgresError, find_place

DATABASE = "trading"
USER = "trading"
PORT = 5432  # names the socket file; nothing listens on the network where sockets are used
CONNECT_TIMEOUT_S = 5
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
RETRY_PAUSE_S = 0.1
LOG_BYTES_MAX = 10_000_000
TAIL_LINES = 8
logger = logging.getLogger(__name__)
__all__ = ["Cluster", "PostgresError", "Status"]

CONFIGURATION = """\
# Written at every start of the embedded server; put settings of your own into postgresql.conf after the include.
max_connections = 300
shared_buffers = 256MB
effective_cache_size = 1GB
random_page_cost = 1.1
jit = off
max_wal_size = 2GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%a '
log_min_messages = warning
"""


@dataclass(frozen=True, slots=True)
class Status:
    """What `manage.py db status` shows."""

    running: bool
    pid: int | None
    data: Path
    url: str
    sessions: int


class Cluster:
    """The server whose files live under one folder. Cheap to make: nothing is read or started until asked."""

    def __init__(self, home: Path, *, tcp: bool = sys.platform == "win32", durable: bool = True) -> None:
        """Name the server's folder; `tcp` listens on 127.0.0.1 with a password instead of on a socket.

        `durable=False` gives up safety against power loss, not against kill -9, for data that nobody will miss.
        """
        self.home = home
        self.tcp = tcp
        self.durable = durable
        self._sessions = Sessions(home / "sessions")

    # What a client needs

    def address(self) -> dict[str, str | int]:
        """Give psycopg's connection parameters but the database. A server that never started has no port yet."""
        if not self.tcp:
            return {"host": str(self._place().run), "port": PORT, "user": USER}
        port, password = _read(self.home / "port"), _read(self.home / "password")
        return {"host": "127.0.0.1", "port": int(port or 0) or PORT, "user": USER, "password": password}

    def url(self, database: str = DATABASE) -> str:
        """Give the URL of a database of this server, in the form of DATABASE_URL."""
        address = self.address()
        password = f":{quote(str(address['password']), safe='')}" if address.get("password") else ""
        if self.tcp:
            return f"postgresql://{USER}{password}@{address['host']}:{address['port']}/{database}"
        return f"postgresql://{USER}@/{database}?{urlencode({'host': address['host'], 'port': PORT})}"

    def answers(self) -> bool:
        """Tell whether the server accepts connections and is the one whose data folder this is."""
        try:
            with self._connect() as connection:
                found = connection.execute("SELECT current_setting('data_directory')").fetchone()
        except (psycopg.Error, OSError):
            return False
        return found is not None and _same_folder(Path(found[0]), self._place().data)

    def status(self) -> Status:
        """Look at the server without changing anything."""
        running = self.answers()
        pid = self._postmaster()
        return Status(running, pid if running else None, self._place().data, self.url(), self._sessions.alive())

    # What changes it

    def ensure_running(self) -> str:
        """Start the server unless it runs, and give the URL of its database.

        Raises:
            PostgresError: It can't be started; the text says why and what to do.
        """
        if not self.answers():
            with self._locked():
                if not self.answers():
                    self._start()
        return self.url()

    @contextmanager
    def session(self) -> Iterator[str]:
        """Keep the server up while the block runs; the last session out stops what a session started.

        Raises:
            PostgresError: It can't be started.
        """
        with self._locked():
            self._sessions.add()
        try:
            yield self.ensure_running()
        finally:
            with self._locked():
                self._sessions.remove()
                if not self._sessions.alive() and _read(self.home / "started-by") == "session":
                    self._stop()

    def stop(self) -> bool:
        """Stop the server, whoever started it and whoever uses it. False when it was not running."""
        if not self.home.is_dir():
            return False
        with self._locked():
            return self._stop()

    # How

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            lock = file_lock(self.home / "lock")
            lock.__enter__()
        except OSError as error:
            raise PostgresError(f"The embedded PostgreSQL can't use {self.home} ({error.strerror}).") from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _place(self) -> Place:
        return find_place(self.home)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url("postgres"), connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)

    def _start(self) -> None:
        """Bring the server up: wait for one that is starting, clear what a dead one left, start, make the database."""
        place = self._place()
        place.prepare()
        if not (place.data / "PG_VERSION").exists():
            self._initialise(place)
        self._configure(place)
        _rotate(place.log)
        known = _size(place.log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self._postmaster() is None:
                # A killed server that nobody has collected yet would look alive to the new one
                (place.data / "postmaster.pid").unlink(missing_ok=True)
                (place.run / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
                done = self._pg_ctl(place, "start", "-w", "-t", str(START_TIMEOUT_S), "-l", str(place.log))
                # Children of a killed server need a moment to notice, and hold its memory until then.
                if done != 0 and "shared memory block" not in place.log_tail(TAIL_LINES):
                    raise PostgresError(self._failure(place, known))
            if time.monotonic() > deadline:
                raise PostgresError(self._failure(place, known))
            time.sleep(RETRY_PAUSE_S)  # clock-ok: waits for a server process
        (self.home / "started-by").write_text("session" if self._sessions.alive() else "command", encoding="ascii")
        place.hand_over()
        self._make_database()

    def _initialise(self, place: Place) -> None:
        """Make the data folder aside and rename it, so that a killed initdb leaves nothing that looks whole."""
        aside = place.data.with_name("data.new")
        shutil.rmtree(aside, ignore_errors=True)
        arguments = ["-D", str(aside), "-U", USER, "--no-instructions", "--encoding=UTF8", "--locale=C"]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        arguments.append("--auth=" + ("scram-sha-256" if self.tcp else "trust"))
        if self.tcp:
            password = self.home / "password"
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(24), encoding="ascii")
            if place.account is not None:
                os.chown(password, place.account.uid, place.account.gid)
            arguments.append(f"--pwfile={password}")
        log = place.home / "initdb.log"
        if _run([str(place.program("initdb")), *arguments], log, place.account) != 0:
            raise PostgresError(
                f"The embedded PostgreSQL could not make its data folder {place.data}. Its last words:\n" + _tail(log)
            )
        with (aside / "postgresql.conf").open("a", encoding="ascii") as file:
            file.write("\ninclude_if_exists 'trading.conf'\n")
        aside.rename(place.data)
        if place.home != self.home:
            note = f"The database is kept in {place.home}: the user who runs PostgreSQL can't reach {self.home}."
            (self.home / "README.txt").write_text(note + "\n", encoding="utf-8")
            logger.warning(note)

    def _configure(self, place: Place) -> None:
        """Write the settings that depend on this machine, at every start."""
        text = CONFIGURATION
        if not self.durable:
            text += "fsync = off\nfull_page_writes = off\n"
        if self.tcp:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            (self.home / "port").write_text(str(port), encoding="ascii")
            text += f"listen_addresses = '127.0.0.1'\nport = {port}\n"
            if sys.platform != "win32":
                text += "unix_socket_directories = ''\n"
        else:
            folder = str(place.run).replace("'", "''")
            text += f"listen_addresses = ''\nport = {PORT}\nunix_socket_directories = '{folder}'\n"
        (place.data / "trading.conf").write_text(text, encoding="utf-8")

    def _make_database(self) -> None:
        with self._connect() as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _stop(self) -> bool:
        if self._postmaster() is None:
            return False
        place = self._place()
        for mode in ("fast", "immediate"):
            if self._pg_ctl(place, "stop", "-w", "-t", str(STOP_TIMEOUT_S), "-m", mode) == 0:
                return True
            if self._postmaster() is None:
                # Somebody else stopped it meanwhile, and there was nothing left to stop
                return True
        raise PostgresError(f"The embedded PostgreSQL (process {self._postmaster()}) does not stop.")

    def _pg_ctl(self, place: Place, action: str, *options: str) -> int:
        return _run(
            [str(place.program("pg_ctl")), action, "-D", str(place.data), *options],
            place.home / "pg_ctl.log",
            place.account,
        )

    def _postmaster(self) -> int | None:
        """Give the process id of the live server of this folder; a pid file alone proves nothing."""
        first = _read(self._place().data / "postmaster.pid").partition("\n")[0]
        try:
            process = psutil.Process(int(first))
            ours = str(self._place().data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
            return process.pid if ours else None
        except (ValueError, psutil.Error):
            return None

    def _failure(self, place: Place, known: int) -> str:
        """Quote the server's log, or pg_ctl's when the server came not so far as to write one (`known`: its size)."""
        log = place.log if _size(place.log) != known else place.home / "pg_ctl.log"
        return (
            f"The embedded PostgreSQL did not start. Its log is {log}; the last lines:\n{_tail(log)}\n"
            "Free the disk or memory that it asks for and start again, or set DATABASE_URL to a server of your own."
        )


def _run(command: Sequence[str], log: Path, account: Account | None) -> int:
    """Run a program of PostgreSQL as `account`, its output in `log`. A pipe would stay open in the server for ever."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= {"LC_ALL": "C", "TZ": "UTC"}
    try:
        with log.open("wb") as output:
            if account is not None:
                done = subprocess.run(
                    command,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    cwd="/",
                    user=account.uid,
                    group=account.gid,
                    extra_groups=[],
                    umask=0o077,
                )
            else:
                done = subprocess.run(
                    command,
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
    except OSError as error:
        raise PostgresError(f"{command[0]} can't be run ({error.strerror}); is it installed? `make install`") from error
    return done.returncode


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _tail(path: Path) -> str:
    return "\n".join(_read(path).splitlines()[-TAIL_LINES:])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".old"))


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
