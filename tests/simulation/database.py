"""A database of its own for simulations, made anew and dropped afterwards: a run empties every table it finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def own_database() -> Iterator[None]:
    """Let the default connection lead to a fresh, migrated database until the block ends."""
    connection.settings_dict["TEST"]["NAME"] = f"test_simulation_{os.getpid()}"
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def replaying_environment() -> dict[str, str]:
    """Give the variables with which `manage.py simulate` works on the test run's own server."""
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
