"""What every test shares: the database server, which lives as long as the test run."""

import os
import re
from contextlib import ExitStack

import psutil
import psycopg
import pytest
from psycopg import sql

_stack = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the tests' own embedded server, unless DATABASE_URL names one, and drop what killed runs left."""
    from tradingsite import postgres

    _stack.enter_context(postgres.using())
    if postgres.is_embedded():
        _drop_abandoned(postgres.embedded().url("postgres"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server when this run was its last user."""
    _stack.close()


def _drop_abandoned(url: str) -> None:
    """Drop test databases whose test run no longer lives; their names hold its process id."""
    with psycopg.connect(url, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall():
            owner = re.fullmatch(r"test_trading_(\d+)(_gw\d+)?", name)
            if owner and int(owner[1]) != os.getpid() and not psutil.pid_exists(int(owner[1])):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
