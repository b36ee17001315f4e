"""Servers that a test makes for itself and leaves no trace of."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingsite.postgres import Cluster
from tradingsite.postgres.place import find_place


@contextmanager
def folder(*, reachable: bool = True) -> Iterator[Path]:
    """Give a folder that every user can reach, or only its owner."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        if reachable:
            Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def discarded(home: Path, *, tcp: bool = False) -> Iterator[Cluster]:
    """Give the server of `home`, and remove it afterwards wherever its files are."""
    cluster = Cluster(home, tcp=tcp, durable=False)
    try:
        yield cluster
    finally:
        cluster.stop()
        if home.is_dir():
            place = find_place(home)
            shutil.rmtree(place.home, ignore_errors=True)
            shutil.rmtree(place.run, ignore_errors=True)
