"""Faults by name: what a test, or a user's rehearsal, asks the terminal or the broker to do wrong; or by seed.

Some happen once, at the next occasion; some last until they are ended; some change the account at the broker for good,
and are in its state file afterwards.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brokers.simulator.chance import chance
from brokers.simulator.server_time import jumped

if TYPE_CHECKING:
    from brokers.simulator.exchange import Exchange

DELAY_SECONDS_MAX = 600.0
ONCE = (
    "reply_lost_after_execution",
    "reply_lost_before_execution",
    "delayed_execution",
    "requote",
    "too_many_requests",
    "terminal_restart",
    "ipc_timeout",
    "none_from",
)
LASTING = (
    "disconnect",
    "broker_disconnect",
    "trading_disabled",
    "login_changed",
    "history_late",
    "positions_late",
    "comment_cut",
    "comment_rewritten",
    "magic_lost",
    "requote_storm",
)
FOR_GOOD = ("clock_jump", "symbol_renamed", "volume_step_changed")
# How many calls a lasting fault that a seed chose goes on for
SEEDED_CALLS = 20
Change = Callable[["Exchange"], None]


@dataclass(slots=True)
class Schedule:
    """Faults by seed: at each call, with a probability of `share`, one of `names`."""

    seed: int
    share: float
    names: Sequence[str]
    calls: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Faults:
    """Named faults: each is a method. `NAMES` lists them all."""

    armed: Counter[str] = field(default_factory=Counter)
    connected: bool = True
    is_online: bool = True
    is_trading_disabled: bool = False
    login_shown: int | None = None
    delay_seconds: float = 0.0
    history_late_seconds: float = 0.0
    positions_late_seconds: float = 0.0
    comment_length: int | None = None
    comment_text: str | None = None
    is_magic_lost: bool = False
    storm_seconds: float = 0.0
    storm_until: float = 0.0
    changes: list[Change] = field(default_factory=list)
    schedule: Schedule | None = None

    NAMES = (*ONCE, *LASTING, *FOR_GOOD)

    def arm(self, name: str, times: int = 1) -> None:
        """Let something that happens once go wrong, so many times. Raises ValueError for an unknown name."""
        if name not in ONCE:
            raise ValueError(f"no fault {name!r} that happens once; known: {', '.join(ONCE)}")
        self.armed[name] += times

    # Once

    def reply_lost_after_execution(self, times: int = 1) -> None:
        """Execute the next request, but lose the answer."""
        self.arm("reply_lost_after_execution", times)

    def reply_lost_before_execution(self, times: int = 1) -> None:
        """Lose the next request on its way."""
        self.arm("reply_lost_before_execution", times)

    def delayed_execution(self, seconds: float, times: int = 1) -> None:
        """Lose the answer of the next request, and execute it so much later. Raises ValueError above 600 s."""
        if not 0 < seconds <= DELAY_SECONDS_MAX:
            raise ValueError(f"seconds: give a number above 0 and up to {DELAY_SECONDS_MAX:g}, not {seconds}")
        self.delay_seconds = seconds
        self.arm("delayed_execution", times)

    def requote(self, times: int = 1) -> None:
        """Answer the next market order with a requote."""
        self.arm("requote", times)

    def too_many_requests(self, times: int = 1) -> None:
        """Refuse the next requests because there were too many."""
        self.arm("too_many_requests", times)

    def terminal_restart(self) -> None:
        """Restart the terminal at the next call: it answers nothing until somebody connects again."""
        self.arm("terminal_restart")

    def ipc_timeout(self, times: int = 1) -> None:
        """Let the terminal not answer the next calls in time; what they asked for was not done."""
        self.arm("ipc_timeout", times)

    def none_from(self, function: str, times: int = 1) -> None:
        """Let a function of the module answer None."""
        self.armed[f"none:{function}"] += times

    # Until it is ended

    def disconnect(self) -> None:
        """Cut the pipe to the terminal."""
        self.connected = False

    def reconnect(self) -> None:
        """Restore the pipe."""
        self.connected = True

    def broker_disconnect(self, *, lost: bool = True) -> None:
        """Let the terminal lose the trade server: it shows old figures and can't trade, while the broker goes on."""
        self.is_online = not lost

    def trading_disabled(self, *, disabled: bool = True) -> None:
        """Switch algorithmic trading off in the terminal."""
        self.is_trading_disabled = disabled

    def login_changed(self, login: int | None) -> None:
        """Show another login from now on; None shows the own one again."""
        self.login_shown = login

    def history_late(self, seconds: float) -> None:
        """Show deals and finished orders only so long after they came to be; 0.0 ends it."""
        self.history_late_seconds = seconds

    def positions_late(self, seconds: float) -> None:
        """Show a position only so long after it was opened; 0.0 ends it."""
        self.positions_late_seconds = seconds

    def comment_cut(self, length: int | None) -> None:
        """Keep only so many characters of every comment; None keeps all."""
        self.comment_length = length

    def comment_rewritten(self, text: str | None) -> None:
        """Store a text of the broker's in place of every comment; None keeps the comment."""
        self.comment_text = text

    def magic_lost(self, *, lost: bool = True) -> None:
        """Store 0 in place of every magic."""
        self.is_magic_lost = lost

    def requote_storm(self, seconds: float) -> None:
        """Answer every market order with a requote from the next call on, for so long."""
        self.storm_seconds = seconds

    # At the broker, for good

    def clock_jump(self, seconds: int) -> None:
        """Let the server's clock jump ahead, or back, by so much."""
        self.changes.append(lambda e: e.redescribe({"server_clock": jumped(e.account.server_clock, seconds)}, {}))

    def symbol_renamed(self, old: str, new: str) -> None:
        """Let the broker call a symbol something else, with what is open on it."""
        self.changes.append(
            lambda e: (
                e.redescribe({}, {old: {"name": new, "feed_name": e.symbols[old].priced_as}})
                if old in e.symbols
                else e.redescribe({}, {old: {}})
            )
        )

    def volume_step_changed(self, symbol: str, step: float) -> None:
        """Let the broker change the step of a symbol's volume, and with it the least volume."""
        self.changes.append(lambda e: e.redescribe({}, {symbol: {"volume_step": step, "volume_min": step}}))

    # By seed

    def by_seed(self, seed: int, *, share: float = 0.02, names: Sequence[str] = (*ONCE, *LASTING)) -> None:
        """Let something go wrong at a share of all calls, the same at every run that makes the same calls.

        Lasting faults end after some calls. Raises ValueError for an unknown name or a share outside 0…1.
        """
        unknown = sorted(set(names) - set(self.NAMES))
        if unknown:
            raise ValueError(f"names: no fault {', '.join(unknown)}; known: {', '.join(self.NAMES)}")
        if not 0 <= share <= 1 or not names:
            raise ValueError(f"share: give a number from 0 to 1, not {share}, and name a fault at least")
        self.schedule = Schedule(seed, share, tuple(names))

    def begin_call(self, function: str, now: float, symbol: str) -> None:
        """Begin a call of the module at `now` (UTC epoch seconds): end and begin what the seed says."""
        plan = self.schedule
        if plan is not None:
            plan.calls += 1
            for due, name in [end for end in plan.ends if end[0] <= plan.calls]:
                plan.ends.remove((due, name))
                self._end(name)
            if chance("fault", plan.seed, plan.calls) < plan.share:
                place = int(chance("which fault", plan.seed, plan.calls) * len(plan.names))
                self._begin(plan.names[place], function, symbol, chance("how much", plan.seed, plan.calls))
                plan.ends.append((plan.calls + SEEDED_CALLS, plan.names[place]))
        if self.storm_seconds:
            self.storm_until, self.storm_seconds = now + self.storm_seconds, 0.0

    def _begin(self, name: str, function: str, symbol: str, amount: float) -> None:
        """Begin a fault with usual figures; `amount` is 0…1."""
        usual: dict[str, Callable[[], None]] = {
            "delayed_execution": lambda: self.delayed_execution(1.0 + amount * (DELAY_SECONDS_MAX - 1)),
            "none_from": lambda: self.none_from(function),
            "login_changed": lambda: self.login_changed(1 + int(amount * 1e6)),
            "history_late": lambda: self.history_late(amount * 120),
            "positions_late": lambda: self.positions_late(amount * 2),
            "comment_cut": lambda: self.comment_cut(int(amount * 16)),
            "comment_rewritten": lambda: self.comment_rewritten("broker"),
            "requote_storm": lambda: self.requote_storm(amount * 60),
            "clock_jump": lambda: self.clock_jump(3600 if amount < 0.5 else -3600),
            "symbol_renamed": lambda: self.symbol_renamed(symbol, f"{symbol}.x"),
            "volume_step_changed": lambda: self.volume_step_changed(symbol, 0.1 if amount < 0.5 else 0.01),
        }
        usual.get(name, getattr(self, name))()

    def _end(self, name: str) -> None:
        ends: dict[str, Callable[[], None]] = {
            "disconnect": self.reconnect,
            "broker_disconnect": lambda: self.broker_disconnect(lost=False),
            "trading_disabled": lambda: self.trading_disabled(disabled=False),
            "login_changed": lambda: self.login_changed(None),
            "history_late": lambda: self.history_late(0.0),
            "positions_late": lambda: self.positions_late(0.0),
            "comment_cut": lambda: self.comment_cut(None),
            "comment_rewritten": lambda: self.comment_rewritten(None),
            "magic_lost": lambda: self.magic_lost(lost=False),
        }
        if name in ends:
            ends[name]()

    # For the terminal

    def take(self, name: str) -> bool:
        """Tell whether a fault is armed, and use it up."""
        if self.armed[name] <= 0:
            return False
        self.armed[name] -= 1
        return True

    def take_changes(self) -> list[Change]:
        """Return what is to change at the broker, once."""
        changes, self.changes = self.changes, []
        return changes
