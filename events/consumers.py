"""The WebSocket of the live pages: a snapshot first, then every change, and a heartbeat a second.

Protocol version 1; docs/websocket.md tells it to programs. Frames to the page, one JSON object a message; each carries
`server_time`:

* `snapshot`: everything the page shows; sent first, when asked for, and when messages were lost
* `delta` (`account`, `epoch`, `seq`, `kind`, `delta`): one change, in commit order; `seq` grows by one
* `heartbeat` (`n`, `lagging`): once a second, so that the page can tell old figures from quiet ones
* `error` (`text`): the last message was not understood; the third in a minute closes the connection

Messages from the page: `{"type": "snapshot"}` asks for a fresh one (at most two a second are made),
`{"type": "subscribe", "accounts": […], "kinds": […]}` narrows what comes (null: all that the person may see), and
`{"type": "ack", "n": …}` answers a heartbeat. A page that is a megabyte behind with its answers gets no more changes,
so that a slow one costs no memory, and a fresh snapshot when it has caught up.
"""

import asyncio
import contextlib
from collections import deque
from importlib import import_module
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from core.clock import Clock, SystemClock
from core.strictjson import parse_object
from events.bus import Bus, Delivery, Subscription, running_bus
from events.live import encode

PROTOCOL_VERSION = 1
# In the scope of a program that came with a token: asks again whose it is, and gives None when it has ended
TOKEN_CHECK = "token_check"  # noqa: S105 - a key of the scope
NOT_LOGGED_IN = 4401
TOO_SLOW = 4408
POLICY_VIOLATION = 1008
TOO_BIG = 1009
MESSAGE_MAX_BYTES = 16 * 1024
HEARTBEAT_SECONDS = 1.0
RIGHTS_SECONDS = 10.0
SNAPSHOT_PAUSE_SECONDS = 0.5
LISTEN_SECONDS = 5.0
UNANSWERED_MAX_BYTES = 1024 * 1024
UNANSWERED_MAX_SECONDS = 60.0
BAD_MESSAGES_MAX = 3
LISTED_MAX = 1000
ACCOUNT_MAX = 2**53 - 1
BAD_MESSAGES_SECONDS = 60.0


class LiveSource(Protocol):
    """What the consumer shows; a package further up hands it in with `provide`."""

    def admits(self, user: Any, session: Any) -> bool:
        """Tell whether a session may see anything at all yet."""
        ...

    def accounts(self, user: Any) -> frozenset[int] | None:
        """Return the accounts whose changes a person may see; None for all."""
        ...

    def snapshot(self, user: Any, only: frozenset[int] | None) -> dict[str, Any]:
        """Return everything a person may see; of some accounts, when `only` names them."""
        ...


_provided: list[LiveSource] = []


