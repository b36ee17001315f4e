"""What a session shows of itself: its state row, health, figures, heartbeat, and how its prices come."""

from typing import TYPE_CHECKING, Any

from accounts.models import DesiredState
from accounts.selectors import desired_state_of
from accounts.services import note_server_offset
from accounts.snapshots import take_snapshot
from brokers.gateway import ClockOffset
from engine.domain import CLOCK_SECONDS, Component, Health, judge_clock, worst
from engine.models import EngineState
from engine.performance import judge_feed
from engine.state import write_state
from events.services import record
from orders.gate import fenced
from reconciliation.services.ledger import note_check
from risk.services import lift_cause, raise_block

if TYPE_CHECKING:
    from engine.session import AccountSession

CIRCUIT = "circuit"
CLOCK = "clock"
# Figures are written this often, and at once when the health changes
FIGURES_SECONDS = 5.0


class Reporter:
    """Writes what pages, API and people read about one session. The session owns it."""

    def __init__(self, session: "AccountSession") -> None:
        self._session = session
        self._gate = session.gate
        self._clock = session.clock
        self._figures_at: float | None = None
        self._shown_health: Health | None = None
        self._server_clock: ClockOffset | None = None
        self._noted: dict[str, Any] = {}
        self._had_fallen_back = False
        self._were_broken: bool | None = None

    def write(self, **fields: Any) -> None:
        """Write the account's state row. Raises LeaseLost."""
        write_state(self._gate, fields, at=self._clock.now())

    def running_or_paused(self) -> str:
        """Return the status of a session that works."""
        wanted = desired_state_of(self._gate.account_id)
        return EngineState.Status.PAUSED if wanted == DesiredState.PAUSED else EngineState.Status.RUNNING

    def components(self) -> tuple[Component, ...]:
        """Judge each part of the session."""
        feed = judge_feed(self._session.market.feed())
        return (*self._session.monitor.components(self._session.loop.jobs), *((feed,) if feed is not None else ()))

    def health(self) -> Health:
        """Return how the worst part of the session is."""
        return worst(self.components())

    def statistics(self) -> dict[str, Any]:
        """Return job, order and cycle statistics and why bots did not act; the pages and the API show them."""
        session = self._session
        return {
            "jobs": {name: job.statistics() for name, job in session.loop.jobs.items()},
            **session.monitor.figures(),
            "prices": session.market.feed().as_json(),
            "start_up": session.startup.as_json(),
            "components": [component.as_json() for component in self.components()],
            "orders": session.orders.get_order_statistics(),
            "cycles": session.cycles.get_cycle_statistics(),
            "reconciliation": session.reconciler.status(),
            "sent": session.trader.sent,
            "refusals": {
                f"{i.bot_id}:{i.symbol}": [f"{r.code}: {r.detail}" for r in a.decision.refusals]
                + [f"{v.code}: {v.detail}" for v in a.vetoes]
                for i, a in session.trader.asked.items()
            },
        }

    def clock_skew(self, skew: float) -> None:
        """Hold back entries while the host's clock is 10 s away from the database's. Raises LeaseLost."""
        reason, at = f"the host's clock is {judge_clock(skew).reason}", self._clock.now()
        account_id = self._gate.account_id
        with fenced(self._gate):
            if abs(skew) >= CLOCK_SECONDS.bad:
                raise_block(account_id=account_id, cause=CLOCK, reason=reason, at=at)
            else:
                lift_cause(account_id=account_id, cause=CLOCK, why="the host's clock is right again", at=at)

    def state(self) -> None:
        """Show state and health, and stop entries while a job's circuit is open. Raises LeaseLost."""
        session, at = self._session, self._clock.now()
        broken = sorted(f"{job.name}: {job.last_error}" for job in session.loop.jobs.values() if job.circuit_open)
        # None at first: an earlier session may have left its block
        if broken or self._were_broken is not False:
            with fenced(self._gate):
                if broken:
                    raise_block(account_id=session.account_id, cause=CIRCUIT, reason="; ".join(broken), at=at)
                else:
                    lift_cause(account_id=session.account_id, cause=CIRCUIT, why="every job works again", at=at)
        self._were_broken = bool(broken)
        self._follow_server_clock()
        self._tell_feed()
        self._note_check()
        last = session.orders.last
        self.write(
            status=self.running_or_paused(),
            error_message="",
            active_positions_count=len(last.book.positions) if last is not None else 0,
            last_strategy_run=session.trader.ran_at,
            last_realtime_run=session.realtime.ran_at,
            last_indication_run=session.signals.ran_at,
            prehistoric_data_loaded=session.signals.loaded,
            **self._figures(),
        )

    def _follow_server_clock(self) -> None:
        """Keep the offset of the broker's clock, and tell when it changed (DST)."""
        clock = self._session.gateway.clock_offset()
        if clock is not None and clock != self._server_clock:
            with fenced(self._gate):
                note_server_offset(account_id=self._gate.account_id, clock=clock, at=self._clock.now())
            self._server_clock = clock

    def _tell_feed(self) -> None:
        """Say when prices are asked for because the stream is silent, and when they come by themselves again."""
        feed = self._session.market.feed()
        if feed.stream is None or feed.has_fallen_back == self._had_fallen_back:
            return
        self._had_fallen_back = feed.has_fallen_back
        text = (
            f"The price stream is silent, prices are asked for: {feed.stream.last_error or 'nothing came for 10 s'}"
            if feed.has_fallen_back
            else "The price stream works again."
        )
        level = "warning" if feed.has_fallen_back else "info"
        with fenced(self._gate):
            record(kind="PRICE_STREAM", level=level, text=text, account_id=self._gate.account_id, at=self._clock.now())

    def _figures(self) -> dict[str, Any]:
        """Return health and figures when they are due to be written; the figures are large, so not in each pass."""
        health, ticks = self.health(), self._clock.ticks()
        due = self._figures_at is None or ticks - self._figures_at >= FIGURES_SECONDS
        if not due and health is self._shown_health:
            return {}
        self._figures_at, self._shown_health = ticks, health
        return {"manager_health_status": health, "statistics": self.statistics()}

    def _note_check(self) -> None:
        """Keep when the account was last reconciled, once a pass: a quiet pass itself writes nothing."""
        reconciler = self._session.reconciler
        status = reconciler.status()
        if status == self._noted:
            return
        with fenced(self._gate):
            note_check(self._gate.account_id, at=reconciler.checked_at, error=reconciler.last_error, statistics=status)
        self._noted = status

    def heartbeat(self) -> None:
        """Write the account's worth down and report the system's health (S0: SYSTEM_HEALTH, S1: HEARTBEAT)."""
        orders = self._session.orders
        if orders.last is None:
            return
        at, counted = self._clock.now(), orders.statistics
        with fenced(self._gate):
            take_snapshot(self._gate.account_id, orders.last.book, at=at)
            record(
                kind="SYSTEM_HEALTH",
                level="debug",
                text=f"{self.health()}: {len(orders.last.book.positions)} positions, "
                f"{counted.total_syncs} syncs, {counted.total_errors} errors",
                account_id=self._gate.account_id,
                at=at,
            )
