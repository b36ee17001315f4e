"""What every test shares: the database server, which lives as long as the test run, and the browser."""

import os
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hypothesis
import psutil
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import expect
from psycopg import sql

from tests.browser import ARGUMENTS, INSTALL, find_browser
from tests.template import make_template
from tests.world import World
from tradingsite import postgres

_stack = ExitStack()
# How long an example takes says more about the machine, and about what is being compiled, than about the code
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.load_profile("desk")
# A page is waited for by what it shows; how long that takes says something about the machine only
expect.set_options(timeout=60_000)


def pytest_configure(config: pytest.Config) -> None:
    """Start the tests' own embedded server, unless DATABASE_URL names one, and drop what killed runs left."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # the workers do the work
    _stack.enter_context(postgres.using())
    if postgres.is_embedded():
        _drop_abandoned(postgres.embedded().url("postgres"))
        settings.DATABASES["default"]["TEST"]["TEMPLATE"] = make_template(postgres.embedded())


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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """End what still holds the test database, before it is dropped: a server sees a client go a moment late."""
    yield
    name = connection.settings_dict["NAME"]
    if str(name).startswith("test_") and postgres.is_embedded():
        with psycopg.connect(postgres.embedded().url("postgres"), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put browser tests last: their event loop runs on until the end, and no other test may find it running."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if find_browser() is None:
        for item in items:
            if item.get_closest_marker("browser") is not None:
                item.add_marker(pytest.mark.skip(reason=f"Chromium is missing: {INSTALL}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let Django be called beside the browser's event loop, which runs in the same thread from now on."""
    if item.get_closest_marker("browser") is not None:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the system's Chromium, with no talk to the outside."""
    return {**browser_type_launch_args, "executable_path": find_browser(), "args": ARGUMENTS}


@pytest.fixture
def site_environment(transactional_db: None, tmp_path: Path) -> dict[str, str]:
    """Give the variables with which a process of its own works on this test's database, in a folder of its own."""
    database = connection.settings_dict
    if postgres.is_embedded():
        url = postgres.embedded().url(database["NAME"])
    else:
        place = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}"
        url = f"postgresql://{quote(database['USER'])}:{quote(database['PASSWORD'])}@{place}/{database['NAME']}"
    ring = ",".join(f"{name}:{b64encode(key).decode()}" for name, key in settings.CREDENTIAL_KEYS.items())
    own = {"TRADING_VAR_DIR": str(tmp_path), "DATABASE_URL": url, "TRADING_CREDENTIAL_KEYS": ring}
    return {**os.environ, **own, "DJANGO_SETTINGS_MODULE": "tradingsite.settings"}


@pytest.fixture
def world(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    """Give a world with an account on a simulated broker, an own data folder, and no bots yet."""
    settings.VAR_DIR = tmp_path
    return World(tmp_path)
