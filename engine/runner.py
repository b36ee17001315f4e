"""A runner: claims accounts by lease and runs each in a thread, until its supervisor asks it to stop."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import TradingAccount
from accounts.selectors import wanted_accounts
from brokers.factory import answers_at_once, needs_own_process
from core.clock import Clock
from core.ids import Ids
from engine.accountthread import AccountThread
from engine.database import replace_broken
from engine.lease import HeldLease
from engine.models import EngineProcess
from engine.registry import live_runner_count, process_name, register
from engine.turnstile import Turnstile
from events.live import COMMANDS_CHANNEL
from strategies.pseudo.sets import warm
from strategies.selectors import active_bots, follows_signals

log = logging.getLogger("trading.engine")

TICK_SECONDS = 0.5
# Whoever has its share takes another account only when nobody else took it for so long
OTHERS_FIRST_SECONDS = 2.0
# How much above its share a runner may stay, and how many accounts it hands over at a time
SURPLUS_SHARE = 0.1
HANDED_OVER_AT_ONCE = 5
# A lease waits 10 s for its session: no more accounts are begun at a time than are soon started
STARTING_AT_ONCE = 16
# Free accounts that are looked at in one tick, at least
MANY = 10
STOP_SECONDS = 5.0
STUCK_SECONDS = 60.0
RETIRE_SECONDS = 23 * 3600.0
CONNECTION_KEYS = ("dbname", "user", "password", "host", "port", "sslmode", "sslrootcert", "connect_timeout")


class Runner:
    """One process's accounts. `is_orphan` tells that the process that started this one is gone."""

    def __init__(self, *, clock: Clock, ids: Ids, token: str, labels: list[str], is_orphan: Callable[[], bool]) -> None:
        self.name = process_name("runner", token)
        self.labels = labels
        self.threads: dict[int, AccountThread] = {}
        self._clock = clock
        self._ids = ids
        self._is_orphan = is_orphan
        self._ears: psycopg.Connection[object] | None = None
        self._turnstile = Turnstile(clock)
        self._free_since: dict[int, float] = {}
        # Accounts that were handed over once: one that comes back has no other place, and stays
        self._handed_over: set[int] = set()
        # Accounts that no other runner could take, or none elsewhere
        self._settled: set[int] = set()

    def run(self) -> str:
        """Serve until asked to stop; return why it ended."""
        # Compiling takes seconds, the first time on a machine: longer than a lease may wait. Where no bot follows
        # signals, the compiler's 90 MB are not taken
        if any(follows_signals(bot) for bot in active_bots().select_related("config")):
            warm()
        registration = register(self.name, EngineProcess.Role.RUNNER, self.labels, self._clock.now())
        started = self._clock.ticks()
        why = ""
        while not why:
            try:
                asked = registration.beat(self._clock.now())
                self._reap()
                self._claim()
                why = "asked to stop" if asked else ""
            except DatabaseError as problem:
                log.warning("runner: the database is away, trying again: %s", problem)
                replace_broken()
            if self._is_orphan():
                why = "its cluster is gone"
            elif stuck := self._stuck():
                why = f"a call to the broker of account {stuck} does not return"
            elif self._clock.ticks() - started > RETIRE_SECONDS:
                why = "it is a day old"
            self._listen(TICK_SECONDS)
        self._end()
        try:
            registration.leave()
        except DatabaseError:
            log.warning("runner: its row stays behind, the database is away")
        return why

    def _claim(self) -> None:
        """Take free accounts: this runner's share at once, and one more each time while nobody else takes them."""
        wanted = wanted_accounts().filter(Q(placement="") | Q(placement__in=self.labels))
        total = wanted.count()
        share = math.ceil(total / max(1, live_runner_count(self._clock.now())))
        self._hand_over(share)
        free = wanted.exclude(pk__in=self.threads).filter(
            Q(lease__isnull=True) | Q(lease__expires_at__isnull=True) | Q(lease__expires_at__lt=Now())
        )
        now = self._clock.ticks()
        rows = list(free[: max(MANY, share)])
        self._free_since = {account.pk: self._free_since.get(account.pk, now) for account in rows}
        room = share - len(self.threads)
        left = [row for row in rows if now - self._free_since[row.pk] >= OTHERS_FIRST_SECONDS]
        starting = sum(thread.is_starting for thread in self.threads.values())
        for account in (rows[:room] if room > 0 else left[:1])[: max(0, STARTING_AT_ONCE - starting)]:
            self._take(account)

    def _hand_over(self, share: int) -> None:
        """Let other runners have what is above this one's share: a host that is new gets its own within seconds."""
        surplus = len(self.threads.keys() - self._handed_over) - share - max(1, int(share * SURPLUS_SHARE))
        movable = [pk for pk in reversed(self.threads) if pk not in self._handed_over | self._settled]
        for account_id in movable[: max(0, min(surplus, HANDED_OVER_AT_ONCE))]:
            log.info("account %s: handed over, others have room", account_id)
            self._handed_over.add(account_id)
            self.threads[account_id].stop()

    def _take(self, account: TradingAccount) -> None:
        alone = needs_own_process(account.terminal_kind)
        if alone and any(needs_own_process(kind) for kind in self._kinds()):
            return
        lease = HeldLease.acquire(account.pk, self.name, clock=self._clock)
        if lease is None:
            return
        log.info("account %s: taken, token %d", account.name, lease.token)
        thread = self.threads[account.pk] = AccountThread(
            account.pk, lease, clock=self._clock, ids=self._ids, var_dir=Path(settings.VAR_DIR),
            turnstile=self._turnstile if answers_at_once(account.terminal_kind) else None,
        )  # fmt: skip
        if alone or account.placement:
            self._settled.add(account.pk)
        thread.start()

    def _kinds(self) -> list[str]:
        running = TradingAccount.objects.filter(pk__in=self.threads).select_related("source")
        return [account.terminal_kind for account in running]

    def _stuck(self) -> int | None:
        """Return an account whose step takes so long that only the end of this process frees its terminal (F29)."""
        now = self._clock.ticks()
        return next(
            (
                account_id
                for account_id, thread in self.threads.items()
                if thread.stepping_since is not None and now - thread.stepping_since > STUCK_SECONDS
            ),
            None,
        )

    def _reap(self) -> None:
        """Forget the threads that ended."""
        for account_id in [a for a, thread in self.threads.items() if not thread.is_alive()]:
            del self.threads[account_id]

    def _end(self) -> None:
        for thread in self.threads.values():
            thread.stop()
        until = self._clock.ticks() + STOP_SECONDS
        for thread in self.threads.values():
            thread.join(max(0.0, until - self._clock.ticks()))
        if self._ears is not None:
            self._ears.close()

    def _listen(self, seconds: float) -> None:
        """Wait, and wake the accounts for which something was put into the inbox."""
        try:
            if self._ears is None or self._ears.closed:
                self._ears = _connect()
                self._ears.execute(f"LISTEN {COMMANDS_CHANNEL}")
            for notification in self._ears.notifies(timeout=seconds, stop_after=1):
                thread = self.threads.get(int(notification.payload)) if notification.payload.isdigit() else None
                if thread is not None:
                    thread.wake()
        except (psycopg.Error, OSError):
            self._ears = None
            self._clock.sleep(seconds)


def _connect() -> "psycopg.Connection[object]":
    given = connections["default"].get_connection_params()
    params = {key: given[key] for key in CONNECTION_KEYS if given.get(key)}
    return psycopg.connect(**params, autocommit=True, application_name="trading-inbox")


def orphan_watch() -> Callable[[], bool]:
    """Return a question: has the process that started this one ended since?"""
    parent = psutil.Process(os.getppid())
    return lambda: not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE
