"""The bus of one process: order, followers that fall behind, and a connection that breaks."""

import asyncio
import json
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from core.clock import SystemClock
from events.bus import Bus, Delivery, Subscription, running_bus
from events.live import CHANNEL, payload, publish, publish_many

pytestmark = pytest.mark.django_db(transaction=True)
WAIT = 60.0


async def next_of(subscription: Subscription) -> Delivery | None:
    return await asyncio.wait_for(subscription.get(), WAIT)


async def listening(bus: Bus) -> None:
    assert await bus.listening(WAIT)


def delta_of(delivery: Delivery | None) -> Any:
    assert delivery is not None
    return json.loads(delivery.text)["delta"]


def cut_the_listener() -> int:
    """End the bus's connection from the server's side, as a restart would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'trading-live' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


async def test_every_follower_gets_the_same_numbers_in_commit_order() -> None:
    bus = Bus()
    async with bus.subscribed(None) as one, bus.subscribed(frozenset({1})) as other:
        await listening(bus)
        await sync_to_async(publish_many)([(1, "order", {"n": n}) for n in range(3)])
        await sync_to_async(publish)(2, "order", {"n": 9})
        await sync_to_async(publish)(1, "order", {"n": 3})
        seen = [await next_of(one) for _ in range(5)]
        assert [(d.account_id, d.seq) for d in seen if d] == [(1, 1), (1, 2), (1, 3), (2, 1), (1, 4)]
        mine = [await next_of(other) for _ in range(4)]
        assert [d.seq for d in mine if d] == [1, 2, 3, 4]
        assert mine[0] is seen[0]


async def test_a_follower_that_falls_behind_starts_again_and_costs_no_memory() -> None:
    bus = Bus()
    async with bus.subscribed(None, limit=3) as slow, bus.subscribed(None) as quick:
        await listening(bus)
        for n in range(50):
            bus.deliver(payload(1, "order", {"n": n}))
        assert slow._queue.qsize() == 1
        assert await next_of(slow) is None
        bus.deliver(payload(1, "order", {"n": 50}))
        again = await next_of(slow)
        assert again is not None
        assert again.seq == 51
        assert [(await next_of(quick)).seq for _ in range(51)] == list(range(1, 52))  # type: ignore[union-attr]


async def test_what_is_no_message_is_left_out() -> None:
    bus = Bus()
    async with bus.subscribed(None) as follower:
        for text in ("", "[]", "not JSON", '{"account": "x", "kind": "a", "delta": {}}', '{"account": 1}'):
            bus.deliver(text)
        bus.deliver(payload(1, "order", {"n": 1}))
        found = await next_of(follower)
        assert found is not None
        assert found.seq == 1


async def test_a_broken_connection_is_made_again_and_everyone_starts_anew() -> None:
    bus = Bus()
    async with bus.subscribed(None) as follower:
        await listening(bus)
        bus.deliver(payload(1, "order", {"n": 1}))
        assert (await next_of(follower)) is not None
        assert await sync_to_async(cut_the_listener)() == 1
        assert await next_of(follower) is None
        await listening(bus)
        await sync_to_async(publish)(1, "order", {"n": 2})
        found = await next_of(follower)
        assert found is not None
        assert (found.epoch, found.seq, delta_of(found)) == (2, 1, {"n": 2})


async def no_listener() -> None:
    """Wait until the server has seen the connection end, which it does a moment after the client."""
    clock = SystemClock()
    until = clock.ticks() + WAIT
    while await sync_to_async(listeners)():
        assert clock.ticks() < until, "the bus still listens"
        await asyncio.sleep(0.05)


def listeners() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trading-live' "
            "AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


async def test_the_last_follower_takes_the_connection_along() -> None:
    bus = Bus()
    async with bus.subscribed(None):
        await listening(bus)
    await no_listener()
    async with bus.subscribed(None) as follower:
        await listening(bus)
        await sync_to_async(publish)(3, "order", {"n": 1})
        found = await next_of(follower)
        while found is None:
            found = await next_of(follower)
        assert found.account_id == 3


async def test_a_process_has_one_bus() -> None:
    assert running_bus() is running_bus()


async def test_an_unreachable_database_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from events import bus as module

    tries: list[int] = []
    connect = module._connect

    async def down_at_first() -> "psycopg.AsyncConnection[Any]":
        tries.append(1)
        if len(tries) < 3:
            raise psycopg.OperationalError("connection refused")
        return await connect()

    monkeypatch.setattr(module, "_connect", down_at_first)
    bus = Bus()
    async with bus.subscribed(None) as follower:
        await listening(bus)
        await sync_to_async(publish)(1, "order", {"n": 1})
        assert delta_of(await next_of(follower)) == {"n": 1}
    assert CHANNEL == "live"
