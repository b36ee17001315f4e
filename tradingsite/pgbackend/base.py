"""Connections to the embedded PostgreSQL, which is started when a connection finds it down."""

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from psycopg import OperationalError

from tradingsite.postgres import PostgresError, embedded


class DatabaseWrapper(PostgresWrapper):
    """A connection that finds its server, and brings it back when it was killed."""

    def get_connection_params(self) -> dict[str, Any]:
        """Add where the server listens: a socket folder, or a port of this machine with a password."""
        return {**super().get_connection_params(), **embedded().address()}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; when nothing answers, start the server and connect once more.

        Raises:
            psycopg.OperationalError: The server can't be started (the text says why), or refuses this connection.
        """
        try:
            return super().get_new_connection(conn_params)
        except OperationalError:
            if embedded().answers():
                raise
        try:
            embedded().ensure_running()
        except PostgresError as error:
            raise OperationalError(str(error)) from error
        return super().get_new_connection({**conn_params, **embedded().address()})
