"""What was replayed already, on disk: a line for each set and period, so that a run that was broken off goes on."""

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import fasteners

from backtesting.domain import BacktestError

Window = tuple[float, float]


def identity(facts: Mapping[str, Any]) -> str:
    """Return a name for everything that figures depend on besides period and values."""
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Results:
    """Figures by period and values. One process at a time may add to a file; a line that was cut off is left out."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.jsonl"
        self._lock = fasteners.InterProcessLock(folder / f"{name}.lock")
        self._known: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Results":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.acquire(blocking=False):
            raise BacktestError("the same is being optimised at this moment; wait for it, or end it")
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Begin anew."""
        self._known.clear()
        self.path.unlink(missing_ok=True)

    def get(self, window: Window, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the figures of a set in a period, None when it was not replayed yet."""
        return self._known.get(_key(window, values))

    def add(self, found: Iterable[tuple[Window, Mapping[str, Any], dict[str, Any]]]) -> None:
        """Keep figures, on disk before this returns."""
        lines = []
        for window, values, figures in found:
            key = _key(window, values)
            self._known[key] = figures
            lines.append(json.dumps({"key": key, "figures": figures}))
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self.path.write_bytes(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            self._known[row["key"]] = row["figures"]


def _key(window: Window, values: Mapping[str, Any]) -> str:
    return json.dumps([*window, sorted(values.items())])
