"""The processes of this checkout's engine and site, found by what they run, where, and with which data folder."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tradingsite.env import BASE_DIR, load

SUPERVISOR = "runengine"
WORKERS = ("qcluster", "tradingsite.asgi:application")
GRACE_S = 20
KILL_WAIT_S = 5
POLL_S = 0.05


def _is_ours(process: psutil.Process) -> bool:
    """Tell whether a process works on this checkout with the same data folder as this one."""
    if process.pid == os.getpid() or Path(process.cwd()) != BASE_DIR:
        return False
    var = Path(process.environ().get("TRADING_VAR_DIR") or BASE_DIR / "var")
    return (var if var.is_absolute() else BASE_DIR / var) == load().trading_var_dir


def running(names: tuple[str, ...]) -> list[psutil.Process]:
    """List our processes that have one of `names` among their arguments."""
    return list(_find(names))


def _find(names: tuple[str, ...]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if set(names) & set(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE and _is_ours(process):
                yield process
        except psutil.Error:  # gone, or somebody else's
            continue


def stop_site() -> int:
    """End the supervisor, which ends the rest; kill what is left after a while. Give how many processes ended.

    Workers without a supervisor, which a killed one leaves behind, are asked and then killed too.
    """
    asked = running((SUPERVISOR,))
    _signal(asked, "terminate")
    deaf = _still_there(asked, GRACE_S)
    left = running(WORKERS)
    _signal(left, "terminate")
    stuck = deaf + _still_there(left, KILL_WAIT_S)
    _signal(stuck, "kill")
    _still_there(stuck, KILL_WAIT_S)
    return len({process.pid for process in (*asked, *left)})


def _signal(processes: list[psutil.Process], action: str) -> None:
    for process in processes:
        try:
            getattr(process, action)()
        except psutil.NoSuchProcess:
            continue


def _still_there(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until they have ended, at most `timeout_s`, and give those that have not.

    A dead process that its parent has not collected yet counts as ended, which psutil's own wait sees otherwise.
    """
    deadline = time.monotonic() + timeout_s
    left = processes
    while (left := [process for process in left if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)  # clock-ok: waits for processes to end
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
