"""The audit trail: one entry a change, chained, never edited, and broken chains are named."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.models import TradingAccount, User
from events.audit import record_change, verify
from events.models import AuditEntry, Event
from events.origin import Origin, coming_from

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct horse", is_staff=True, is_superuser=True)


@pytest.fixture
def account() -> TradingAccount:
    return accounts.create_account(name="Main", login=1001, server="Sim-Demo", at=AT)


def chained(count: int, account: TradingAccount | None = None) -> None:
    for number in range(count):
        record_change(
            kind="TEST", text=f"change {number}", at=AT, by=None, account_id=account.pk if account else None,
            before={"a": number}, after={"a": number + 1, "b": 0.1},
        )  # fmt: skip


def tampered(statement: str, *values: Any) -> None:
    """Do what only somebody with the database's own powers can."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("RESET session_replication_role")


def test_an_entry_says_who_when_via_what_and_why(ada: User, account: TradingAccount) -> None:
    with coming_from(Origin("api", "r1")):
        entry = record_change(
            kind="TEST", text="changed", at=AT, by=ada, account_id=account.pk, subject="bot 7", reason="because",
            before={"lots": 0.1, "same": 1}, after={"lots": 0.2, "same": 1, "new": AT},
        )  # fmt: skip
    entry.refresh_from_db()
    assert (entry.actor_id, entry.actor_name, entry.via, entry.request_id) == (ada.pk, "ada", "api", "r1")
    assert (entry.at, entry.subject, entry.reason) == (AT, "bot 7", "because")
    assert json.loads(entry.changes) == {"lots": [0.1, 0.2], "new": [None, "2026-03-02T10:00:00.123Z"]}
    assert Event.objects.get(kind="TEST").data["changes"] == json.loads(entry.changes)


def test_chains_are_whole_and_each_account_has_its_own(account: TradingAccount) -> None:
    chained(3, account)
    chained(2)
    found = {chain.account_id: (chain.entries, chain.problem) for chain in verify()}
    assert found == {account.pk: (4, ""), None: (2, "")}


@pytest.mark.parametrize("verb", ["UPDATE events_auditentry SET text = 'x'", "DELETE FROM events_auditentry"])
def test_the_database_refuses_to_change_an_entry(verb: str) -> None:
    chained(1)
    with pytest.raises(DatabaseError, match="holds facts"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(verb)
    assert AuditEntry.objects.get().text == "change 0"


COLUMNS = {
    "text": "other",
    "actor_id": 99,
    "actor_name": "eve",
    "via": "telegram",
    "action": "OTHER",
    "subject": "bot 9",
    "changes": "{}",
    "reason": "other",
    "request_id": "other",
    "at": datetime(2026, 3, 3, tzinfo=UTC),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_the_first_tampered_entry_is_named(column: str) -> None:
    chained(4)
    for sequence in (2, 3):
        tampered(f"UPDATE events_auditentry SET {column} = %s WHERE sequence = %s", COLUMNS[column], sequence)
    (chain,) = verify()
    assert chain.entries == 1
    assert chain.problem.startswith("entry 2 was changed")


def test_a_removed_and_a_rehashed_entry_are_named() -> None:
    chained(4)
    tampered("DELETE FROM events_auditentry WHERE sequence = 2")
    assert [chain.problem for chain in verify()] == ["entry 2 is missing"]
    tampered("DELETE FROM events_auditentry")
    chained(4)
    tampered("UPDATE events_auditentry SET previous_hash = 'x' WHERE sequence = 3")
    assert [chain.problem for chain in verify()] == ["entry 3 does not follow the one before it"]


def test_the_command_tells_whole_from_broken() -> None:
    out = StringIO()
    chained(3)
    call_command("audit", "verify", "--json", stdout=out)
    assert json.loads(out.getvalue())["chains"][0]["entries"] == 3
    tampered("UPDATE events_auditentry SET text = 'x' WHERE sequence = 3")
    with pytest.raises(SystemExit, match="2"):
        call_command("audit", "verify", stdout=out)
    assert "BROKEN: entry 3 was changed" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_two_writers_never_fork_a_chain() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def write(_: int) -> None:
        try:
            chained(5)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [(chain.entries, chain.problem) for chain in verify()] == [(20, "")]


def test_what_a_page_does_carries_the_number_of_its_request(ada: User, account: TradingAccount) -> None:
    client = Client()
    client.force_login(ada)
    for action in ("force_order_sync", "examine"):
        address = reverse(f"admin:accounts_tradingaccount_{action}", args=(account.pk,))
        answer = client.post(address, {"_form_submitted": "1"}, headers={"X-Request-ID": "mine"})
        entry = AuditEntry.objects.latest("pk")
        assert (entry.via, entry.actor_name) == ("admin", "ada")
        assert answer.headers["X-Request-ID"] == entry.request_id != "mine"
    assert AuditEntry.objects.filter(via="admin").values("request_id").distinct().count() == 2
