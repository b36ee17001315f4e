"""One process for each local terminal of a host: an operating-system lock, which ends with its holder."""

import hashlib
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from fasteners import InterProcessLock

from brokers.gateway import ConnectError

# A terminal without a path: the one that the module finds by itself
DEFAULT = "the default terminal"
# The operating system refuses a file to other processes only; within this one the names that are held say it
_held: dict[str, str] = {}
_guard = threading.Lock()


class TerminalHeld(ConnectError):
    """Another gateway or agent drives the terminal."""


class TerminalHold:
    """What one gateway or agent holds: a terminal under each of its names, the program's path and the data folder.

    The locks lie in the user's folder for temporary files, because a terminal too serves its own user only.
    `holder` tells others who it is.
    """

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._locks: dict[str, InterProcessLock] = {}

    def take(self, terminal: str) -> None:
        """Hold a terminal until `let_go`; held already, nothing happens. Raises TerminalHeld, which says by whom."""
        name = terminal if terminal == DEFAULT else os.path.normcase(os.path.realpath(terminal))
        if name in self._locks:
            return
        base = Path(tempfile.gettempdir()) / "mt5-terminals" / hashlib.sha256(name.encode()).hexdigest()[:24]
        who = base.with_suffix(".who")
        with _guard:
            if name in _held:
                raise _refusal(terminal, _held[name])
            lock = InterProcessLock(base.with_suffix(".lock"))
            try:
                is_ours = lock.acquire(blocking=False)
            except (OSError, threading.ThreadError) as problem:
                raise _refusal(terminal, f"nobody knows whom: its lock can't be opened ({problem})") from None
            if not is_ours:
                raise _refusal(terminal, _read(who))
            said = f"{self._holder} (process {os.getpid()})"
            _held[name], self._locks[name] = said, lock
            who.write_text(said, encoding="utf-8")

    def take_data_folder(self, module: Any) -> None:
        """Hold a connected terminal by its data folder too: one that was found without a path has no other name.

        `module` has the MetaTrader5 module's surface; it is disconnected before an error. Raises ConnectError.
        """
        info = module.terminal_info()
        try:
            if info is None:
                raise ConnectError("The terminal does not say which one it is.", "Restart it, and try again.")
            self.take(str(info.data_path))
        except ConnectError:
            module.shutdown()
            raise

    def let_go(self) -> None:
        """Let others hold what this one held."""
        with _guard:
            for name, lock in self._locks.items():
                lock.release()
                del _held[name]
            self._locks.clear()


def _read(who: Path) -> str:
    try:
        return who.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _refusal(terminal: str, who: str) -> TerminalHeld:
    return TerminalHeld(
        f"The terminal {terminal} is held by {who}.",
        "One process drives a terminal at a time: stop the other one, or give this account a terminal of its own.",
    )
