"""Backups: out, and back into a world in which the broker lived on."""

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from accounts.models import TradingAccount
from engine.models import Lease
from engine.restored import after_restore
from events.models import AuditEntry, Event
from events.models import Command as EngineCommand
from events.services import ask
from orders.models import Order, OrderIntent
from reconciliation.models import Divergence
from reconciliation.services.settling import mark_manual
from risk.models import Block
from risk.services.blocks import lift_block
from strategies.models import Bot
from tests.world import World
from tradingsite import backup


def said(*words: Any) -> Any:
    out = StringIO()
    call_command("db", *map(str, words), "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def tidied() -> Iterator[None]:
    """Drop what a restore leaves beside the test's database."""
    yield
    with backup._server() as server:
        rows = server.execute("SELECT datname FROM pg_database").fetchall()
        for (name,) in rows:
            if name.startswith(f"{connection.settings_dict['NAME']}_"):
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_restored_engine_sends_nothing_until_a_person_lets_it(world: World, tmp_path: Path, tidied: None) -> None:
    world.bot("Before")
    world.run(5)
    assert OrderIntent.objects.count() == 1
    file = tmp_path / "day.dump"
    assert said("backup", file)["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0

    world.bot("After")
    world.run(5)
    world.move(-25, run=5)
    tickets = {position.ticket for position in world.truth.positions}
    assert len(tickets) > 1
    tokens_before = Lease.objects.get().token
    sent_before = {intent.token for intent in OrderIntent.objects.all()}
    world.crash()

    done = said("restore", file, "--yes")
    assert done["accounts"] == 1
    assert not Bot.objects.filter(name="After").exists()
    assert Lease.objects.get().token > tokens_before

    world.start()
    world.run(90)
    assert {position.ticket for position in world.truth.positions} == tickets, "nothing was sent, nothing was closed"
    assert not OrderIntent.objects.exclude(token__in=sent_before).exists()
    strangers = {ticket for ticket in tickets if not Order.objects.filter(ticket=ticket).exists()}
    assert strangers
    assert set(Divergence.objects.filter(state="open").values_list("ticket", flat=True)) >= strangers

    block = Block.objects.get(account=world.account, cause__contains="frozen", lifted_at=None)
    assert "restored from the backup of" in block.reason
    lift_block(block_id=block.pk, why="looked at it", at=world.clock.now(), by_id=world.ada.pk)
    world.move(-40, run=10)
    assert not OrderIntent.objects.exclude(token__in=sent_before).exists(), "the divergences hold entries back too"
    for divergence in Divergence.objects.filter(state="open"):
        mark_manual(divergence=divergence, why="another bot's", by=world.ada, at=world.clock.now())
    world.run(20)
    assert OrderIntent.objects.exclude(token__in=sent_before).exists()


def test_what_waited_in_the_backup_is_not_carried_out(world: World) -> None:
    at = world.clock.now()
    asked = ask(account_id=world.account.pk, kind="close_cycle", args={"cycle": 1}, by=world.ada, at=at)
    Lease.objects.create(account=world.account, holder="old", token=10**12, expires_at=at + timedelta(days=1))
    after_restore(made_at=at - timedelta(days=1), at=at)
    asked.refresh_from_db()
    assert (asked.state, asked.done_at) == (EngineCommand.State.FAILED, at)
    assert "ask again" in asked.result
    lease = Lease.objects.get()
    assert (lease.holder, lease.expires_at, lease.token) == ("", None, 10**12 + 1)
    assert Event.objects.filter(kind="BACKUP_RESTORED", account=world.account).exists()
    assert AuditEntry.objects.filter(action="BACKUP_RESTORED").exists()


def test_a_restore_into_a_used_database_changes_nothing(world: World, tmp_path: Path) -> None:
    file = tmp_path / "day.dump"
    said("backup", file)
    place = backup._place()
    where = f"host={place['PGHOST']} port={place['PGPORT']} user={place['PGUSER']}"
    with (
        psycopg.connect(where, dbname=connection.settings_dict["NAME"]),
        pytest.raises(CommandError, match="Somebody uses the database: stop the engine"),
    ):
        said("restore", file, "--yes")
    assert TradingAccount.objects.get() == world.account
    assert not Block.objects.exists()


def test_what_is_no_backup_of_ours_is_refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.dump"
    other.write_bytes(b"PGDMP frog")
    with pytest.raises(CommandError, match="pg_restore: "):
        said("restore", other, "--yes")
    with pytest.raises(CommandError, match="there is no such file"):
        said("restore", tmp_path / "missing", "--yes")
    file = tmp_path / "day.dump"
    said("backup", file)
    with pytest.raises(CommandError, match="exists already: a backup overwrites nothing"):
        said("backup", file)
    with pytest.raises(CommandError, match="No such file or directory"):
        said("backup", tmp_path / "missing" / "day.dump")
    cut = tmp_path / "cut.dump"
    cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CommandError, match="pg_restore: "):
        said("restore", cut, "--yes")
    monkeypatch.setattr("builtins.input", lambda question: "no")
    with pytest.raises(CommandError, match=r"Nothing was changed\."):
        call_command("db", "restore", str(file))
    assert TradingAccount.objects.get() == world.account


def test_a_backup_of_a_newer_version_is_refused(world: World, tmp_path: Path, tidied: None) -> None:
    file = tmp_path / "day.dump"
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '9999_later', now())")
    said("backup", file)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
    with pytest.raises(CommandError, match=r"a newer version, which knows orders\.9999_later"):
        said("restore", file, "--yes")
    with backup._server() as server:
        row = server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_restoring'").fetchone()
    assert row == (0,)
    assert TradingAccount.objects.get() == world.account


def test_the_time_of_a_backup_is_its_own_not_the_files(world: World, tmp_path: Path) -> None:
    file = tmp_path / "day.dump"
    said("backup", file)
    copied = tmp_path / "copied.dump"
    copied.write_bytes(file.read_bytes())
    os.utime(copied, (0, 0))
    made: datetime = backup._made_at(copied)
    assert made == backup._made_at(file)
    assert made.year > 2000
