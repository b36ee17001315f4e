"""The folder in which a test process keeps what the site keeps: its database server, its secrets, its logs."""

import os
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / "var" / "test"


def own_folder() -> str:
    """Give the folder that the environment names, else one per worker process of pytest-xdist: they share nothing.

    A worker inherits the folder of the process that started it, which is not its own.
    """
    alone = str(HOME / "alone")
    given = os.environ.get("TRADING_VAR_DIR", alone)
    return str(HOME / os.environ.get("PYTEST_XDIST_WORKER", "alone")) if given == alone else given
