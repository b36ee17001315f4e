"""What people and programs may ask a running session for, through the inbox."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brokers.doctor import Grade
from cycles.integrity import CHECKS
from cycles.requests import CLOSE_CYCLE
from engine.byhand import change_stops, close_cycle, close_order
from engine.followsignal import follow_signal
from engine.settling import settle_divergence
from events.selectors import waiting_commands
from events.services import finish_command
from marketdata.bars import BARS, TIMEFRAMES
from marketdata.services import CANDLES_COMMAND
from orders.gate import LeaseLost, fenced
from orders.requests import CHANGE_STOPS, CLOSE_ORDER
from reconciliation.services.settling import SETTLE_COMMAND
from signals.services import FOLLOW

if TYPE_CHECKING:
    from engine.session import AccountSession

Args = dict[str, Any]


def force_order_sync(session: "AccountSession", args: Args) -> str:
    """Compare books and broker now, with the whole recent ledger."""
    session.orders.force_order_sync()
    counted = session.orders.statistics
    return f"{counted.mt5_orders_count} at the broker, {counted.db_orders_count} in the books"


def validate_cycles(session: "AccountSession", args: Args) -> str:
    """Check and repair the relations of cycles and orders now."""
    return f"{session.cycles.validate()} repaired"


def integrity(session: "AccountSession", args: Args) -> str:
    """Run integrity checks by name (all without names), with `fix` repairing; returns what was found as JSON."""
    names = args.get("checks") or list(CHECKS)
    unknown = sorted(set(names) - set(CHECKS))
    if unknown:
        raise ValueError(f"checks: there is no {', '.join(unknown)}; known: {', '.join(CHECKS)}")
    return json.dumps(session.cycles.examine(names, fix=bool(args.get("fix"))).as_json())


def examine(session: "AccountSession", args: Args) -> str:
    """Let the doctor look at the account now."""
    checks = session.examine()
    counts = {grade: sum(check.grade is grade for check in checks) for grade in Grade}
    return ", ".join(f"{count} {grade}" for grade, count in counts.items())


def order_statistics(session: "AccountSession", args: Args) -> str:
    """Return S0's order statistics as JSON."""
    return json.dumps(session.orders.get_order_statistics())


def cycle_statistics(session: "AccountSession", args: Args) -> str:
    """Return S0's cycle statistics as JSON."""
    return json.dumps(session.cycles.get_cycle_statistics())


def state_changed(session: "AccountSession", args: Args) -> str:
    """Look at the desired state at once."""
    session.loop.hurry("state")
    session.loop.hurry("trade")
    return "seen"


def candles(session: "AccountSession", args: Args) -> str:
    """Keep the last candles of a symbol on disk, for charts; `seconds` is their length."""
    symbol, seconds = str(args.get("symbol", "")), args.get("seconds")
    if seconds not in TIMEFRAMES:
        raise ValueError(f"seconds: give one of {', '.join(map(str, TIMEFRAMES))}")
    return f"{session.market.keep_candles(symbol, seconds, BARS)} new"


def reconcile(session: "AccountSession", args: Args) -> str:
    """Compare books and broker now and write what diverges; `dry_run` only looks. Returns what was seen as JSON."""
    return json.dumps(session.reconciler.run(dry_run=bool(args.get("dry_run"))).as_json())


COMMANDS: dict[str, Callable[["AccountSession", Args], str]] = {
    "force_order_sync": force_order_sync,
    "validate_cycles": validate_cycles,
    "get_order_statistics": order_statistics,
    "get_cycle_statistics": cycle_statistics,
    "state_changed": state_changed,
    "examine": examine,
    "integrity": integrity,
    "reconcile": reconcile,
    CANDLES_COMMAND: candles,
    SETTLE_COMMAND: settle_divergence,
    FOLLOW: follow_signal,
    CLOSE_CYCLE: close_cycle,
    CLOSE_ORDER: close_order,
    CHANGE_STOPS: change_stops,
}


def run_commands(session: "AccountSession") -> int:
    """Carry out what waits in the inbox, oldest first; a command that fails is answered with its error."""
    waiting = waiting_commands(session.account_id)
    for command in waiting:
        run = COMMANDS.get(command.kind)
        try:
            ok, result = (
                (True, run(session, command.args))
                if run
                else (False, f"unknown command {command.kind!r}; known: {', '.join(COMMANDS)}")
            )
        except LeaseLost:
            raise
        except Exception as problem:  # noqa: BLE001 - the asker gets the error, the session goes on
            ok, result = False, f"{type(problem).__name__}: {problem}"
        with fenced(session.gate):
            finish_command(command.pk, ok=ok, result=result, at=session.clock.now())
    return len(waiting)
