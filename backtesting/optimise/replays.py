"""Replays of many sets, in processes beside this one: each reads the prices once, and then replays set after set."""

import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from backtesting.domain import BacktestError, Plan
from backtesting.figures import figures_of
from backtesting.history import History
from backtesting.optimise.results import Window
from backtesting.replay import Replay
from brokers.simulator.scan import Ticks

Figures = dict[str, Any]
# So many tasks a process wait in line, so that none is idle
AHEAD = 3


class Worker:
    """Replays sets on periods of one history; the periods are cut when first needed."""

    def __init__(self, plan: Plan, ticks: Mapping[str, Ticks]) -> None:
        self._plan = plan
        self._ticks = ticks
        self._cut: dict[Window, History] = {}

    def figures(self, window: Window, values: Mapping[str, Any]) -> Figures:
        """Return a report's figures; of values that contradict each other, the reason."""
        if window not in self._cut:
            self._cut[window] = History.of(self._ticks, begin=window[0], end=window[1])
        plan = replace(self._plan, values={**self._plan.values, **values})
        try:
            result = Replay(plan, self._cut[window]).run()
        except (BacktestError, ValidationError) as problem:
            return {"problem": str(problem)[:300]}
        return asdict(figures_of(result))


_worker: Worker | None = None


def _begin(plan: Plan, path: str) -> None:
    """Make this process a worker."""
    global _worker
    with np.load(path) as stored:
        ticks = {s.name: Ticks(*(stored[f"{s.name} {column}"] for column in ("at", "bid", "ask"))) for s in plan.setups}
    _worker = Worker(plan, ticks)


def _work(window: Window, values: Mapping[str, Any]) -> Figures:
    assert _worker is not None
    return _worker.figures(window, values)


class Replays:
    """A pool of workers; with one process it works in this one."""

    def __init__(self, plan: Plan, history: History, processes: int) -> None:
        self._plan = plan
        self._history = history
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._here = Worker(plan, history.ticks)

    def __enter__(self) -> "Replays":
        if self._processes > 1:
            self._folder = tempfile.TemporaryDirectory()
            path = Path(self._folder.name) / "prices.npz"
            columns = {f"{n} {c}": getattr(t, c) for n, t in self._history.ticks.items() for c in ("at", "bid", "ask")}
            np.savez(path, **columns)
            self._pool = ProcessPoolExecutor(
                self._processes, multiprocessing.get_context("spawn"), _begin, (self._plan, str(path))
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    def run(self, tasks: Sequence[tuple[int, Window, Mapping[str, Any]]]) -> Iterator[list[tuple[int, Figures]]]:
        """Replay all; give what is finished, in whatever order it comes."""
        if self._pool is None:
            for number, window, values in tasks:
                yield [(number, self._here.figures(window, values))]
            return
        waiting: dict[Future[Figures], int] = {}
        rest: Iterable[tuple[int, Window, Mapping[str, Any]]] = iter(tasks)
        while True:
            for number, window, values in rest:
                waiting[self._pool.submit(_work, window, values)] = number
                if len(waiting) >= self._processes * AHEAD:
                    break
            if not waiting:
                return
            ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
            yield [(waiting.pop(future), future.result()) for future in ready]
