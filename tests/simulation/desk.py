"""One account in virtual time: the real services on PostgreSQL, a simulated terminal, and what may go wrong."""

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import OperationalError, connection
from django.test.utils import override_settings

from accounts.models import TradingAccount, User
from accounts.services import create_account, set_desired_state
from brokers.factory import open_gateway
from brokers.gateway import BrokerError
from brokers.simulator.account import HEDGING, NETTING, AccountSpec, demo_symbols
from brokers.simulator.account import create_account as create_terminal
from brokers.simulator.faults import Faults
from brokers.simulator.feed import FeedSpec
from brokers.simulator.terminal import SimulatedTerminal
from brokers.simulator.truth import Truth, read_truth
from core import crashpoints
from core.clock import VirtualClock
from core.ids import SeededIds
from engine.lease import HeldLease
from engine.models import Lease
from engine.session import AccountSession
from orders.gate import LeaseLost
from strategies.models import Bot
from strategies.services import create_bot
from tests.simulation.scenario import Scenario
from tests.simulation.witness import Witness
from tests.world import START

LOGIN, PASSWORD, SERVER = 7001, "pw", "Sim-Server"
STEP_SECONDS = 0.05
DOWN_SECONDS = 3.0
RESTART_SECONDS = 2.0
# Intervals of jobs are stretched, so that a simulated second costs less; what is due stays due in the same order
INTERVALS = {
    "lease": 5.0,
    "commands": 10.0,
    "realtime": 2.0,
    "orders": 3.0,
    "cycles": 5.0,
    "guards": 6.0,
    "trade": 3.0,
    "copying": 60.0,
    "signals": 60.0,
    "projection": 20.0,
    "winding down": 10.0,
    "state": 10.0,
    "reconciliation": 20.0,
}  # fmt: skip


@contextmanager
def quiet_log() -> Iterator[None]:
    """Keep the product's log still: what goes wrong here is meant to."""
    log = logging.getLogger("trading")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


class Crash(BaseException):
    """The process vanished at a crash point: no handler of the product may see it."""


