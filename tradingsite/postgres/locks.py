"""A lock between processes, and the list of live sessions, both safe against kill -9."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; the operating system frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            while True:  # LK_LOCK gives up after ten seconds
                with contextlib.suppress(OSError):
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file frees the lock


class Sessions:
    """The processes that want the server to stay up: one file each, named by process id and start time."""

    def __init__(self, folder: Path) -> None:
        """Keep the list in `folder`, which is made when the first process registers."""
        self._folder = folder
        self._count = 0

    def add(self) -> None:
        """Register this process. It may hold several sessions at once."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _name(os.getpid())).touch()
        self._count += 1

    def remove(self) -> None:
        """End one session of this process, and forget the process with its last."""
        self._count -= 1
        if self._count <= 0:
            (self._folder / _name(os.getpid())).unlink(missing_ok=True)

    def alive(self) -> int:
        """Count the registered processes that still run, and forget the others."""
        count = 0
        for entry in self._folder.glob("*-*") if self._folder.is_dir() else ():
            if _is_alive(entry.name):
                count += 1
            else:
                entry.unlink(missing_ok=True)
        return count


def _name(pid: int) -> str:
    return f"{pid}-{int(psutil.Process(pid).create_time())}"


def _is_alive(name: str) -> bool:
    """Compare with the start time too: process ids are used again."""
    try:
        return _name(int(name.partition("-")[0])) == name
    except (psutil.Error, ValueError):
        return False
