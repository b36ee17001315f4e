"""Time the API's read routes under many clients: `python benchmarks/load.py --clients 50 --events 1000000`.

The site (daphne) and PostgreSQL run in a folder of their own; each client asks one route after the other without a
pause. The baseline is the same load in the same run on a journal of a hundred events: the ratio says what a long
journal costs. Clients, site and database share the machine's processors.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
(ROOT / "var").mkdir(exist_ok=True)
FOLDER = tempfile.TemporaryDirectory(prefix="load-", dir=ROOT / "var")
os.environ["TRADING_VAR_DIR"] = FOLDER.name
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
os.environ.pop("DATABASE_URL", None)

import django

django.setup()

import httpx
from django.core.management import call_command
from django.db import connection

from accounts.models import TradingAccount, User
from accounts.services import create_account
from accounts.tokens import create_token
from core.clock import SystemClock
from core.ids import SystemIds
from engine.domain import percentile
from strategies.services import create_bot
from tradingsite import postgres

FEW = 100
READY_SECONDS = 60.0
KINDS = ("CYCLE_OPENED", "CYCLE_CLOSED", "ORDER_FILLED", "SYSTEM_HEALTH", "ORDER_UNKNOWN")
ROUTES = (
    "accounts", "bots", "cycles", "orders", "trade-engine/status", "events", "events?page_size=200",
    "events?kind=ORDER_UNKNOWN&page_size=20", "events?level=warning", "statistics", "equity",
)  # fmt: skip


def fill(account: TradingAccount, count: int) -> None:
    """Write events of the last months, inside the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO events_event (at, kind, level, text, account_id, data)
            SELECT now() - (n * interval '7 seconds'), (%(kinds)s::text[])[1 + n %% 5],
                   CASE WHEN n %% 50 = 0 THEN 'warning' ELSE 'info' END, 'event ' || n, %(account)s, '{}'::jsonb
            FROM generate_series(%(count)s, 1, -1) AS n
            """,
            {"kinds": list(KINDS), "account": account.pk, "count": count},
        )
        cursor.execute("ANALYZE events_event")


async def ask(client: httpx.AsyncClient, until: float, first: int, took: dict[str, list[float]]) -> int:
    """Ask route after route until a moment; note the milliseconds; return how many answers were no 200."""
    clock, number, wrong = SystemClock(), first, 0
    while (began := clock.ticks()) < until:
        route = ROUTES[number % len(ROUTES)]
        answer = await client.get(f"/api/{route}")
        took[route].append((clock.ticks() - began) * 1000)
        wrong += answer.status_code != 200
        number += 1
    return wrong


async def load(url: str, token: str, clients: int, seconds: float) -> dict[str, Any]:
    """Return answers a second and percentiles of milliseconds, of all routes and of each."""
    took: dict[str, list[float]] = defaultdict(list)
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False) as client:
        until = SystemClock().ticks() + seconds
        wrong = sum(await asyncio.gather(*(ask(client, until, n, took) for n in range(clients))))
    everything = [ms for samples in took.values() for ms in samples]
    return {
        "answers": len(everything),
        "not_200": wrong,
        "per_second": round(len(everything) / seconds, 1),
        **_percentiles(everything),
        "routes": {route: _percentiles(took[route]) for route in ROUTES if took[route]},
    }


def _percentiles(samples: list[float]) -> dict[str, float]:
    return {f"p{share}_ms": round(percentile(sorted(samples), share / 100), 1) for share in (50, 95, 99)}


def start_site() -> tuple["subprocess.Popen[bytes]", str]:
    """Start daphne on a free port; return it and its address, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "tradingsite.asgi:application"]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    clock, url = SystemClock(), f"http://127.0.0.1:{port}"
    until = clock.ticks() + READY_SECONDS
    while clock.ticks() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).is_success:
                return process, url
        except httpx.HTTPError:
            clock.sleep(0.2)
    process.kill()
    raise SystemExit("The site did not start.")


def measure(clients: int, events: int, seconds: float) -> dict[str, Any]:
    """Return the figures of the load on a short journal, on a long one, and their ratio."""
    clock = SystemClock()
    at = clock.now()
    user = User.objects.create_user("load", password=SystemIds().token(20), is_staff=True, is_superuser=True)
    account = create_account(name="Load", login=1, server="Sim-Server", at=at)
    create_bot(account=account, name="Grid", strategy="cycle-trader", symbols=["EURUSD"], values={}, at=at)
    _, token = create_token(
        user=user, name="load", scope="read", expires_at=at + timedelta(days=1), ids=SystemIds(), at=at
    )
    fill(account, FEW)
    process, url = start_site()
    try:
        asyncio.run(load(url, token, clients, 2.0))
        before = asyncio.run(load(url, token, clients, seconds))
        fill(account, events)
        after = asyncio.run(load(url, token, clients, seconds))
    finally:
        process.terminate()
        process.wait(10)
    ratio = {name: round(after[name] / before[name], 2) for name in ("p50_ms", "p95_ms", "p99_ms") if before[name]}
    asked = {"clients": clients, "seconds": seconds, "events": events}
    return {**asked, "few_events": before, "many_events": after, "ratio": ratio}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two loads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with FOLDER, postgres.using():
        call_command("migrate", verbosity=0)
        found = measure(options.clients, options.events, options.seconds)
        connection.close()
        postgres.embedded().stop()
    if options.json:
        print(json.dumps(found))
        return
    for name in ("few_events", "many_events"):
        seen = found[name]
        print(f"{name}: {seen['per_second']}/s, p50 {seen['p50_ms']} ms, p99 {seen['p99_ms']} ms")
        print(f"  {seen['not_200']} of {seen['answers']} answers were no 200")
        for route, figures in seen["routes"].items():
            print(f"  {route:<42} p50 {figures['p50_ms']:>8} ms   p99 {figures['p99_ms']:>8} ms")
    print(f"ratio: {found['ratio']}")


if __name__ == "__main__":
    main()
