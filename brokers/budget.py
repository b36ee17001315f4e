"""How many requests a key may make, whatever gateways of this process use it."""

import hashlib
from threading import Lock

from core.clock import Clock


class Budget:
    """How many requests a key has left this second, for all gateways of this process that use it."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._lock = Lock()
        self._left = float(per_second)
        self._at: float | None = None

    def take(self, clock: Clock) -> None:
        """Take one, waiting until there is one."""
        with self._lock:
            while True:
                now = clock.ticks()
                gained = 0.0 if self._at is None else max(0.0, now - self._at) * self._per_second
                self._at = now
                self._left = min(float(self._per_second), self._left + gained)
                # A millionth less counts as one: a sleep may end a rounding error too early
                if self._left >= 1 - 1e-6:
                    self._left -= 1
                    return
                clock.sleep((1 - self._left) / self._per_second)


_budgets: dict[str, Budget] = {}
_budgets_lock = Lock()


def budget_of(secret: str, per_second: int) -> Budget:
    """Return the budget of a token or key."""
    name = hashlib.sha256(secret.encode()).hexdigest()
    with _budgets_lock:
        return _budgets.setdefault(name, Budget(per_second))
