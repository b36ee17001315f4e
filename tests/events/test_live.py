"""What is published, and when: PostgreSQL's own LISTEN is the witness."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from events import live
from events.bus import CONNECTION_KEYS
from events.domain import EventDraft
from events.live import CHANNEL, COMMANDS_CHANNEL, PAYLOAD_MAX_BYTES, encode, payload, publish, publish_many
from events.services import PUBLISHED_AT_ONCE, ask, record, record_many
from tests.dashboard.desks import Desk, build_desk

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


class Ear:
    """A connection of its own that LISTENs."""

    def __init__(self, *channels: str) -> None:
        given = connections["default"].get_connection_params()
        params = {key: given[key] for key in CONNECTION_KEYS if given.get(key)}
        self._connection = psycopg.connect(**params, autocommit=True)
        for channel in channels:
            self._connection.execute(f"LISTEN {channel}")

    def heard(self) -> list[Any]:
        """Return what arrived; commits that happened before are all delivered."""
        self._connection.execute("SELECT 1")
        return [json.loads(notification.payload) for notification in self._connection.notifies(timeout=0.2)]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear(CHANNEL)
    yield ear
    ear.close()


def test_a_message_exists_exactly_when_the_change_does(ear: Ear) -> None:
    with transaction.atomic():
        publish(1, "order", {"id": 5})
        assert ear.heard() == []
    assert ear.heard() == [{"account": 1, "kind": "order", "delta": {"id": 5}}]
    with transaction.atomic():
        publish(1, "order", {"id": 6})
        transaction.set_rollback(True)
    assert ear.heard() == []


def test_messages_of_a_transaction_keep_their_order(ear: Ear) -> None:
    with transaction.atomic():
        publish_many([(1, "order", {"id": n}) for n in range(5)])
        publish(1, "cycle", {"id": 9})
    assert [message["delta"]["id"] for message in ear.heard()] == [0, 1, 2, 3, 4, 9]


def test_the_order_is_that_of_the_commits(ear: Ear) -> None:
    given = connections["default"].get_connection_params()
    params = {key: given[key] for key in CONNECTION_KEYS if given.get(key)}
    with psycopg.connect(**params) as early:
        early.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload(1, "order", {"id": "wrote first"})])
        publish(1, "order", {"id": "committed first"})
        early.commit()
    assert [message["delta"]["id"] for message in ear.heard()] == ["committed first", "wrote first"]


def test_what_is_too_large_asks_the_page_to_look_again(ear: Ear) -> None:
    publish(1, "marks", {"profits": [1.25] * 4000})
    assert ear.heard() == [{"account": 1, "kind": "marks", "delta": {"resync": True}}]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_limit_counts_bytes_not_characters(extra: int, ear: Ear) -> None:
    room = PAYLOAD_MAX_BYTES - len(payload(1, "note", {"text": ""}).encode())
    text = "x" * (room + extra)
    publish(1, "note", {"text": text})
    assert ear.heard()[0]["delta"] == ({"text": text} if extra <= 0 else {"resync": True})
    publish(1, "note", {"text": "é" * (room // 2 + 1)})
    assert ear.heard()[0]["delta"] == {"resync": True}


def test_no_message_holds_what_a_browser_cannot_read() -> None:
    text = encode({"level": float("inf"), "deep": [{"x": float("nan")}, (1.5, None)], "at": AT})
    assert json.loads(text) == {"level": None, "deep": [{"x": None}, [1.5, None]], "at": str(AT)}


def test_an_event_about_an_account_is_news_in_the_same_transaction(ear: Ear) -> None:
    desk = build_desk()
    event = record(kind="NOTE", text="hello", at=AT, account_id=desk.account.pk, cycle_id=desk.cycle.pk)
    (message,) = ear.heard()
    assert message["account"] == desk.account.pk
    assert message["kind"] == "event"
    assert message["delta"]["id"] == event.pk
    assert message["delta"]["text"] == "hello"
    assert message["delta"]["cycle"] == desk.cycle.pk
    record(kind="NOTE", text="of no account", at=AT)
    with transaction.atomic():
        record(kind="NOTE", text="never happened", at=AT, account_id=desk.account.pk)
        transaction.set_rollback(True)
    assert ear.heard() == []


def test_a_flood_of_events_is_told_as_one_message(ear: Ear) -> None:
    desk: Desk = build_desk()
    record_many([EventDraft("NOTE", str(n), AT, account_id=desk.account.pk) for n in range(PUBLISHED_AT_ONCE + 1)])
    assert [message["delta"] for message in ear.heard()] == [dict(live.RESYNC)]


def test_a_command_wakes_its_session() -> None:
    desk = build_desk()
    ear = Ear(COMMANDS_CHANNEL)
    try:
        with transaction.atomic():
            ask(account_id=desk.account.pk, kind="state_changed", args={}, by=None, at=AT)
            assert ear.heard() == []
        assert ear.heard() == [desk.account.pk]
    finally:
        ear.close()


def test_nothing_to_publish_is_no_query() -> None:
    with connection.execute_wrapper(lambda *given: pytest.fail("a query was made")):
        publish_many([])
