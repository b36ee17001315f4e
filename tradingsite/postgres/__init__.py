"""The embedded PostgreSQL: a real server under the site's own folder, for a machine that has none.

Every process of the checkout shares it. Whoever needs it first starts it; a dead one is started again; what a
session (`using`) started stops when the last session ends; `stop` stops it always. With DATABASE_URL set nothing
here does anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from tradingsite.env import load
from tradingsite.postgres.cluster import Cluster, PostgresError, Status

__all__ = ["Cluster", "PostgresError", "Status", "embedded", "ensure_running", "is_embedded", "status", "stop", "using"]


def is_embedded() -> bool:
    """Tell whether the site uses the embedded server, which it does while DATABASE_URL is unset."""
    return load().database_url is None


@lru_cache(maxsize=1)
def embedded() -> Cluster:
    """Give the embedded server of this checkout, running or not."""
    return Cluster(load().trading_var_dir / "postgres")


def ensure_running() -> str:
    """Start the embedded server unless it runs, and give the URL of its database.

    Raises:
        PostgresError: It can't be started; the text says why and what to do.
    """
    return embedded().ensure_running()


def stop() -> bool:
    """Stop the embedded server, whoever started it. False when it was not running."""
    return embedded().stop()


def status() -> Status:
    """Tell whether the embedded server answers, and where it lives."""
    return embedded().status()


@contextmanager
def using() -> Iterator[None]:
    """Keep the database running for the length of a session; the last one out stops what a session started.

    Raises:
        PostgresError: The embedded server can't be started.
    """
    if not is_embedded():
        yield
        return
    with embedded().session():
        yield
