"""The WebSocket as a page meets it: snapshot, changes, heartbeats; who may follow what; what it refuses."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction

from accounts.models import AccountRole, User
from events.consumers import LiveConsumer
from events.live import publish, publish_many
from tests.dashboard.desks import Desk, build_desk

pytestmark = pytest.mark.django_db(transaction=True)
WAIT = 60.0


class Page:
    """A page's end of the socket; heartbeats are answered and left out unless asked for."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.socket = communicator

    async def next(self, *kinds: str) -> dict[str, Any]:
        """Return the next frame of one of the kinds."""
        while True:
            message = await self.socket.receive_output(timeout=WAIT)
            if message["type"] == "websocket.close":
                return {"type": "close", "code": message["code"]}
            frame: dict[str, Any] = json.loads(message["text"])
            if frame["type"] in kinds:
                return frame

    async def say(self, text: str) -> None:
        await self.socket.send_to(text_data=text)


@pytest.fixture
async def desk() -> Desk:
    return await sync_to_async(build_desk)()


def session_of(user: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


@asynccontextmanager
async def page_of(user: Any, consumer: Callable[..., Any] | None = None) -> AsyncIterator[Page]:
    socket = WebsocketCommunicator(consumer or LiveConsumer.as_asgi(), "/ws/live/")
    socket.scope["user"] = user
    if isinstance(user, User):
        socket.scope["session"] = await sync_to_async(session_of)(user)
    connected, _ = await socket.connect(timeout=WAIT)
    assert connected
    try:
        yield Page(socket)
    finally:
        await socket.disconnect(timeout=WAIT)


async def test_who_is_not_logged_in_is_sent_away() -> None:
    async with page_of(AnonymousUser()) as page:
        assert await page.next("snapshot") == {"type": "close", "code": 4401}


async def test_who_was_locked_out_is_sent_away(desk: Desk) -> None:
    desk.ada.is_active = False
    async with page_of(desk.ada) as page:
        assert await page.next("snapshot") == {"type": "close", "code": 4401}


async def test_a_snapshot_and_then_every_change_in_order(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        snapshot = await page.next("snapshot", "delta")
        assert snapshot["type"] == "snapshot"
        assert [account["name"] for account in snapshot["accounts"]] == ["Demo"]
        for n in range(3):
            await sync_to_async(publish)(desk.account.pk, "order", {"n": n})
        deltas = [await page.next("delta") for _ in range(3)]
        assert [(d["account"], d["seq"], d["delta"]["n"]) for d in deltas] == [
            (desk.account.pk, 1, 0),
            (desk.account.pk, 2, 1),
            (desk.account.pk, 3, 2),
        ]
        assert {d["epoch"] for d in deltas} == {snapshot["epoch"]}


def publish_and_undo(account_id: int) -> None:
    with transaction.atomic():
        publish(account_id, "order", {"n": "undone"})
        transaction.set_rollback(True)
    publish(account_id, "order", {"n": "done"})


async def test_a_transaction_that_is_rolled_back_tells_nothing(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        await sync_to_async(publish_and_undo)(desk.account.pk)
        delta = await page.next("delta")
        assert (delta["delta"], delta["seq"]) == ({"n": "done"}, 1)


async def test_everyone_sees_the_accounts_of_their_roles_only(desk: Desk) -> None:
    other = await sync_to_async(build_desk)(name="Other", login=2002)
    async with page_of(desk.ben) as ben, page_of(desk.cem) as cem, page_of(other.ada) as stranger:
        assert [a["name"] for a in (await ben.next("snapshot"))["accounts"]] == ["Demo"]
        nothing = await cem.next("snapshot")
        assert all(nothing[part] == [] for part in ("accounts", "bots", "cycles", "loose", "events", "processes"))
        await stranger.next("snapshot")
        await sync_to_async(publish)(desk.account.pk, "order", {"n": 1})
        await sync_to_async(publish)(other.account.pk, "order", {"n": 2})
        assert (await ben.next("delta"))["delta"] == {"n": 1}
        assert (await stranger.next("delta"))["delta"] == {"n": 2}
        beat = (await cem.next("heartbeat"))["n"]
        assert (await cem.next("heartbeat", "delta"))["n"] == beat + 1


async def test_a_superuser_follows_accounts_that_are_new(desk: Desk) -> None:
    root = await sync_to_async(User.objects.create_superuser)("root", password="a long test password")
    async with page_of(root) as page:
        assert len((await page.next("snapshot"))["accounts"]) == 1
        other = await sync_to_async(build_desk)(name="Other", login=2002)
        await sync_to_async(publish)(other.account.pk, "state", {"status": "starting"})
        assert (await page.next("delta"))["account"] == other.account.pk
        await page.say('{"type": "snapshot"}')
        assert len((await page.next("snapshot"))["accounts"]) == 2


async def test_a_role_that_ends_ends_the_news(desk: Desk) -> None:
    quick = LiveConsumer.as_asgi(heartbeat_seconds=0.02, rights_seconds=0.02)
    async with page_of(desk.ben, quick) as page:
        assert len((await page.next("snapshot"))["accounts"]) == 1
        await AccountRole.objects.filter(user=desk.ben).adelete()
        assert (await page.next("snapshot"))["accounts"] == []
        await sync_to_async(publish)(desk.account.pk, "order", {"n": 1})
        beat = (await page.next("heartbeat"))["n"]
        for n in range(1, 6):
            assert (await page.next("heartbeat", "delta"))["n"] == beat + n


async def test_logging_out_elsewhere_ends_the_connection(desk: Desk) -> None:
    quick = LiveConsumer.as_asgi(heartbeat_seconds=0.02, rights_seconds=0.02)
    async with page_of(desk.ada, quick) as page:
        await page.next("snapshot")
        key = page.socket.scope["session"].session_key
        await sync_to_async(SessionStore(key).delete)()
        assert await page.next() == {"type": "close", "code": 4401}


async def test_a_page_that_does_not_keep_up_gets_a_fresh_snapshot_instead(desk: Desk) -> None:
    narrow = LiveConsumer.as_asgi(heartbeat_seconds=0.05, unanswered_max_bytes=4000)
    async with page_of(desk.ada, narrow) as page:
        await page.next("snapshot")
        for n in range(60):
            await sync_to_async(publish)(desk.account.pk, "order", {"n": n, "filler": "x" * 200})
        while not (beat := await page.next("heartbeat"))["lagging"]:
            pass
        await page.say(json.dumps({"type": "ack", "n": beat["n"]}))
        frame = await page.next("snapshot", "delta")
        while frame["type"] == "delta" and frame["delta"]["n"] < 59:
            frame = await page.next("snapshot", "delta")
        assert frame["type"] == "snapshot"
        await page.say(json.dumps({"type": "ack", "n": (await page.next("heartbeat"))["n"]}))
        while (beat := await page.next("heartbeat"))["lagging"]:
            await page.say(json.dumps({"type": "ack", "n": beat["n"]}))


async def test_a_full_queue_is_replaced_by_a_snapshot(desk: Desk) -> None:
    def flood() -> None:
        with transaction.atomic():
            for n in range(40):
                publish(desk.account.pk, "order", {"n": n})

    async with page_of(desk.ada, LiveConsumer.as_asgi(queue_max=5)) as page:
        await page.next("snapshot")
        await sync_to_async(flood)()
        assert (await page.next("snapshot"))["accounts"][0]["name"] == "Demo"


NOT_UNDERSTOOD = [
    " ", "no JSON", "[]", "7", '{"type": "buy"}', '{"type": "ack", "n": "1"}', '{"type": "ack", "n": true}', "[" * 5000,
    '{"type": "ack", "n": NaN}', '{"type": "ack", "n": 1, "n": 2}', '{"type": "websocket.close"}',
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
async def test_what_is_not_understood_is_said_and_the_third_time_the_last(text: str, desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        for _ in range(2):
            await page.say(text)
            assert (await page.next("error"))["text"]
        await page.say(text)
        assert await page.next("error") == {"type": "close", "code": 1008}


async def test_two_bad_messages_and_many_good_ones_are_forgiven(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        await page.say("no JSON")
        await page.say("no JSON")
        await page.say('{"type": "ack", "n": 1}')
        await page.say('{"type": "snapshot"}')
        assert (await page.next("snapshot"))["type"] == "snapshot"


async def test_a_message_that_is_too_big_ends_the_connection(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        await page.say(json.dumps({"type": "snapshot", "filler": "é" * 8192}))
        assert await page.next("error") == {"type": "close", "code": 1009}


async def test_snapshots_on_request_are_rationed(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        for _ in range(50):
            await page.say('{"type": "snapshot"}')
        frames = [await page.next("snapshot", "heartbeat") for _ in range(3)]
        assert [frame["type"] for frame in frames].count("snapshot") <= 2


async def test_a_client_narrows_what_comes_to_accounts_and_kinds(desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        first = await page.next("snapshot")
        assert first["version"] == 1
        await page.say(json.dumps({"type": "subscribe", "accounts": [desk.account.pk, 10**9], "kinds": ["order"]}))
        assert [account["id"] for account in (await page.next("snapshot"))["accounts"]] == [desk.account.pk]
        await sync_to_async(publish_many)([(desk.account.pk, kind, {"n": kind}) for kind in ("marks", "order")])
        assert (await page.next("delta"))["kind"] == "order"
        await page.say(json.dumps({"type": "subscribe", "accounts": []}))
        assert (await page.next("snapshot"))["accounts"] == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"accounts": "1"},
        {"accounts": [True]},
        {"accounts": [2**70]},
        {"accounts": [0]},
        {"kinds": [1]},
        {"accounts": [1] * 1001},
        {"acounts": [1]},
    ],
)
async def test_a_subscription_that_is_not_understood_is_refused(wanted: dict[str, Any], desk: Desk) -> None:
    async with page_of(desk.ada) as page:
        await page.next("snapshot")
        await page.say(json.dumps({"type": "subscribe", **wanted}))
        assert next(iter(wanted)) in (await page.next("error"))["text"]


async def test_whoever_subscribes_to_a_foreign_account_hears_nothing_of_it(desk: Desk) -> None:
    async with page_of(desk.cem) as page:
        await page.next("snapshot")
        await page.say(json.dumps({"type": "subscribe", "accounts": [desk.account.pk]}))
        assert (await page.next("snapshot"))["accounts"] == []
        await sync_to_async(publish_many)([(desk.account.pk, "order", {"n": 1})])
        assert (await page.next("delta", "heartbeat"))["type"] == "heartbeat"
