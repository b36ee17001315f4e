"""Faults by name, one shot each: what a test, or a user's rehearsal, asks the terminal to do wrong next."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Named faults. `arm` lets the next `times` occasions fail; `connected` is False until reconnect."""

    armed: Counter[str] = field(default_factory=Counter)
    connected: bool = True
    login_shown: int | None = None
    delay_seconds: float = 0.0
    history_late_seconds: float = 0.0
    comment_length: int | None = None
    is_magic_lost: bool = False

    NAMES = (
        "reply_lost_after_execution",
        "reply_lost_before_execution",
        "delayed_execution",
        "requote",
        "too_many_requests",
        "terminal_restart",
    )

    def arm(self, name: str, times: int = 1) -> None:
        """Let something go wrong. Raises ValueError for an unknown name."""
        if name not in self.NAMES:
            raise ValueError(f"no fault {name!r}; known: {', '.join(self.NAMES)}")
        self.armed[name] += times

    def reply_lost_after_execution(self, times: int = 1) -> None:
        """Execute the next request, but lose the answer."""
        self.arm("reply_lost_after_execution", times)

    def reply_lost_before_execution(self, times: int = 1) -> None:
        """Lose the next request on its way."""
        self.arm("reply_lost_before_execution", times)

    def delayed_execution(self, seconds: float, times: int = 1) -> None:
        """Lose the answer of the next request, and execute it so much later."""
        self.delay_seconds = seconds
        self.arm("delayed_execution", times)

    def too_many_requests(self, times: int = 1) -> None:
        """Refuse the next requests because there were too many."""
        self.arm("too_many_requests", times)

    def terminal_restart(self) -> None:
        """Restart the terminal at the next call: it answers nothing until somebody connects again."""
        self.arm("terminal_restart")

    def history_late(self, seconds: float) -> None:
        """Show deals and finished orders only so long after they came to be; 0.0 ends it."""
        self.history_late_seconds = seconds

    def comment_cut(self, length: int | None) -> None:
        """Keep only so many characters of every comment; None keeps all."""
        self.comment_length = length

    def magic_lost(self, *, lost: bool = True) -> None:
        """Store 0 in place of every magic."""
        self.is_magic_lost = lost

    def requote(self, times: int = 1) -> None:
        """Answer the next market order with a requote."""
        self.arm("requote", times)

    def none_from(self, function: str, times: int = 1) -> None:
        """Let a function of the module answer None."""
        self.armed[f"none:{function}"] += times

    def disconnect(self) -> None:
        """Cut the pipe to the terminal."""
        self.connected = False

    def reconnect(self) -> None:
        """Restore the pipe."""
        self.connected = True

    def login_changed(self, login: int | None) -> None:
        """Show another login from now on; None shows the own one again."""
        self.login_shown = login

    def take(self, name: str) -> bool:
        """Tell whether a fault is armed, and use it up."""
        if self.armed[name] <= 0:
            return False
        self.armed[name] -= 1
        return True
