"""A soak of real processes: `make soak` kills, stops and restarts what an engine needs, again and again, and reports.

    SOAK_KILLS=100 SOAK_PAUSES=30 SOAK_DATABASE_RESTARTS=20 python -m pytest -q -s tests/processes/soak.py

No test of `make test`: it takes an hour. The report is printed as one JSON object.
"""

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from accounts.models import TradingAccount
from core.clock import SystemClock
from engine.domain import percentile
from engine.models import Lease
from orders.models import OrderIntent
from tests.processes.desk import assert_whole
from tests.processes.engine import Engine
from tests.processes.test_faults import connected_to, die_at_once, is_another, is_held_by_another
from tradingsite.postgres import Cluster

KILLS = int(os.environ.get("SOAK_KILLS", "100"))
PAUSES = int(os.environ.get("SOAK_PAUSES", "30"))
DATABASE_RESTARTS = int(os.environ.get("SOAK_DATABASE_RESTARTS", "20"))


class Soak:
    """One engine with its own database, and what is done to it."""

    def __init__(self, engine: Engine, cluster: Cluster) -> None:
        self.engine = engine
        self.cluster = cluster
        self.takeovers = 0

    def kill(self, role: str) -> None:
        """SIGKILL the runner that holds the account, a cluster, or the supervisor."""
        if role == "runner":
            os.kill(self.engine.holder_pid(), signal.SIGKILL)
            self.takeovers += 1
        elif role == "cluster":
            os.kill(self.engine.pids("cluster")[0], signal.SIGKILL)
        else:
            self.engine.process.kill()
            self.engine.process.wait()
            self.engine.start_again()

    def pause(self) -> None:
        """Stop the holder's process, let another take over, and let it go on."""
        holder, pid = Lease.objects.get().holder, self.engine.holder_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.engine.until(partial(is_held_by_another, than=holder), "another to hold the account")
            self.takeovers += 1
        finally:
            # The supervisor may have ended it meanwhile
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def restart_database(self) -> None:
        """Let the database die at once; whoever needs it starts it again."""
        dead = die_at_once(self.cluster)
        self.engine.until(partial(is_another, self.cluster, dead), "the database to be started again")

    def is_whole(self) -> bool:
        """Tell whether books and broker are equal and every outcome is known."""
        half_done = OrderIntent.objects.filter(state__in=("planned", "claimed", "sent", "unknown")).exists()
        return not half_done and self.engine.compare(TradingAccount.objects.get().pk).equal

    def has_traded_since(self, newest: int) -> bool:
        """Tell whether a request that is newer was answered."""
        answered = OrderIntent.objects.filter(state__in=("filled", "accepted", "adopted"))
        return answered.filter(pk__gt=newest).exists()


def test_soak(site_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {k: v for k, v in site_environment.items() if k != "DATABASE_URL"}
    engine = Engine({**environment, "TRADING_MAX_RESTARTS": "100"})
    soak = Soak(engine, Cluster(engine.folder / "postgres"))
    roles = ("runner", "runner", "cluster", "supervisor")
    todo: list[tuple[str, Callable[[], None]]] = [
        *((f"kill {role}", partial(soak.kill, role)) for role in (roles[n % len(roles)] for n in range(KILLS))),
        *[("pause", soak.pause)] * PAUSES,
        *[("database restart", soak.restart_database)] * DATABASE_RESTARTS,
    ]
    seed = random.SystemRandom().randrange(10**9)
    random.Random(seed).shuffle(todo)
    clock, done = SystemClock(), Counter[str]()
    equal: list[float] = []
    trading: list[float] = []
    try:
        engine.until(soak.cluster.answers, "the database")
        with connected_to(soak.cluster, monkeypatch):
            engine.until_it_trades_on()
            engine.until(OrderIntent.objects.exists, "a first request")
            for name, do in todo:
                newest = OrderIntent.objects.order_by("-id").values_list("id", flat=True)[0]
                began = clock.ticks()
                do()
                engine.until(soak.is_whole, f"equal books after {name}")
                equal.append(clock.ticks() - began)
                engine.until(partial(soak.has_traded_since, newest), f"a new request after {name}")
                trading.append(clock.ticks() - began)
                done[name] += 1
            sent = OrderIntent.objects.filter(sent_at__isnull=False).count()
            engine.interrupt()
            soak.cluster.ensure_running()
            assert_whole(TradingAccount.objects.get())
    finally:
        engine.close()
        soak.cluster.stop()
    report = {
        "seed": seed, "done": done, "orders sent": sent, "takeovers": soak.takeovers, "violations": 0,
        "seconds to equal books": shares(equal), "seconds to a new request": shares(trading),
    }  # fmt: skip
    print(f"\n{json.dumps(report)}")


def shares(samples: list[float]) -> dict[str, float]:
    return {f"p{share * 100:g}": round(percentile(sorted(samples), share), 1) for share in (0.5, 0.99)}