class Desk:
    """Runs one scenario. `violations` are what the witness saw; `reached` counts the crash points passed."""

    def __init__(self, scenario: Scenario, folder: Path, intervals: Mapping[str, float] = INTERVALS) -> None:
        self.scenario = scenario
        self._intervals = intervals
        self.clock = VirtualClock(START)
        self.ids = SeededIds(scenario.seed)
        self.state_file = folder / "terminal.sqlite"
        self.violations: list[str] = []
        self.history: list[str] = []
        self.reached: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.faults = Faults()
        self.session: AccountSession | None = None
        self.on_point: Callable[[str], None] | None = None
        self.on_gateway: Callable[[Any], None] | None = None
        self.is_database_down = False
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._queries_left: int | None = None
        self._start_at = 0.0
        self._eyes: psycopg.Connection[Any] | None = None
        mode = NETTING if scenario.is_netting else HEDGING
        spec = AccountSpec(LOGIN, PASSWORD, SERVER, balance=scenario.balance, margin_mode=mode)
        feed = FeedSpec.script({"EURUSD": list(scenario.ticks)}, anchor=START)
        create_terminal(self.state_file, spec, demo_symbols(), feed, clock=self.clock)
        self.account = self._account()
        for number, values in enumerate(scenario.bots):
            self.add_bot(f"Bot {number}", values)

    def _account(self) -> TradingAccount:
        self.account_owner = ada = User.objects.create(username="ada", is_staff=True)
        account = create_account(
            name="Sim", login=LOGIN, server=SERVER, terminal_path=str(self.state_file), at=START, by=ada,
            margin_mode="netting" if self.scenario.is_netting else "hedging",
        )  # fmt: skip
        set_desired_state(account=account, state="running", at=START, by=ada)
        return account

    def add_bot(self, name: str, values: dict[str, Any]) -> Bot:
        """Create a running CycleTrader, past the rule of one bot a symbol where positions are netted.

        Such a pair can come of the time before the rule: what keeps it safe must hold without it.
        """
        bot = create_bot(
            account=self.account, name=name, strategy="cycle-trader", symbols=("EURUSD",), values=values, at=START
        )
        Bot.objects.filter(pk=bot.pk).update(desired_state="running")
        return bot

    # The life of sessions

    @contextmanager
    def open(self) -> Iterator["Desk"]:
        """Listen to crash points and queries, with a database connection for the witness, while the block runs."""
        params = {k: v for k, v in connection.get_connection_params().items() if k in CONNECTION_KEYS}
        with (
            override_settings(VAR_DIR=self.state_file.parent),
            psycopg.connect(**params, autocommit=True) as self._eyes,
            crashpoints.rehearsed(self._point),
            connection.execute_wrapper(self._query),
        ):
            connection.ensure_connection()
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit TO off")
            try:
                yield self
            finally:
                self.forget_session()

    def make_session(self) -> AccountSession | None:
        """Take the lease and make a session; None while another holds the account."""
        lease = HeldLease.acquire(self.account.pk, f"sim:{self.ids.token(6)}", clock=self.clock)
        if lease is None:
            return None
        gateway: Any = open_gateway(
            "simulator", login=LOGIN, password=PASSWORD, server=SERVER, options={"path": str(self.state_file)},
            symbol_map={}, clock=self.clock,
        )  # fmt: skip
        gateway._terminal.faults = self.faults
        assert self._eyes is not None
        gateway._terminal = Witness(
            gateway._terminal, account_id=self.account.pk, fence=lease.token, eyes=self._eyes, tell=self.tell,
            count=self.figures,
        )  # fmt: skip
        if self.on_gateway is not None:
            self.on_gateway(gateway)
        session = AccountSession(
            self.account.pk, gateway=gateway, clock=self.clock, ids=self.ids, lease=lease, measure_skew=lambda: 0.0
        )
        for name, seconds in self._intervals.items():
            session.loop.jobs[name].interval_seconds = seconds
        return session

    def expire_lease(self) -> None:
        """Let the lease run out: the database's clock does not follow the virtual one."""
        Lease.objects.filter(account=self.account).update(expires_at=None)

    def forget_session(self) -> None:
        """Let the session vanish as SIGKILL would; only the file handle is given back."""
        if self.session is not None:
            self.session.gateway.close()
        self.session = None

    def kill(self) -> None:
        """Kill the engine; another takes over after the lease ran out."""
        self.figures["kills"] += 1
        self.forget_session()
        self.clock.advance(DOWN_SECONDS)
        self._start_at = self.clock.ticks()
        self.expire_lease()

    def start(self) -> bool:
        """Start a session as the account thread does; False when it has to be tried again later."""
        self._start_at = self.clock.ticks() + RESTART_SECONDS
        session = None
        try:
            session = self.make_session()
            if session is None:
                self.expire_lease()
                return False
            session.start()
        except Crash:
            self.session = session
            self.kill()
            return False
        except LeaseLost:
            return False
        except (BrokerError, Exception) as problem:  # noqa: BLE001 - the account thread tries again after any error
            self.note(f"start failed: {type(problem).__name__}: {problem}")
            self.expire_lease()
            return False
        self.session = session
        self.figures["starts"] += 1
        return True

    def run_until(self, seconds: float) -> None:
        """Let the account trade until `seconds` after the start of the scenario."""
        while self.clock.ticks() < seconds:
            if self._agenda and self._agenda[0][0] <= self.clock.ticks():
                self._happen(heapq.heappop(self._agenda)[2])
                continue
            delay = self._step()
            next_event = self._agenda[0][0] if self._agenda else seconds
            left = min(next_event, seconds) - self.clock.ticks()
            self.clock.advance(max(min(max(delay, STEP_SECONDS), left + 1e-6), 1e-6))

    def _happen(self, do: Callable[[], None]) -> None:
        """Let something happen. Who meets a database that is away, as a person who wants to act, tries it again."""
        try:
            do()
        except OperationalError:
            if not self.is_database_down:
                raise
            self.note("the database is away: tried again later")
            self.after(5.0, do)

    def _step(self) -> float:
        if self.session is None:
            if self.clock.ticks() >= self._start_at and not self.is_database_down:
                self.start()
            return 0.5
        with self.mortal():
            return self.session.step()
        return 0.0

    @contextmanager
    def mortal(self) -> Iterator[None]:
        """Let the session die inside the block as an account's thread does; other errors end one job's pass only."""
        try:
            yield
        except Crash:
            self.kill()
        except LeaseLost:
            self.note("the lease was lost")
            self.forget_session()
        except Exception as problem:  # noqa: BLE001 - as a job's loop does
            self.note(f"{type(problem).__name__}: {problem}")

    # Things that happen

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen at a moment of the scenario."""
        heapq.heappush(self._agenda, (seconds, len(self._agenda) + self.figures["agenda"], do))
        self.figures["agenda"] += 1

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen so much later."""
        self.at(self.clock.ticks() + seconds, do)

    def end_faults(self) -> None:
        """End everything that goes wrong; what a delayed execution still holds is let go within the quiet time."""
        self.faults.armed.clear()
        self.faults.reconnect()
        self.faults.login_changed(None)
        self.faults.history_late(0.0)
        self.is_database_down = False
        self.on_point = None
        self._queries_left = None
        self._agenda.clear()

    def has_nothing_to_do(self) -> bool:
        """Tell whether a session runs, none of its jobs failed at last, and the broker holds no execution back."""
        if self.session is None or any(job.failures_in_a_row for job in self.session.loop.jobs.values()):
            return False
        gateway: Any = self.session.gateway
        return not gateway._terminal._exchange.state.meta["delayed"]

    def settle(self) -> None:
        """See to it that a session runs at the end of the quiet time."""
        if self.session is None:
            self.tell("P6: no session could be started")
        else:
            self.second_pass()

    def second_pass(self) -> None:
        """Compare books and broker once more, as a person may ask for."""
        if self.session is not None:
            self.session.orders.force_order_sync()
            self.session.cycles.run()
            self.session.cycles.validate()

    def tell(self, violation: str) -> None:
        """Keep a broken promise."""
        self.violations.append(f"{self.clock.ticks():.2f} s {violation}")

    def note(self, text: str) -> None:
        """Keep a line of the history."""
        self.history.append(f"{self.clock.ticks():8.2f} s  {text}")

    def by_hand(self) -> SimulatedTerminal:
        """Return a second terminal on the account, as a person at the broker would use it."""
        terminal = SimulatedTerminal(self.state_file, clock=self.clock)
        assert terminal.initialize(login=LOGIN, password=PASSWORD)
        return terminal

    def fail_query(self, number: int) -> None:
        """Let the n-th query from now on fail."""
        self._queries_left = number

    def _query(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.is_database_down:
            raise OperationalError("the database is away (simulated)")
        if self._queries_left is not None and crashpoints.is_rehearsed():
            self._queries_left -= 1
            if self._queries_left < 0:
                self._queries_left = None
                raise OperationalError("the query failed (simulated)")
        return execute(sql, params, many, context)

    def _point(self, name: str) -> None:
        self.reached[name] += 1
        if self.on_point is not None:
            self.on_point(name)

    @property
    def truth(self) -> Truth:
        """What the broker has."""
        return read_truth(self.state_file)


CONNECTION_KEYS = ("dbname", "user", "password", "host", "port")
