"""The system user that runs the server when the site is started by root, which PostgreSQL refuses to run as."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

USER_NAME = "trading-postgres"
SYSTEM_HOME = Path("/var/lib/trading-desk")


@dataclass(frozen=True, slots=True)
class Account:
    """A system user by its numbers."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Tell whether this user may pass through every folder above `path` and read it."""
        test = subprocess.run(
            ["/bin/sh", "-c", 'test -r "$0" && test -x "$0"', str(path)],
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
        )
        return test.returncode == 0


def is_root() -> bool:
    """Tell whether this process runs as root of a POSIX system."""
    return sys.platform != "win32" and os.geteuid() == 0


def owner_of(data: Path) -> Account | None:
    """Give the ordinary user whose data folder this already is: only that user can run its server."""
    import pwd

    try:
        uid = data.stat().st_uid
        entry = pwd.getpwuid(uid)
    except (OSError, KeyError):
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if uid != 0 else None


def server_account() -> Account:
    """Give the server's own user, made with useradd the first time; `nobody` where users can't be added.

    Raises:
        KeyError: There is not even a user called nobody.
    """
    import pwd

    for attempt in ("find", "add", "fall back"):
        try:
            entry = pwd.getpwnam("nobody" if attempt == "fall back" else USER_NAME)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        except KeyError:
            if attempt == "fall back":
                raise
        if attempt == "find" and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")):
            options = ["--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent"]
            command = [useradd, *options, "--shell=/usr/sbin/nologin", USER_NAME]
            subprocess.run(command, check=False, capture_output=True)
    raise KeyError(USER_NAME)
