"""The gateway to a terminal of this host, which no other process may drive meanwhile."""

from typing import Any

from brokers.mt5.gateway import Mt5Gateway
from brokers.terminallock import DEFAULT, TerminalHold


class LocalMt5Gateway(Mt5Gateway):
    """Holds its terminal from before the first call, which logs it in to this account, until it is closed."""

    def __init__(self, terminal: Any, *, login: int, **given: Any) -> None:
        super().__init__(terminal, login=login, **given)
        self._hold = TerminalHold(f"the engine's gateway to login {login}")

    def connect(self, fence: int = 0) -> None:
        """Start or find the terminal and log in. Raises ConnectError, when another process holds it a TerminalHeld."""
        self._hold.take(self._path or DEFAULT)
        try:
            super().connect(fence)
        except BaseException:
            self._hold.let_go()
            raise

    def _log_in(self) -> None:
        super()._log_in()
        self._hold.take_data_folder(self._terminal)

    def close(self) -> None:
        """Let go of the terminal."""
        try:
            super().close()
        finally:
            self._hold.let_go()
