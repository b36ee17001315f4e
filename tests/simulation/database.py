"""A database of its own for simulations, made anew and dropped afterwards: a run empties every table it finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def own_database(template: str = "") -> Iterator[None]:
    """Let the default connection lead to a fresh, migrated database until the block ends; `template` is copied."""
    name = f"test_simulation_{os.getpid()}"
    connection.settings_dict["TEST"]["NAME"] = name
    before = connection.settings_dict["NAME"]
    if template:
        with connection._nodb_cursor() as cursor:
            source, made = (connection.ops.quote_name(text) for text in (template, name))
            cursor.execute(f"CREATE DATABASE {made} TEMPLATE {source}")
        connection.close()
        connection.settings_dict["NAME"] = name
    else:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


@contextmanager
def template_database() -> Iterator[str]:
    """Make a migrated database that others are made of while the block runs; give its name."""
    with own_database():
        name = str(connection.settings_dict["NAME"])
        # A database with a connection can't be copied
        connection.close()
        yield name


def replaying_environment() -> dict[str, str]:
    """Give the variables with which `manage.py simulate` works on the test run's own server."""
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