def provide(source: LiveSource) -> None:
    """Say where snapshots and rights come from; called once, when the apps are ready."""
    _provided[:] = [source]


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One page that follows the accounts its person may see."""

    clock: Clock = SystemClock()
    heartbeat_seconds = HEARTBEAT_SECONDS
    rights_seconds = RIGHTS_SECONDS
    unanswered_max_bytes = UNANSWERED_MAX_BYTES
    queue_max = 256

    def __init__(self, **limits: Any) -> None:
        """Take other limits than the class's; `as_asgi(name=value)` hands them on and checks the names."""
        super().__init__()
        for name, value in limits.items():
            setattr(self, name, value)
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._sent_bytes = 0
        self._answered_bytes = 0
        self._beats: deque[tuple[int, int]] = deque()
        self._answered_at = self.clock.ticks()
        self._lagging = False
        self._only_accounts: frozenset[int] | None = None
        self._only_kinds: frozenset[str] | None = None
        self._bad: deque[float] = deque(maxlen=BAD_MESSAGES_MAX)

    async def connect(self) -> None:
        await self.accept()
        if not await self._is_admitted(self.scope.get("user"), self.scope.get("session")):
            await self.close(code=NOT_LOGGED_IN)
            return
        self._task = asyncio.create_task(self._follow(), name="live-page")

    async def _is_admitted(self, user: Any, session: Any) -> bool:
        if user is None or not user.is_authenticated or not user.is_active:
            return False
        if TOKEN_CHECK in self.scope:
            return True
        return bool(await database_sync_to_async(_provided[0].admits)(user, session))

    async def disconnect(self, code: int) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len((text_data or "").encode()) > MESSAGE_MAX_BYTES or len(bytes_data or b"") > MESSAGE_MAX_BYTES:
            await self.close(code=TOO_BIG)
            return
        try:
            self._obey(parse_object(bytes_data or (text_data or "").encode("utf-8", "surrogatepass")))
        except ValueError as problem:
            await self._complain(str(problem))

    def _obey(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "snapshot"}:
                self._wanted.set()
            case {"type": "ack", "n": int(n)} if not isinstance(n, bool):
                self._answered(n)
            case {"type": "subscribe", **wanted}:
                self._narrow(wanted)
            case _:
                raise ValueError('type: send "snapshot", "subscribe", or "ack" with the number of a heartbeat')

    def _narrow(self, wanted: dict[str, Any]) -> None:
        """Take what a client wants to follow, and answer with a snapshot of just that."""
        unknown = wanted.keys() - {"accounts", "kinds"}
        if unknown:
            raise ValueError(f"{min(unknown)}: subscribe knows only accounts and kinds")
        accounts, kinds = wanted.get("accounts"), wanted.get("kinds")
        if accounts is not None and not (_is_list_of(accounts, int) and all(0 < n <= ACCOUNT_MAX for n in accounts)):
            raise ValueError("accounts: send a list of at most 1000 account numbers, or null")
        if kinds is not None and not _is_list_of(kinds, str):
            raise ValueError("kinds: send a list of at most 1000 words, or null")
        self._only_accounts = None if accounts is None else frozenset(accounts)
        self._only_kinds = None if kinds is None else frozenset(kinds)
        self._wanted.set()

    def _is_wanted(self, delivery: Delivery) -> bool:
        return (self._only_accounts is None or delivery.account_id in self._only_accounts) and (
            self._only_kinds is None or delivery.kind in self._only_kinds
        )

    def _answered(self, n: int) -> None:
        self._answered_at = self.clock.ticks()
        while self._beats and self._beats[0][0] <= n:
            self._answered_bytes = self._beats.popleft()[1]

    async def _complain(self, text: str) -> None:
        now = self.clock.ticks()
        self._bad.append(now)
        if len(self._bad) == BAD_MESSAGES_MAX and now - self._bad[0] <= BAD_MESSAGES_SECONDS:
            await self.close(code=POLICY_VIOLATION)
            return
        await self._say("error", text=text[:200])

    async def _say(self, kind: str, **fields: Any) -> None:
        await self._send_text(encode({"type": kind, "server_time": self.clock.now().isoformat(), **fields}))

    async def _send_text(self, text: str) -> None:
        self._sent_bytes += len(text)
        await self.send(text_data=text)

    async def _follow(self) -> None:
        """Follow until the person may not any more; rights that change start a new subscription."""
        bus = running_bus()
        while True:
            accounts = await self._rights()
            async with bus.subscribed(accounts, self.queue_max) as subscription:
                # Listening first and reading the database after it leaves no gap between snapshot and changes
                await bus.listening(LISTEN_SECONDS)
                if not await self._until_rights_change(bus, subscription):
                    return

    async def _rights(self) -> frozenset[int] | None:
        accounts: frozenset[int] | None = await database_sync_to_async(_provided[0].accounts)(self.scope["user"])
        return accounts

    async def _until_rights_change(self, bus: Bus, subscription: Subscription) -> bool:
        """Send a snapshot and then what comes; return False when the connection was closed."""
        await self._send_snapshot(bus)
        jobs = [
            asyncio.create_task(self._deltas(bus, subscription)),
            asyncio.create_task(self._snapshots(bus)),
            asyncio.create_task(self._heartbeats(subscription)),
        ]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            return all(bool(job.result()) for job in done)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _deltas(self, bus: Bus, subscription: Subscription) -> bool:
        while True:
            delivery: Delivery | None = await subscription.get()
            if delivery is None:
                await bus.listening(LISTEN_SECONDS)
                self._wanted.set()
            elif self._is_wanted(delivery) and not self._is_lagging():
                await self._send_text(delivery.text)

    def _is_lagging(self) -> bool:
        self._lagging = self._lagging or self._sent_bytes - self._answered_bytes > self.unanswered_max_bytes
        return self._lagging

    async def _snapshots(self, bus: Bus) -> bool:
        while True:
            await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)
            await self._wanted.wait()
            self._wanted.clear()
            await self._send_snapshot(bus)

    async def _send_snapshot(self, bus: Bus) -> None:
        frame = await database_sync_to_async(_provided[0].snapshot)(self.scope["user"], self._only_accounts)
        about = {"type": "snapshot", "version": PROTOCOL_VERSION, "epoch": bus.epoch}
        text = await sync_to_async(encode)({**about, "server_time": self.clock.now().isoformat(), **frame})
        await self._send_text(text)

    async def _heartbeats(self, subscription: Subscription) -> bool:
        """Beat; look after slow pages and, now and then, after the person's rights. True: the rights changed."""
        looked_at = self.clock.ticks()
        n = self._beats[-1][0] if self._beats else 0
        while True:
            n += 1
            self._beats.append((n, self._sent_bytes))
            await self._say("heartbeat", n=n, lagging=self._lagging)
            await asyncio.sleep(self.heartbeat_seconds)
            now = self.clock.ticks()
            if self._lagging:
                if self._sent_bytes - self._answered_bytes < self.unanswered_max_bytes // 2:
                    self._lagging = False
                    self._wanted.set()
                elif now - self._answered_at > UNANSWERED_MAX_SECONDS:
                    await self.close(code=TOO_SLOW)
                    return False
            if now - looked_at >= self.rights_seconds:
                looked_at = now
                if not await self._still_logged_in():
                    await self.close(code=NOT_LOGGED_IN)
                    return False
                if await self._rights() != subscription.accounts:
                    return True

    async def _still_logged_in(self) -> bool:
        """Ask the database again: session or token may have ended, and the person may have been locked out."""
        if TOKEN_CHECK in self.scope:
            user = await self.scope[TOKEN_CHECK]()
            self.scope["user"] = user or self.scope["user"]
            return user is not None
        session = import_module(settings.SESSION_ENGINE).SessionStore(self.scope["session"].session_key)
        user = await get_user({**self.scope, "session": session})
        if not user.is_authenticated or user.pk != self.scope["user"].pk:
            return False
        self.scope["user"] = user
        return await self._is_admitted(user, session)


def _is_list_of(value: Any, kind: type) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= LISTED_MAX
        and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)
    )
