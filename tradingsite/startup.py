"""What stops a command before it begins, in words for the person who typed it."""

import psycopg
from django.db import OperationalError

from tradingsite import postgres

DATABASE_MISSING = "3D000"
LOGIN_REFUSED = "28000"
LOGIN_CLASS = "28"


def explain(error: Exception) -> str | None:
    """Give one line about a database that can't be reached, and None for every other error."""
    if isinstance(error, postgres.PostgresError):
        return str(error)
    cause = error.__cause__
    if not isinstance(error, OperationalError) or not isinstance(cause, psycopg.OperationalError):
        return None
    if isinstance(cause.__cause__, postgres.PostgresError):
        return str(cause)
    state = cause.sqlstate or _state_in(str(cause))
    said = str(cause).partition("\n")[0].removeprefix("connection failed: ").rstrip(".")
    server = "the embedded PostgreSQL" if postgres.is_embedded() else "DATABASE_URL"
    if state == DATABASE_MISSING:
        return f"{said}. Create that database, or correct the name in {server}."
    if state is not None and state.startswith(LOGIN_CLASS):
        return f"{said}. Correct user and password in {server}."
    if state is None and not postgres.is_embedded():
        return f"The server of DATABASE_URL does not answer: {said}. Start it, or unset DATABASE_URL."
    return None


def _state_in(text: str) -> str | None:
    """Read the state from the text: an error while connecting carries no state of its own."""
    if "database" in text and "does not exist" in text:
        return DATABASE_MISSING
    refused = "authentication failed" in text or ("role" in text and "does not exist" in text) or "pg_hba.conf" in text
    return LOGIN_REFUSED if refused else None
