"""Time live updates: `python benchmarks/live.py [--subscribers N] [--messages N] [--json]`.

A thread commits messages as an engine does, and the bus of one process hands each to all subscribers. Latency is
counted from before the commit until a subscriber's own task holds the text that goes over its WebSocket; the browser's
drawing is not in it. The baseline in the same run is channels_postgres, the channel layer that needs no other server
either, called as its users call it; where it is not installed (`pip install channels_postgres`), only our figures are
printed.
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

import django
from django.conf import settings

BASELINE = "channels_postgres"
HAS_BASELINE = find_spec(BASELINE) is not None
if HAS_BASELINE:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, BASELINE]
django.setup()

from django.db import connection, connections

from core.clock import SystemClock
from events.bus import Bus
from events.live import publish
from tradingsite import postgres

ACCOUNT = 1
PACED_PER_SECOND = 50
# What an account with five positions tells at each change
POSITIONS = 5
DELTA: dict[str, Any] = {
    "identifiers": [10_000_000 + n for n in range(POSITIONS)], "profits": [12.34] * POSITIONS,
    "swaps": [-0.12] * POSITIONS, "prices": [1.08421] * POSITIONS, "balance": 10_000.0, "equity": 10_061.1,
    "margin": 54.2, "margin_level": 18_563.0,
}  # fmt: skip


def figures(subscribers: int, messages: int, seconds: float, latencies_ms: list[float]) -> dict[str, float]:
    """Sum up a run: deliveries a second of the burst, latency of the paced messages in milliseconds."""
    return {
        "deliveries_per_second": round(subscribers * messages / seconds),
        "p50_ms": round(median(latencies_ms), 2),
        "p99_ms": round(quantiles(latencies_ms, n=100)[98], 2),
    }


async def ours(subscribers: int, messages: int, paced: int) -> dict[str, float]:
    """Publish a burst of messages, then as many as `paced` one by one, to followers of the bus."""
    bus, latencies = Bus(), list[float]()

    async def follow(count: int, ready: asyncio.Event, is_timed: bool) -> None:
        async with bus.subscribed(frozenset({ACCOUNT}), limit=count + 1) as subscription:
            await bus.listening(60)
            ready.set()
            for _ in range(count):
                delivery = await subscription.get()
                assert delivery is not None, "a follower fell behind"
                if is_timed:
                    latencies.append((time.perf_counter() - json.loads(delivery.text)["delta"]["sent"]) * 1000)

    async def run(count: int, pause: float) -> float:
        readies = [asyncio.Event() for _ in range(subscribers)]
        tasks = [asyncio.create_task(follow(count, ready, pause > 0)) for ready in readies]
        for ready in readies:
            await ready.wait()
        began = time.perf_counter()
        thread = threading.Thread(target=_publish, args=(count, pause), daemon=True)
        thread.start()
        await asyncio.gather(*tasks)
        return time.perf_counter() - began

    seconds = await run(messages, 0.0)
    await run(paced, 1 / PACED_PER_SECOND)
    return figures(subscribers, messages, seconds, latencies)


def _publish(count: int, pause: float) -> None:
    """Commit messages, one transaction each, on a connection of the thread's own."""
    clock = SystemClock()
    for _ in range(count):
        publish(ACCOUNT, "marks", {**DELTA, "sent": time.perf_counter()})
        if pause:
            clock.sleep(pause)
    connections.close_all()


async def baseline(subscribers: int, messages: int, paced: int) -> dict[str, float]:
    """Send the same to a group of channel_postgres's channels."""
    from channels_postgres.core import PostgresChannelLayer

    known = connection.get_connection_params()
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    place = {name: known.get(theirs, "") for name, theirs in names.items()}
    blank = {"OPTIONS": {}, "CONN_MAX_AGE": 0, "TIME_ZONE": None, "AUTOCOMMIT": True, "CONN_HEALTH_CHECKS": False}
    layer, latencies = PostgresChannelLayer(**place, **blank), list[float]()
    channels = [await layer.new_channel() for _ in range(subscribers)]
    for channel in channels:
        await layer.group_add("marks", channel)

    async def follow(channel: str, count: int, is_timed: bool) -> None:
        for _ in range(count):
            message = await layer.receive(channel)
            if is_timed:
                latencies.append((time.perf_counter() - message["delta"]["sent"]) * 1000)

    async def run(count: int, pause: float) -> float:
        tasks = [asyncio.create_task(follow(channel, count, pause > 0)) for channel in channels]
        began = time.perf_counter()
        for _ in range(count):
            delta = {**DELTA, "sent": time.perf_counter()}
            await layer.group_send("marks", {"type": "marks", "account": ACCOUNT, "delta": delta})
            await asyncio.sleep(pause)
        await asyncio.gather(*tasks)
        return time.perf_counter() - began

    seconds = await run(messages, 0.0)
    await run(paced, 1 / PACED_PER_SECOND)
    return figures(subscribers, messages, seconds, latencies)


def measure(subscribers: int, messages: int, paced: int) -> dict[str, Any]:
    """Measure both, ours first."""
    found = {"ours": asyncio.run(ours(subscribers, messages, paced))}
    ratios: dict[str, float] = {}
    if HAS_BASELINE:
        # A tenth of the burst is enough: each message is a row for each channel there
        found[BASELINE] = asyncio.run(baseline(subscribers, max(10, messages // 10), paced))
        per = {name: figures["deliveries_per_second"] for name, figures in found.items()}
        ratios = {"deliveries": round(per["ours"] / per[BASELINE], 1)}
    return {"benchmark": "live", "subscribers": subscribers, "messages": messages, "figures": found, "ratios": ratios}


def _in_own_database(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    with postgres.using():
        old = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            return work()
        finally:
            connections.close_all()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            connection.creation.destroy_test_db(old, verbosity=0)


def main() -> None:
    """Run it in a database of its own on the site's server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--subscribers", type=int, default=100, help="followers of one account (default 100)")
    parser.add_argument("--messages", type=int, default=1000, help="messages of the burst (default 1000)")
    parser.add_argument("--paced", type=int, default=250, help="messages timed one by one (default 250, 50 a second)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.subscribers < 1 or options.messages < 1 or options.paced < 2:
        parser.error("--subscribers, --messages, --paced: give 1, 1 and 2 at least")
    found = _in_own_database(lambda: measure(options.subscribers, options.messages, options.paced))
    if options.json:
        print(json.dumps(found))
        return
    for name, seen in found["figures"].items():
        print(
            f"{name}: {seen['deliveries_per_second']:,} deliveries/s, p50 {seen['p50_ms']} ms, p99 {seen['p99_ms']} ms"
        )
    if HAS_BASELINE:
        print(f"{found['ratios']['deliveries']} times the deliveries of {BASELINE}")
    else:
        print(f"{BASELINE} is not installed here: nothing to compare with")


if __name__ == "__main__":
    main()
