"""Ends a decision that takes too long: one that hangs must not keep exits, guards and kill switch from their account.

The interpreter raises `TookTooLong` in the thread that hangs, at its next step of Python. Compiled code that never
comes back can't be ended so: the lease runs out then, and another engine takes the account.
"""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.1

_lock = threading.Lock()
_deadlines: dict[int, float] = {}
_something = threading.Event()
_watching: list[threading.Thread] = []


class TookTooLong(Exception):
    """A decision did not come back in time."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Let the block run for so many seconds of real time; raises TookTooLong in it afterwards. Blocks do not nest."""
    me = threading.get_ident()
    with _lock:
        _deadlines[me] = time.monotonic() + seconds
        if not _watching or not _watching[0].is_alive():
            _watching[:] = [threading.Thread(target=_watch, name="watchdog", daemon=True)]
            _watching[0].start()
    _something.set()
    try:
        yield
    finally:
        with _lock:
            is_late = _deadlines.pop(me, None) is None
        if is_late:
            _let_arrive(me)


def _let_arrive(thread: int) -> None:
    """Take here what was raised and has perhaps not arrived yet, lest it arrive in what comes next.

    Taken back without arriving, it would leave the interpreter looking for it after every step (CPython clears that
    mark on arrival only): all of Python is slower from then on, and hangs under a profiler.
    """
    try:
        _raise_in(thread)
        while True:
            pass
    except TookTooLong:
        return


def _raise_in(thread: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TookTooLong))


def _watch() -> None:
    while _something.wait():
        with _lock:
            now = time.monotonic()
            for thread, deadline in list(_deadlines.items()):
                if now > deadline:
                    del _deadlines[thread]
                    _raise_in(thread)
            if not _deadlines:
                _something.clear()
        threading.Event().wait(LOOK_SECONDS)
