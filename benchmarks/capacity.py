"""Measure how many accounts an engine carries: `python benchmarks/capacity.py --accounts 200 --second-host`.

A whole engine of real processes runs in a folder of its own. After every account runs, it is watched for a while:
processor time of runners and database for each account and minute, the p99 of orders passes, how late passes begin,
and how evenly the accounts are served. With `--second-host` another supervisor joins, and it is timed until it has its
share. The baseline, in the same run, is what one account alone costs: `ratio` compares the cost of an account with it.
Figures in processor time hold on a busy machine too; durations and lateness only on a quiet one. Exit code 2: a pass
took 500 ms or more (p99), a job was starved, or some account got less than half of what the median account got.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import fleet  # isort: skip - chooses the folder, before the site is read

from django.db import connection

from accounts.models import DesiredState, TradingAccount
from engine.domain import percentile
from engine.models import EngineProcess, EngineState, Lease
from engine.runner import SURPLUS_SHARE
from tests.processes.engine import Engine
from tradingsite import postgres

JOIN_SECONDS = 120.0
P99_MS = 500.0
FAIR = 0.5
# Jobs that every account does in any half minute
REGULAR = ("lease", "commands", "realtime", "orders", "cycles", "guards", "trade", "state")
Passes = dict[int, dict[str, float]]


def passes_of() -> Passes:
    """Return how often each job of each account has run, as its session wrote it last."""
    rows = EngineState.objects.values_list("account_id", "statistics")
    return {pk: {n: j["passes"] for n, j in stored.get("jobs", {}).items()} for pk, stored in rows}


def watch(engine: Engine, seconds: float, accounts: int) -> dict[str, Any]:
    """Watch the engine for some seconds."""
    found, began = fleet.processes_of(engine), fleet.CLOCK.ticks()
    before, cpu = passes_of(), fleet.cpu_seconds(found)
    fleet.CLOCK.sleep(seconds)
    took = fleet.CLOCK.ticks() - began
    after, used = passes_of(), fleet.cpu_seconds(found)
    spent = {role: (used[role] - cpu[role]) / took * 60 / accounts for role in used}
    jobs = [state.statistics.get("jobs", {}) for state in EngineState.objects.all()]
    p99 = sorted(job["orders"]["p99_ms"] for job in jobs if "orders" in job)
    lags = sorted(job["orders"]["lag_p95_ms"] for job in jobs if "orders" in job)
    per_second = sorted((after[pk]["orders"] - before[pk].get("orders", 0)) / took for pk in after if pk in before)
    starved = [
        f"{pk}:{name}" for pk in after for name in REGULAR if after[pk].get(name, 0) <= before.get(pk, {}).get(name, 0)
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (connections,) = cursor.fetchone()
    rss = list(EngineProcess.objects.filter(role="runner").values_list("rss_bytes", flat=True))
    return {
        "accounts": accounts,
        "cpu_seconds_per_account_minute": {role: round(value, 3) for role, value in spent.items()},
        "orders_pass_p99_ms": {"median": percentile(p99, 0.5), "worst": p99[-1]},
        "orders_lag_p95_ms": {"median": percentile(lags, 0.5), "worst": lags[-1]},
        "orders_passes_per_second": {
            "least": round(per_second[0], 2), "median": round(median(per_second), 2), "most": round(per_second[-1], 2)
        },
        "fairness": round(per_second[0] / median(per_second), 2) if median(per_second) else 0.0,
        "starved": starved,
        "connections": connections,
        "runner_mb": round(sum(rss) / 2**20),
    }  # fmt: skip


@contextmanager
def running(runners: int, **environment: str) -> Iterator[Engine]:
    """Run an engine, and end it whatever happens."""
    engine = Engine({**os.environ, **environment}, "--runners", str(runners), demo=False)
    try:
        yield engine
        engine.interrupt()
    finally:
        engine.close()


def join(runners: int, accounts: int) -> float | None:
    """Let a second host join; return the seconds until it holds what others need not keep; None: it never did."""
    share = math.ceil(accounts / (2 * runners))
    wanted = accounts - runners * (share + max(1, int(share * SURPLUS_SHARE)))
    folder = Path(fleet.FOLDER.name) / "second"
    url = postgres.embedded().url(connection.settings_dict["NAME"])
    key = (Path(fleet.FOLDER.name) / "credential_key").read_text().strip()
    given = {
        "TRADING_VAR_DIR": str(folder), "TRADING_HOST_NAME": "second", "DATABASE_URL": url,
        "TRADING_CREDENTIAL_KEYS": key,
    }  # fmt: skip
    with running(runners, **given) as second:
        while not EngineProcess.objects.filter(host="second", role="runner").exists():
            fleet.CLOCK.sleep(0.2)
        began = fleet.CLOCK.ticks()
        while fleet.CLOCK.ticks() - began < JOIN_SECONDS and second.process.poll() is None:
            if Lease.objects.filter(holder__startswith="second:").count() >= wanted:
                return round(fleet.CLOCK.ticks() - began, 1)
            fleet.CLOCK.sleep(0.2)
    return None


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the accounts, run one alone for the baseline and then all, and watch."""
    say(f"making {options.accounts} accounts with {options.positions} positions each")
    fleet.make_accounts(options.accounts, options.positions, fleet.HOLDING, speed=10.0)
    first = TradingAccount.objects.order_by("pk")[0]
    TradingAccount.objects.exclude(pk=first.pk).update(desired_state=DesiredState.STOPPED)
    with running(options.runners) as engine:
        say("the baseline: one account alone")
        engine.until(lambda: EngineState.objects.filter(status="running").exists(), "the first account")
        fleet.CLOCK.sleep(options.warm)
        alone = watch(engine, min(20.0, options.seconds), 1)
        TradingAccount.objects.update(desired_state=DesiredState.RUNNING)
        started = fleet.wait_until_running(say, lambda: engine.process.poll() is None)
        fleet.CLOCK.sleep(options.warm)
        say(f"watching for {options.seconds:.0f} s")
        found = watch(engine, options.seconds, options.accounts)
        joined = join(options.runners, options.accounts) if options.second_host else None
    cost, base = (sum(_engine(one).values()) for one in (found, alone))
    return {
        "benchmark": "capacity", **found, "positions": options.positions, "runners": options.runners,
        "start_up_seconds": round(started, 1), "alone": alone["cpu_seconds_per_account_minute"],
        "ratio": round(cost / base, 2) if base else 0.0, "cores_needed": round(cost * options.accounts / 60, 2),
        "second_host_seconds": joined if options.second_host else "not asked for",
    }  # fmt: skip


