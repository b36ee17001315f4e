"""The live bus of one process: one connection that LISTENs, and a bounded queue for everyone who follows it.

Messages are numbered here, per account and from 1 while one connection lasts (`epoch` counts the connections), because
PostgreSQL delivers them in commit order. Whoever sees a new epoch, or lost messages, starts again from a snapshot.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections

from core.clock import Clock, SystemClock
from events.live import CHANNEL, encode

log = logging.getLogger("trading.live")

QUEUE_MAX = 256
BACKOFF_FIRST = 0.1
BACKOFF_LONGEST = 5.0
# A connection that died without a word is noticed by this many silent seconds, and one question
SILENCE_SECONDS = 15.0
CONNECTION_KEYS = ("dbname", "user", "password", "host", "port", "sslmode", "sslrootcert", "connect_timeout", "options")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, with its place in the account's order; `text` is what goes over the wire, encoded once for all."""

    account_id: int
    epoch: int
    seq: int
    kind: str
    text: str


@dataclass(slots=True, eq=False)
class Subscription:
    """What one follower has not read yet. `accounts` is None for all of them."""

    accounts: frozenset[int] | None
    limit: int = QUEUE_MAX
    lost: bool = False
    _queue: asyncio.Queue[Delivery | None] = field(default_factory=asyncio.Queue)

    def offer(self, delivery: Delivery) -> None:
        """Queue a message; a follower who is `limit` behind loses them all and is told to start again."""
        if self.lost or (self.accounts is not None and delivery.account_id not in self.accounts):
            return
        if self._queue.qsize() >= self.limit:
            self.lose()
        else:
            self._queue.put_nowait(delivery)

    def lose(self) -> None:
        """Drop what is queued and leave the news that messages were lost."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self.lost = True
        self._queue.put_nowait(None)

    async def get(self) -> Delivery | None:
        """Wait for the next message; None says that messages were lost and that the order starts anew."""
        delivery = await self._queue.get()
        if delivery is None:
            self.lost = False
        return delivery


class Bus:
    """Fans the notifications of one connection out. It connects for the first follower and leaves with the last."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._followers: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._seqs: dict[int, int] = {}
        self.epoch = 0

    @contextlib.asynccontextmanager
    async def subscribed(self, accounts: frozenset[int] | None, limit: int = QUEUE_MAX) -> Any:
        """Follow accounts (None: all) while the context lasts; yield the Subscription."""
        subscription = Subscription(accounts, limit)
        self._followers.add(subscription)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live-bus")
        try:
            yield subscription
        finally:
            self._followers.discard(subscription)
            if not self._followers:
                await self._leave()

    async def listening(self, timeout_seconds: float) -> bool:
        """Wait until the connection LISTENs; False when it did not within the time."""
        try:
            await asyncio.wait_for(self._listening.wait(), timeout_seconds)
        except TimeoutError:
            return False
        return True

    async def _leave(self) -> None:
        task, self._task = self._task, None
        self._listening.clear()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        """Listen; when the connection breaks, tell the followers and connect again with a growing pause."""
        pause = BACKOFF_FIRST
        followed = False
        while True:
            try:
                async with await _connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    pause = BACKOFF_FIRST
                    self._begin(again=followed)
                    followed = True
                    await self._follow(connection)
            except (psycopg.Error, OSError) as problem:
                log.warning("live updates interrupted, trying again in %.1f s: %s", pause, problem)
            finally:
                self._listening.clear()
            await asyncio.sleep(pause)
            pause = min(BACKOFF_LONGEST, pause * 2)

    def _begin(self, *, again: bool) -> None:
        """Start a new order; who followed before the connection broke (`again`) may have missed something."""
        self.epoch += 1
        self._seqs.clear()
        if again:
            for follower in self._followers:
                follower.lose()
        self._listening.set()

    async def _follow(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        while True:
            async for notification in connection.notifies(timeout=SILENCE_SECONDS):
                self.deliver(notification.payload)
            await connection.execute("SELECT 1")

    def deliver(self, payload: str) -> None:
        """Number a notification and offer it to every follower; what is no message of ours is left out."""
        try:
            message = json.loads(payload)
            account_id, kind, delta = int(message["account"]), str(message["kind"]), message["delta"]
        except (ValueError, TypeError, KeyError):
            log.warning("a notification that is no live message was ignored: %.80s", payload)
            return
        seq = self._seqs[account_id] = self._seqs.get(account_id, 0) + 1
        frame = {
            "type": "delta",
            "account": account_id,
            "epoch": self.epoch,
            "seq": seq,
            "kind": kind,
            "delta": delta,
            "server_time": self._clock.now().isoformat(),
        }
        delivery = Delivery(account_id, self.epoch, seq, kind, encode(frame))
        for follower in self._followers:
            follower.offer(delivery)


_buses: "WeakKeyDictionary[asyncio.AbstractEventLoop, Bus]" = WeakKeyDictionary()


def running_bus(make: Callable[[], Bus] = Bus) -> Bus:
    """Return the bus of the running event loop; a server process has one loop and so one connection."""
    loop = asyncio.get_running_loop()
    if loop not in _buses:
        _buses[loop] = make()
    return _buses[loop]


async def _connect() -> "psycopg.AsyncConnection[Any]":
    """Connect as Django does, in autocommit, so that notifications arrive at once."""
    given = connections["default"].get_connection_params()
    params = {key: given[key] for key in CONNECTION_KEYS if given.get(key)}
    return await psycopg.AsyncConnection.connect(**params, autocommit=True, application_name="trading-live")
