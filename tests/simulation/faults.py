"""The faults by name: what each does to a desk, and which rows of the fault catalogue it stands for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import OperationalError, connection

from tests.simulation.desk import Crash, Desk
from tests.simulation.guardfaults import GUARD_FAULTS

READS = ("positions_get", "orders_get", "account_info", "history_deals_get", "history_orders_get", "symbol_info_tick")


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` takes a number in 0…1 from the seed, which says how long, how often or where."""

    ids: tuple[str, ...]
    begin: Callable[[Desk, float], None]


def _lost_after(desk: Desk, value: float) -> None:
    desk.faults.reply_lost_after_execution()


def _lost_before(desk: Desk, value: float) -> None:
    desk.faults.reply_lost_before_execution()


def _late(desk: Desk, value: float) -> None:
    desk.faults.delayed_execution(round(2 + 88 * value, 1))


def _requotes(desk: Desk, value: float) -> None:
    desk.faults.requote(1 + int(5 * value))


def _too_many(desk: Desk, value: float) -> None:
    desk.faults.too_many_requests(1 + int(5 * value))


def _disconnect(desk: Desk, value: float) -> None:
    desk.faults.disconnect()
    desk.after(1 + 40 * value, desk.faults.reconnect)


def _restart_terminal(desk: Desk, value: float) -> None:
    desk.faults.terminal_restart()


def _failed_read(desk: Desk, value: float) -> None:
    desk.faults.none_from(READS[int(value * len(READS))], 1 + int(value * 97) % 4)


def _other_login(desk: Desk, value: float) -> None:
    desk.faults.login_changed(666)
    desk.after(1 + 20 * value, partial(desk.faults.login_changed, None))


def _late_history(desk: Desk, value: float) -> None:
    desk.faults.history_late(2 + 38 * value)
    desk.after(30 + 40 * value, partial(desk.faults.history_late, 0.0))


def _hand(desk: Desk, value: float) -> None:
    """A person closes a position, closes a part of it, or opens one of their own."""
    hand = desk.by_hand()
    positions = hand.positions_get() or ()
    if value < 0.2 or not positions:
        hand.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.02, "type": int(value * 10) % 2, "magic": 999})
    else:
        chosen = positions[int(value * len(positions)) % len(positions)]
        half = round(chosen.volume / 2, 2) if value < 0.5 and chosen.volume >= 0.02 else chosen.volume
        hand.order_send(
            {"action": 1, "symbol": "EURUSD", "volume": half, "type": 1 - chosen.type, "position": chosen.ticket}
        )
    hand.shutdown()


def _kill(desk: Desk, value: float) -> None:
    """Kill the engine at one of the next crash points that it passes."""
    _at_point(desk, int(value * 60), _vanish)


def _kill_at_send(desk: Desk, value: float) -> None:
    """Kill the engine at a crash point of its next sends."""
    points = ("claim:uncommitted", "claim:committed", "sent:uncommitted", "sent:committed", "send:passed",
              "send:answered", "outcome:uncommitted", "outcome:committed")  # fmt: skip
    _at_named(desk, points[int(value * len(points))], _vanish)


def _commit_lost(desk: Desk, value: float) -> None:
    """Lose the connection during one of the next commits, before or after it took effect."""
    _at_point(desk, int(value * 60), _lose_connection)


def _query_fails(desk: Desk, value: float) -> None:
    desk.fail_query(int(value * 300))


def _database_down(desk: Desk, value: float) -> None:
    def up() -> None:
        desk.is_database_down = False

    desk.is_database_down = True
    desk.after(1 + 29 * value * value, up)


def _pause(desk: Desk, value: float) -> None:
    """Stop the process at one of the next crash points; another takes over, then the old one goes on."""
    _at_point(desk, int(value * 60), partial(sleep_and_wake, seconds=15 + 30 * value))


def sleep_and_wake(desk: Desk, name: str, *, seconds: float) -> None:
    """Let another engine work for a while in the middle of this one's step, then go on where it was."""
    if connection.in_atomic_block or name == "send:passed":
        # Within a transaction the lease row is locked against a change of holder, and past the gate the lock on the
        # terminal keeps a successor out; tests/processes shows both with real processes
        desk.on_point = partial(sleep_and_wake, desk, seconds=seconds)
        return
    desk.on_point = None
    sleeper = desk.session
    desk.note(f"paused at {name}")
    desk.figures["pauses"] += 1
    desk.session = None
    desk.expire_lease()
    desk.run_until(desk.clock.ticks() + seconds)
    desk.forget_session()
    desk.session = sleeper
    desk.figures["takeovers"] += 1


def _at_point(desk: Desk, number: int, do: Callable[[Desk, str], None]) -> None:
    left = [number]

    def hook(name: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            desk.on_point = None
            do(desk, name)

    desk.on_point = hook


def _at_named(desk: Desk, wanted: str, do: Callable[[Desk, str], None]) -> None:
    def hook(name: str) -> None:
        if name == wanted:
            desk.on_point = None
            do(desk, name)

    desk.on_point = hook


def _vanish(desk: Desk, name: str) -> None:
    desk.note(f"killed at {name}")
    raise Crash(name)


def _lose_connection(desk: Desk, name: str) -> None:
    desk.note(f"the connection was lost at {name}")
    raise OperationalError(f"the connection died at {name} (simulated)")


FAULTS: Mapping[str, Fault] = {
    "reply_lost_after": Fault(("F01",), _lost_after),
    "reply_lost_before": Fault(("F02",), _lost_before),
    "late_execution": Fault(("F03",), _late),
    "kill": Fault(("F04",), _kill),
    "kill_at_send": Fault(("F04", "F05"), _kill_at_send),
    "pause": Fault(("F06",), _pause),
    "database_down": Fault(("F09",), _database_down),
    "query_fails": Fault(("F09", "F11"), _query_fails),
    "commit_lost": Fault(("F10",), _commit_lost),
    "disconnect": Fault(("F12",), _disconnect),
    "restart_terminal": Fault(("F12", "F29"), _restart_terminal),
    "late_history": Fault(("F14", "F18"), _late_history),
    "failed_read": Fault(("F17",), _failed_read),
    "other_login": Fault(("F19",), _other_login),
    "by_hand": Fault(("F15", "F23"), _hand),
    "requotes": Fault(("F28",), _requotes),
    "too_many_requests": Fault(("F28",), _too_many),
    **{name: Fault((), begin) for name, begin in GUARD_FAULTS.items()},
}