def _engine(found: Mapping[str, Any]) -> dict[str, float]:
    return {role: found["cpu_seconds_per_account_minute"][role] for role in ("runners", "database")}


def main() -> None:
    """Run it and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=200, help="accounts (default 200)")
    parser.add_argument("--positions", type=int, default=5, help="open positions of each (default 5)")
    parser.add_argument("--runners", type=int, default=2, help="runner processes (default 2)")
    parser.add_argument("--seconds", type=float, default=60.0, help="watch for so many seconds (default 60)")
    parser.add_argument("--warm", type=float, default=15.0, help="seconds before each watch (default 15)")
    parser.add_argument("--second-host", action="store_true", help="let a second host join at the end")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not (2 <= options.accounts <= 240 and options.positions >= 1 and 1 <= options.runners <= 16):
        parser.error("--accounts: 2 to 240, --positions: 1 or more, --runners: 1 to 16")
    if options.seconds < 10 or options.warm < 0:
        parser.error("--seconds: 10 or more, --warm: 0 or more")

    def say(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    with fleet.FOLDER, postgres.using():
        fleet.migrate()
        found = measure(options, say)
        connection.close()
        postgres.embedded().stop()
    bad = [
        *(["an orders pass took 500 ms or more"] if found["orders_pass_p99_ms"]["worst"] >= P99_MS else []),
        *(["jobs were starved"] if found["starved"] else []),
        *(["accounts were not served alike"] if found["fairness"] < FAIR else []),
        *(["the second host did not get its share"] if found["second_host_seconds"] is None else []),
    ]
    found["verdict"] = "; ".join(bad) or "fit"
    print(json.dumps(found, indent=None if options.json else 2))
    raise SystemExit(2 if bad else 0)


if __name__ == "__main__":
    main()
