"""The thread that runs one account: it makes the session, lets it step, and starts it anew when something broke."""

import logging
import threading
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from django.db import DatabaseError, connection
from structlog.contextvars import bound_contextvars

from accounts.credentials import CredentialError
from accounts.models import DesiredState, TradingAccount
from accounts.selectors import desired_state_of
from brokers.gateway import BrokerError
from brokers.sendjournal import SendJournal
from core.clock import Clock
from core.ids import Ids
from engine.database import replace_broken
from engine.gate import SendGate
from engine.lease import HeldLease
from engine.models import EngineState
from engine.opening import gateway_of
from engine.performance import database_skew
from engine.session import AccountSession
from engine.state import show_failure, write_state
from engine.turnstile import Turnstile
from orders.gate import LeaseLost

log = logging.getLogger("trading.engine")

LONGEST_NAP_SECONDS = 1.0
RESTART_PAUSE_SECONDS = 2.0
RESTART_PAUSE_LONGEST = 60.0
STARTING_SECONDS = 10.0


class AccountThread(threading.Thread):
    """Runs one account under a lease until told to stop, the account is stopped, or the lease is lost."""

    def __init__(
        self,
        account_id: int,
        lease: HeldLease,
        *,
        clock: Clock,
        ids: Ids,
        var_dir: Path,
        turnstile: Turnstile | None = None,
    ) -> None:
        """With a turnstile, the session works when its turn comes: for brokers that answer at once."""
        super().__init__(name=f"account-{account_id}", daemon=True)
        self.account_id = account_id
        self._turnstile = turnstile
        self._made_at = clock.ticks()
        self.restarts = 0
        # Since when the present step runs, by the monotonic clock; None between two steps
        self.stepping_since: float | None = None
        self._lease = lease
        self._clock = clock
        self._ids = ids
        self._var_dir = var_dir
        self._told_to_stop = threading.Event()
        self._woken = threading.Event()
        self._session: AccountSession | None = None

    @property
    def is_starting(self) -> bool:
        """Whether the first session is being started, and not for so long that something must be in its way."""
        is_new = self._clock.ticks() - self._made_at < STARTING_SECONDS
        return is_new and self._session is None and self.restarts == 0 and not self._told_to_stop.is_set()

    def wake(self) -> None:
        """Let the session look at its inbox at once."""
        if self._session is not None:
            self._session.wake()
        self._woken.set()

    def stop(self) -> None:
        """Ask the thread to end its session in order."""
        self._told_to_stop.set()
        self._woken.set()

    def run(self) -> None:
        try:
            with bound_contextvars(account=self.account_id):
                self._serve()
        except LeaseLost as lost:
            log.warning("account %s: %s; this engine lets go of it", self.account_id, lost)
        finally:
            try:
                self._lease.release()
            except DatabaseError:
                log.warning("account %s: the lease runs out by itself, the database is away", self.account_id)
            connection.close()

    def _serve(self) -> None:
        """Run sessions one after the other, with a growing pause after each that failed. Raises LeaseLost."""
        pause = RESTART_PAUSE_SECONDS
        while not self._is_over():
            try:
                self._session = None
                with nullcontext() if self._turnstile is None else self._turnstile.turn():
                    session = self._make_session()
                    session.start()
                self._session = session
                pause = RESTART_PAUSE_SECONDS
                try:
                    self._step_until_over(session)
                finally:
                    session.gateway.close()
                return
            except LeaseLost:
                raise
            except (BrokerError, CredentialError) as problem:
                log.warning("account %s: %s", self.account_id, problem)
                self._show(str(problem))
            except Exception as problem:
                log.exception("account %s: the session broke", self.account_id)
                self._show(f"{type(problem).__name__}: {problem}")
            self.restarts += 1
            self._wait(pause)
            pause = min(RESTART_PAUSE_LONGEST, pause * 2)
        write_state(self._gate(), {"status": EngineState.Status.STOPPED, "error_message": ""}, at=self._clock.now())

    def _make_session(self) -> AccountSession:
        gateway = gateway_of(TradingAccount.objects.get(pk=self.account_id), self._clock)
        return AccountSession(
            self.account_id,
            gateway=gateway,
            clock=self._clock,
            ids=self._ids,
            lease=self._lease,
            measure_skew=partial(database_skew, self._clock),
        )

    def _step_until_over(self, session: AccountSession) -> None:
        looked_at = self._clock.ticks()
        while True:
            with nullcontext() if self._turnstile is None else self._turnstile.turn():
                self.stepping_since = self._clock.ticks()
                delay = session.step()
                self.stepping_since = None
            replace_broken()
            asked = self._woken.wait(min(delay, LONGEST_NAP_SECONDS))
            self._woken.clear()
            if asked or self._clock.ticks() - looked_at >= LONGEST_NAP_SECONDS:
                looked_at = self._clock.ticks()
                if self._is_over():
                    session.stop()
                    return

    def _is_over(self) -> bool:
        """Tell whether to stop: told so, or the account shall not run. An unreachable database changes nothing."""
        if self._told_to_stop.is_set():
            return True
        try:
            wanted = desired_state_of(self.account_id)
        except DatabaseError:
            return False
        return wanted in (None, DesiredState.STOPPED)

    def _wait(self, seconds: float) -> None:
        """Wait, holding the lease: another engine would meet the same trouble. Raises LeaseLost."""
        until = self._clock.ticks() + seconds
        while (left := until - self._clock.ticks()) > 0 and not self._is_over():
            try:
                self._lease.renew()
            except DatabaseError:
                replace_broken()
            self._woken.wait(min(left, RESTART_PAUSE_SECONDS))
            self._woken.clear()

    def _show(self, message: str) -> None:
        """Let the pages say why the account is not traded."""
        try:
            show_failure(self._gate(), message, at=self._clock.now())
        except DatabaseError:
            replace_broken()

    def _gate(self) -> SendGate:
        journal = SendJournal(self._var_dir / "journal" / f"account-{self.account_id}")
        return SendGate(self._lease, journal, self._clock)
