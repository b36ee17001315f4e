"""Soak an engine of many accounts: `make soak-engine`, or `python benchmarks/soak.py --accounts 50 --minutes 30`.

A whole engine of real processes trades on simulated accounts in a folder of its own, while runners, clusters and the
supervisor are killed and the database server is cut off again and again, in a random order (the seed is printed).
Each minute it is noted what the engine's processes hold: memory and open files by kind of process, rows of the live
tables, and accounts that run. The baseline are the first minutes' figures of the same run. Exit code 2: something
grew, an account does not run at the end, or books and broker differ.
"""

import argparse
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import fleet  # isort: skip - chooses the folder, before the site is read

import psutil
from django.db import Error as DatabaseProblem
from django.db import connection

from accounts.models import TradingAccount
from brokers.simulator.truth import read_truth
from core.ids import SeededIds, SystemIds
from engine.models import EngineProcess, EngineState, Lease
from engine.registry import open_handles
from engine.report import compare_with_truth
from events.models import Command
from orders.models import OrderIntent
from tests.processes.engine import Engine
from tests.processes.test_faults import die_at_once, is_another
from tradingsite import postgres

SAMPLE_SECONDS = 60.0
# The whole of one kind of process may grow so far from the median of the first third to that of the last
GROWTH = 1.25
SLACK = {"mb": 60.0, "handles": 60.0, "rows": 60.0}
# Tables whose rows come and go: they must not add up
LIVE = {
    "leases": Lease, "processes": EngineProcess, "states": EngineState,
}  # fmt: skip


