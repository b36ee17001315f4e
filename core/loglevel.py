"""The level of our loggers, changed while processes run: every process of a host looks at one file.

A file and no row, because it must work while the database is away, which is when one wants to know more.
"""

import json
import logging
import os
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from core.clock import Clock

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Other people's loggers keep theirs: some of them tell at DEBUG what must not be told
PACKAGES = (
    "accounts", "backtesting", "brokers", "copying", "core", "cycles", "dashboard", "engine", "events", "exports",
    "marketdata", "notifications", "orders", "reconciliation", "risk", "signals", "strategies", "telegram", "trading",
    "tradingsite",
)  # fmt: skip
FILE = "level.json"
LOOK_SECONDS = 2.0
_followed_by: set[int] = set()


def set_level(folder: Path, level: str | None, *, until: datetime | None = None) -> None:
    """Ask all processes that follow this folder for a level until a time (None: for good); None ends that.

    Raises:
        ValueError: There is no such level.
        OSError: The folder can't be written.
    """
    if level is not None and level not in LEVELS:
        raise ValueError(f"{level!r} is no level; known: {', '.join(LEVELS)}.")
    file = folder / FILE
    if level is None:
        file.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"level": level, "until": until.isoformat() if until else None}), encoding="utf-8")
    os.replace(draft, file)


def asked_level(folder: Path, now: datetime) -> str | None:
    """Return the level that is asked for now; None when none is, or the file does not hold."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        until = found["until"]
        if found["level"] in LEVELS and (until is None or now < datetime.fromisoformat(until)):
            return str(found["level"])
    return None


def apply_level(level: str | None) -> None:
    """Let our loggers have a level, or (None) the root's again."""
    for name in PACKAGES:
        logging.getLogger(name).setLevel(level or logging.NOTSET)


def follow(folder: Path, clock: Clock) -> None:
    """Apply what is asked for from now on, in this process, by a thread of its own; a second call does nothing."""
    if os.getpid() in _followed_by:
        return
    _followed_by.add(os.getpid())
    threading.Thread(target=_follow, args=(folder, clock), name="log-level", daemon=True).start()


def _follow(folder: Path, clock: Clock) -> None:
    applied = None
    while True:
        asked = asked_level(folder, clock.now())
        if asked != applied:
            apply_level(asked)
            applied = asked
        clock.sleep(LOOK_SECONDS)
