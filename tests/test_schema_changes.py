"""Two versions run side by side while a deployment goes on: a change of the schema must not break the older one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED, ManyToManyField

OURS = frozenset(c.label for c in apps.get_app_configs() if Path(c.path).parent == Path(settings.BASE_DIR))
# Made before there was a first release, so that no older version can run beside them
BEFORE_THE_FIRST_RELEASE = frozenset(
    {
        "accounts.0003_remote_terminals",
        "accounts.0006_api_tokens_and_winding_down",
        "accounts.0007_guards",
        "accounts.0009_second_factors_and_investor_password",
        "accounts.0010_symbol_terms",
        "backtesting.0002_asked",
        "engine.0002_hosts_and_handles",
        "orders.0003_deal_server_offset",
        "risk.0002_guards",
    }
)
TAKES_AWAY = (migrations.RemoveField, migrations.RenameField, migrations.RenameModel, migrations.DeleteModel)


def steps() -> Iterator[tuple[str, migrations.operations.base.Operation]]:
    """Give each step of every migration after an app's first."""
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app not in OURS or migration.initial:
            continue
        new = {step.name_lower for step in migration.operations if isinstance(step, migrations.CreateModel)}
        for number, step in enumerate(migration.operations):
            if getattr(step, "model_name_lower", "") not in new:
                yield f"{app}.{name}#{number}", step


@pytest.mark.parametrize(("where", "step"), list(steps()), ids=[where for where, _ in steps()])
def test_an_older_version_can_go_on_beside_it(where: str, step: migrations.operations.base.Operation) -> None:
    if where.partition("#")[0] in BEFORE_THE_FIRST_RELEASE:
        pytest.skip("there was no version before it")
    assert not isinstance(step, TAKES_AWAY), "stop using it in one release, and take it away in the next"
    if isinstance(step, migrations.AddField) and not isinstance(step.field, ManyToManyField):
        can_be_left_out = step.field.null or step.field.db_default is not NOT_PROVIDED
        assert can_be_left_out, "an older version inserts rows without it: give it null or db_default"


def test_there_are_apps_to_look_at() -> None:
    assert {"accounts", "orders", "signals", "notifications"} < OURS


@pytest.mark.django_db
@pytest.mark.parametrize(
    "table",
    [
        "accounts_accountsnapshot",
        "cycles_cycle",
        "events_auditentry",
        "events_event",
        "orders_deal",
        "orders_notsent",
        "orders_order",
        "orders_orderintent",
        "reconciliation_divergence",
    ],
)
def test_a_table_that_grows_keeps_no_index_that_is_the_beginning_of_another(table: str) -> None:
    """Each is written with every row, inside the transactions that the engine waits for."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table).items()
        cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
        partial = {row[0] for row in cursor.fetchall()}
    whole = {n: c["columns"] for n, c in found if c["index"] and c["type"] in ("btree", "idx") and n not in partial}
    assert whole
    wasted = [
        name
        for name, columns in whole.items()
        for other, longer in whole.items()
        if name != other and longer[: len(columns)] == columns
    ]
    assert wasted == []