class Chance:
    """Shares from 0 up to 1, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._ids = SeededIds(seed)

    def share(self) -> float:
        """Return the next one."""
        return int(self._ids.token(4), 36) / 36**4


def sample(engine: Engine) -> dict[str, float]:
    """Return what the engine holds now."""
    rows = dict(EngineProcess.objects.values_list("pid", "role"))
    found: Counter[str] = Counter()
    for process in fleet.processes_of(engine):
        with suppress(psutil.Error):
            kind = "database" if "postgres" in process.name() else rows.get(process.pid, "other")
            found[f"{kind} mb"] += round(process.memory_info().rss / 2**20)
            found[f"{kind} handles"] += open_handles(process)
    live = {f"{name} rows": model._default_manager.count() for name, model in LIVE.items()}
    waiting = {
        "waiting commands rows": Command.objects.filter(state="waiting").count(),
        "intents under way rows": OrderIntent.objects.filter(state__in=("planned", "claimed", "sent")).count(),
        "running": EngineState.objects.filter(status="running").count(),
    }
    return {**found, **live, **waiting}


def grown(samples: Sequence[dict[str, float]]) -> list[str]:
    """Say what grew from the first third of the samples to the last."""
    if len(samples) < 3:
        return []
    third = max(1, len(samples) // 3)
    names = sorted({name for one in samples for name in one} - {"running"})
    found = []
    for name in names:
        before, after = (median(one.get(name, 0) for one in part) for part in (samples[:third], samples[-third:]))
        # Of the server's shared memory each of its processes counts what it has touched, so its sum says nothing
        if name != "database mb" and after > before * GROWTH + SLACK[name.rpartition(" ")[2]]:
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return found


class Soak:
    """One engine, and what is done to it."""

    def __init__(self, engine: Engine, chance: Chance, say: Callable[[str], None]) -> None:
        self.engine = engine
        self.chance = chance
        self.say = say
        self.done: Counter[str] = Counter()

    def hurt(self) -> None:
        """Kill a process or cut the database off; what is not there now is left alone."""
        choices: list[tuple[str, Callable[[], None]]] = [
            ("runner", partial(self._kill, "runner")),
            ("runner", partial(self._kill, "runner")),
            ("cluster", partial(self._kill, "cluster")),
            ("supervisor", self._kill_supervisor),
            ("database", self._cut_database),
        ]
        name, do = choices[int(self.chance.share() * len(choices))]
        self.say(f"{name} is ended")
        do()
        self.done[name] += 1

    def _kill(self, role: str) -> None:
        pids = self.engine.pids(role)
        if pids:
            with suppress(ProcessLookupError):
                os.kill(pids[int(self.chance.share() * len(pids))], signal.SIGKILL)

    def _kill_supervisor(self) -> None:
        self.engine.process.kill()
        self.engine.process.wait()
        self.engine.start_again()

    def _cut_database(self) -> None:
        cluster = postgres.embedded()
        dead = die_at_once(cluster)
        connection.close()
        self.engine.until(partial(is_another, cluster, dead), "the database to be started again", may_end=True)


def soak(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the accounts, run, hurt and watch; return the report."""
    chance = Chance(options.seed)
    say(f"seed {options.seed}; making {options.accounts} accounts")
    fleet.make_accounts(options.accounts, 0, fleet.TRADING, speed=30.0)
    engine = Engine({**os.environ, "TRADING_MAX_RESTARTS": "100"}, "--runners", str(options.runners), demo=False)
    samples: list[dict[str, float]] = []
    try:
        fleet.wait_until_running(say, lambda: engine.process.poll() is None)
        work = Soak(engine, chance, say)
        until = fleet.CLOCK.ticks() + options.minutes * 60
        hurt_at = fleet.CLOCK.ticks() + options.every
        sampled_at = fleet.CLOCK.ticks()
        while fleet.CLOCK.ticks() < until:
            try:
                if fleet.CLOCK.ticks() >= sampled_at:
                    samples.append(sample(engine))
                    say(json.dumps(samples[-1]))
                    sampled_at += min(SAMPLE_SECONDS, options.minutes * 60 / 9)
                if fleet.CLOCK.ticks() >= hurt_at:
                    work.hurt()
                    hurt_at = fleet.CLOCK.ticks() + options.every * (0.5 + chance.share())
            except DatabaseProblem:
                connection.close()
            fleet.CLOCK.sleep(0.5)
        say("nothing is hurt any more: every account is to run")
        fleet.wait_until_running(say, lambda: True)
        samples.append(sample(engine))
        engine.interrupt()
        postgres.embedded().ensure_running()
        connection.close()
        different = [
            account.name
            for account in TradingAccount.objects.order_by("pk")
            if not compare_with_truth(account.pk, read_truth(Path(account.terminal_path))).equal
        ]
        sent = OrderIntent.objects.filter(sent_at__isnull=False).count()
    finally:
        engine.close()
    bad = [
        *grown(samples),
        *(["nothing was sent"] if not sent else []),
        *(f"books and broker of {name} differ" for name in different),
    ]
    return {
        "benchmark": "soak", "accounts": options.accounts, "minutes": options.minutes, "seed": options.seed,
        "ended": dict(work.done), "orders_sent": sent, "samples": samples, "verdict": "; ".join(bad) or "sound",
    }  # fmt: skip


def main() -> None:
    """Run it and print the report as one JSON object in the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=50, help="accounts (default 50)")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--runners", type=int, default=2, help="runner processes (default 2)")
    parser.add_argument("--every", type=float, default=45.0, help="mean seconds between two kills (default 45)")
    parser.add_argument("--seed", type=int, default=int(SystemIds().token(5), 36), help="repeat that order")
    options = parser.parse_args()
    if not 1 <= options.accounts <= 240 or options.minutes <= 0 or options.every < 5 or not 1 <= options.runners <= 16:
        parser.error("--accounts: 1 to 240, --minutes: above 0, --every: 5 or more, --runners: 1 to 16")
    with fleet.FOLDER, postgres.using():
        fleet.migrate()
        found = soak(options, lambda text: print(text, flush=True))
        print(json.dumps(found), flush=True)
        connection.close()
        postgres.embedded().stop()
    raise SystemExit(0 if found["verdict"] == "sound" else 2)


if __name__ == "__main__":
    main()
