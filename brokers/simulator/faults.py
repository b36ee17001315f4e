"""Faults by name, one shot each: what a test, or a user's rehearsal, asks the terminal to do wrong next."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """Named faults. `arm` lets the next `times` occasions fail; `connected` is False until reconnect."""

    armed: Counter[str] = field(default_factory=Counter)
    connected: bool = True
    login_shown: int | None = None

    NAMES = ("reply_lost_after_execution", "reply_lost_before_execution", "requote")

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
