"""One account's session: a single-threaded machine that is handed clock, gateway, ids and lease (design.md §3)."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.models import DesiredState, WindingDown
from accounts.selectors import account_of
from accounts.services import set_desired_state
from brokers.doctor import Check, Grade, worst
from brokers.gateway import BrokerError, Gateway
from brokers.sendjournal import SendJournal
from core.clock import Clock
from core.ids import Ids
from cycles.manager import CyclesManager
from cycles.selectors import has_open_business, open_business
from engine.closing import AutoClose
from engine.commands import run_commands
from engine.copying import COPYING_SECONDS, Copier
from engine.doctor import examine_account
from engine.gate import SendGate
from engine.guarding import Guards
from engine.jobs import IDLE, Job, JobLoop
from engine.models import EngineState
from engine.opening import market_of
from engine.performance import Monitor, Stages
from engine.projecting import Projector
from engine.realtime import Realtime
from engine.reporting import Reporter
from engine.restarting import FLATTEN, follow_policy, held_bots, report_of
from engine.signals import PASS_SECONDS
from engine.startup import StartUp, forced_symbols, load_market
from engine.state import show_failure
from engine.trading import Trader
from engine.turns import LOOK_SECONDS
from events.services import record
from orders.gate import LeaseLost, fenced
from orders.manager import OrdersManager
from orders.selectors import known_orders
from orders.services import end_interrupted
from reconciliation.manager import Reconciler
from reconciliation.slots import slot
from risk.services import lift_cause, raise_block

log = logging.getLogger("trading.engine")

START_UP = "startup"
# NOTIFY wakes the session at once; that a message was lost, while the listener connected anew, is noticed so late
INBOX_SECONDS = 1.0
CLOCK_LOOK_SECONDS = 10.0
PROJECTION_SECONDS = 5.0
DOCTOR_SECONDS = 3600.0
DOCTOR_BLOCKED_SECONDS = 60.0
# A pass that books a closure can leave something for the next, which the close of a cycle brings with it
LAST_LOOKS = 3


class AccountSession:
    """Everything that happens on one account. `step()` runs what is due and returns; nothing here starts a thread."""

    def __init__(
        self,
        account_id: int,
        *,
        gateway: Gateway,
        clock: Clock,
        ids: Ids,
        lease: Any,
        measure_skew: Callable[[], float] | None = None,
    ) -> None:
        self.account_id = account_id
        self.gateway = gateway
        self.clock = clock
        self.ids = ids
        self.lease = lease
        journal = SendJournal(Path(settings.VAR_DIR) / "journal" / f"account-{account_id}")
        self.gate = SendGate(lease, journal, clock)
        self.market = market_of(account_id, gateway, clock)
        self.orders = OrdersManager(gateway=gateway, gate=self.gate, clock=clock)
        self.cycles = CyclesManager(gate=self.gate, clock=clock, orders_manager=self.orders)
        stages = Stages(time.perf_counter)
        self.reconciler = Reconciler(gateway=gateway, gate=self.gate, clock=clock, orders_manager=self.orders)
        closer = AutoClose(
            gateway=gateway, gate=self.gate, clock=clock, ids=ids, may_go_on=lambda: lease.margin_seconds() > 0
        )
        self.guards = Guards(gate=self.gate, market=self.market, clock=clock, orders=self.orders, closer=closer)
        self.trader = Trader(
            account_id=account_id, gateway=gateway, gate=self.gate, market=self.market, clock=clock, ids=ids,
            stages=stages, guards=self.guards,
        )  # fmt: skip
        self.signals = self.trader.signals
        self.projector = Projector(trader=self.trader, guards=self.guards, orders=self.orders, clock=clock)
        self.trader.worst_case = self.projector.objection
        self.realtime = Realtime(trader=self.trader, market=self.market, gate=self.gate, clock=clock)
        self.copier = Copier(self)
        self.reporter = Reporter(self)
        self.loop = JobLoop(self._jobs(), clock=clock, ids=ids, timer=time.perf_counter)
        self.monitor = Monitor(timer=time.perf_counter, stages=stages)
        self.startup = StartUp(clock=clock, show=self._show_start)
        self._measure_skew = measure_skew
        self._woken = False

    def _jobs(self) -> list[Job]:
        return [
            Job("lease", 2.0, self.lease.renew, backoff_longest=1.0),
            Job("commands", INBOX_SECONDS, self._commands),
            Job("realtime", 0.3, self._realtime),
            Job("orders", settings.ORDERS_INTERVAL, self._orders),
            Job("cycles", settings.CYCLES_INTERVAL, self.cycles.run),
            Job("guards", 1.0, self._guards, backoff_longest=2.0),
            Job("trade", settings.UPDATE_INTERVAL, self._trade),
            Job("copying", COPYING_SECONDS, self.copier.run),
            Job("signals", PASS_SECONDS, self._signals),
            Job("projection", PROJECTION_SECONDS, self.projector.run),
            Job("clock", CLOCK_LOOK_SECONDS, self._clock_skew),
            Job("winding down", 1.0, self._wind_down),
            Job("state", 1.0, self.reporter.state),
            Job("reconciliation", settings.RECONCILIATION_INTERVAL, self._compare),
            Job("integrity", settings.VALIDATION_INTERVAL, self.cycles.validate),
            Job("heartbeat", settings.HEARTBEAT_INTERVAL, self.reporter.heartbeat),
            Job("doctor", DOCTOR_SECONDS, self.examine),
        ]

    def start(self) -> None:
        """Connect, end what an earlier holder left half done, and make the books equal the broker before any entry.

        Raises BrokerError with what to do when the terminal can't be reached or the login is refused; LeaseLost.
        """
        try:
            self.gateway.connect(self.lease.token)
            self._reconcile()
        except BrokerError as problem:
            self.gateway.close()
            show_failure(self.gate, str(problem), at=self.clock.now())
            raise
        except BaseException:
            self.gateway.close()
            raise

    def _reconcile(self) -> None:
        at = self.clock.now()
        self.reporter.write(status=EngineState.Status.STARTING, error_message="")
        with fenced(self.gate):
            raise_block(
                account_id=self.account_id,
                cause=START_UP,
                reason="the books are not compared with the broker yet",
                at=at,
                level="info",
            )
        with self.startup.phase("settings"):
            main = sorted({s for bot in self.trader.bots() for s in bot.symbols})
            forced = forced_symbols(self.account_id)
        with self.startup.phase("examination"):
            self.examine()
        before, busy = known_orders(self.account_id), open_business(self.account_id)
        with self.startup.phase("books"):
            end_interrupted(self.gate, at=at)
            self.orders.force_order_sync()
            self.cycles.run()
            self.cycles.validate()
            self.reconciler.run()
            self._guards_first()
        found = report_of(self.account_id, before, self.market)
        follow_policy(self.gate, found, busy=busy, at=self.clock.now())
        with fenced(self.gate):
            lift_cause(
                account_id=self.account_id, cause=START_UP, why="the books equal the broker", at=self.clock.now()
            )
            record(kind="ENGINE_STARTED", text="Trading engine runs this account.", account_id=self.account_id, at=at)
        loaded = load_market(self.startup, self.market, main=main, forced=forced, after_batch=self.lease.renew)
        self.reporter.write(status=self.reporter.running_or_paused(), error_message="", prehistoric_data_loaded=loaded)

    def examine(self) -> tuple[Check, ...]:
        """Let the doctor look at the account; again each minute while something blocks. Raises ReadError, LeaseLost."""
        checks = examine_account(self.gateway, self.gate, at=self.clock.now())
        is_blocked = worst(checks) is Grade.BLOCK
        self.loop.jobs["doctor"].interval_seconds = DOCTOR_BLOCKED_SECONDS if is_blocked else DOCTOR_SECONDS
        return checks

    def step(self) -> float:
        """Run every job that is due; return the seconds until the next one is. Raises LeaseLost."""
        if self._woken:
            self._woken = False
            self.loop.hurry("commands")
        with connection.execute_wrapper(self.monitor.queries):
            return self.loop.run_due()

    def wake(self) -> None:
        """Let the next step look at the command inbox first; may be called from another thread."""
        self._woken = True

    def stop(self) -> None:
        """Say that the account is stopped, and let go of the terminal; positions stay as they are."""
        try:
            self._look_last()
            self.signals.store_all()
            self.market.close()
            self.reporter.write(status=EngineState.Status.STOPPED, error_message="")
            with fenced(self.gate):
                record(
                    kind="ENGINE_STOPPED",
                    text="Trading engine let go of this account.",
                    account_id=self.account_id,
                    at=self.clock.now(),
                )
        except LeaseLost:
            log.info("account %s: another engine holds it already", self.account_id)
        finally:
            self.gateway.close()

    def _look_last(self) -> None:
        """Book what happened since the last pass: from now on nobody looks until the account is run again."""
        try:
            for _ in range(LAST_LOOKS):
                if self.orders.force_order_sync().findings.nothing:
                    return
        except BrokerError as problem:
            log.warning("account %s: the broker was not asked once more before the stop: %s", self.account_id, problem)

    def statistics(self) -> dict[str, Any]:
        """Return job, order and cycle statistics and why bots did not act; the pages and the API show them."""
        return self.reporter.statistics()

    def _commands(self) -> None:
        run_commands(self)

    def _realtime(self) -> None:
        if self.realtime.run():
            self.loop.hurry("orders")

    def _orders(self) -> None:
        found = self.orders.run()
        if found.cycles or not found.findings.nothing:
            self.loop.hurry("cycles")
            self.loop.hurry("trade")

    def _compare(self) -> object:
        """Reconcile, unless as many accounts as may do it at once on this host are at it."""
        with slot(settings.RECONCILIATION_AT_ONCE) as is_free:
            if not is_free:
                return IDLE
            self.reconciler.run()
        return None

    def _guards_first(self) -> None:
        """Let the guards look before anything trades; one that fails has forbidden entries, and exits go on."""
        try:
            self.guards.run()
        except LeaseLost:
            raise
        except Exception:
            log.exception("account %s: the guards failed at the start", self.account_id)

    def _guards(self) -> None:
        if self.guards.run():
            self.loop.hurry("orders")

    def _signals(self) -> object:
        """Follow the candles; while no bot follows any, look only now and then, so that the thread may sleep."""
        self.loop.jobs["signals"].interval_seconds = PASS_SECONDS if self.trader.followed else LOOK_SECONDS
        return self.signals.run(self.trader.followed)

    def _trade(self) -> object:
        sent = self.trader.run() if self.trader.turns.is_due else None
        self.loop.jobs["trade"].interval_seconds = max(settings.UPDATE_INTERVAL, self.trader.turns.seconds_left)
        if sent:
            self.loop.hurry("orders")
        return IDLE if sent is None else None

    def _wind_down(self) -> object:
        """Bring an account that shall come to a stop there: close what is open when asked to, and stop when flat."""
        account = account_of(self.account_id)
        if (held := held_bots(self.account_id, FLATTEN)) and self.trader.close_all("restart policy", only=held):
            self.loop.hurry("orders")
        if not account.winding_down:
            return IDLE
        if account.winding_down == WindingDown.CLOSE and self.trader.close_all("the account is stopped"):
            self.loop.hurry("orders")
        if has_open_business(self.account_id):
            return None
        with fenced(self.gate):
            set_desired_state(account=account, state=DesiredState.STOPPED, at=self.clock.now())
        return None

    def _clock_skew(self) -> None:
        """Compare the host's clock with the database's."""
        if self._measure_skew is not None:
            skew = self.monitor.clock_skew = self._measure_skew()
            self.reporter.clock_skew(skew)

    def _show_start(self, phases: list[dict[str, Any]]) -> None:
        self.reporter.write(statistics={"start_up": phases})
