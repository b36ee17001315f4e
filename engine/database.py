"""The database connection of a thread that lives for days."""

from django.db import connection


def replace_broken() -> None:
    """Let the next query of this thread open a new database connection where the present one broke; else keep it."""
    if connection.errors_occurred:
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()
