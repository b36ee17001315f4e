"""Database roles: what the web and the engine can't do even when their code would."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from accounts.services import create_account
from events.services import record

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
FACTS = ("events_event", "events_auditentry", "orders_deal", "orders_intenthistory", "accounts_accountsnapshot")


@pytest.fixture
def roles() -> None:
    out = StringIO()
    call_command("dbroles", stdout=out)
    with connection.cursor() as cursor:
        cursor.execute(out.getvalue())


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
        try:
            yield
        finally:
            cursor.execute("RESET ROLE")


def refused(statement: str) -> None:
    expected = pytest.raises(ProgrammingError, match=r"permission denied|must be owner")
    with expected, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("role", ["trading_web", "trading_engine"])
def test_facts_can_be_added_and_read_but_not_changed_by_any_role(role: str, roles: None) -> None:
    account = create_account(name="Main", login=1, server="S", at=AT)
    with acting_as(role):
        record(kind="TEST", text="added", at=AT, account_id=account.pk)
        for table in FACTS:
            for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
                refused(statement)
            refused(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        refused("DROP TABLE events_event")
        refused("DELETE FROM django_migrations")


def test_the_engine_sees_no_log_ins_and_makes_no_people(roles: None) -> None:
    with acting_as("trading_engine"):
        for table in ("django_session", "accounts_appdevice", "accounts_recoverydevice", "axes_accesslog"):
            refused(f"SELECT * FROM {table}")
        refused("UPDATE accounts_user SET is_superuser = true")
    with acting_as("trading_web"), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts_appdevice")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_a_session_trades_with_the_engines_role(world: object, roles: None) -> None:
    from cycles.models import Cycle
    from tests.world import World

    assert isinstance(world, World)
    world.bot()
    with acting_as("trading_engine"):
        world.start()
        world.run(5)
    assert Cycle.objects.exists()
    world.assert_equal()
