"""What can be bought and sold at a tick: steps of price with seeded lots, which every fill uses up until the next tick.

A symbol without depth has everything at its best price. Slippage makes the best price of a market order worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from brokers.simulator.account import SymbolSetup
from brokers.simulator.books import BUY, sign
from brokers.simulator.chance import chance
from brokers.simulator.state import State
from core.numbers import floor_to_step

ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Step:
    """So many lots at one price."""

    price: float
    lots: float


def ladder(setup: SymbolSetup, at: float, best: float, kind: int) -> tuple[Step, ...]:
    """Return what a market order of this kind meets, best price first; nothing for a symbol without depth."""
    if not setup.depth_lots:
        return ()
    steps = []
    for step in range(setup.depth_steps):
        share = 0.5 + chance("depth", setup.priced_as, at, kind, step)
        lots = max(setup.volume_step, floor_to_step(setup.depth_lots * share, setup.volume_step))
        steps.append(Step(round(best + sign(kind) * step * setup.tick, setup.digits), lots))
    return tuple(steps)


class Liquidity:
    """What is left of each symbol's current tick; kept in the state file, for every process trades on the same tick."""

    def __init__(self, state: State) -> None:
        self._state = state

    def take(
        self, setup: SymbolSetup, at: float, best: float, kind: int, volume: float, limit: float | None = None
    ) -> list[Step]:
        """Return the steps that fill up to `volume` lots at `limit` or better; `at` is the tick's time."""
        if limit is not None and (best - limit) * sign(kind) > setup.point / 2:
            return []
        if not setup.depth_lots:
            return [Step(best, volume)]
        gone = self._gone(setup, at)[kind]
        taken = []
        for step in ladder(setup, at, best, kind):
            if limit is not None and (step.price - limit) * sign(kind) > setup.point / 2:
                break
            skipped = min(gone, step.lots)
            gone = round(gone - skipped, 8)
            lots = min(volume, round(step.lots - skipped, 8))
            if lots > ENOUGH:
                taken.append(Step(step.price, lots))
                volume = round(volume - lots, 8)
            if volume <= ENOUGH:
                break
        return taken

    def use(self, setup: SymbolSetup, at: float, kind: int, steps: Sequence[Step]) -> None:
        """Remember what was taken, inside a change of the state."""
        if setup.depth_lots:
            gone = self._gone(setup, at)
            gone[kind] = round(gone[kind] + sum(step.lots for step in steps), 8)
            self._state.meta["taken"][setup.name] = [at, *gone]

    def _gone(self, setup: SymbolSetup, at: float) -> list[float]:
        known = self._state.meta["taken"].get(setup.name)
        return list(known[1:]) if known and known[0] == at else [0.0, 0.0]


def slipped(setup: SymbolSetup, best: float, kind: int, *question: object) -> float:
    """Return the best price of a market order after seeded slippage, which is never in the trader's favour."""
    if not setup.slippage_points:
        return best
    points = int(chance("slippage", *question) * (setup.slippage_points + 1))
    return round(best + sign(kind) * points * setup.point, setup.digits)


def completed(steps: Sequence[Step], volume: float, best: float) -> list[Step]:
    """Return the steps with the missing lots at the last price: what the broker closes itself is closed whole."""
    missing = round(volume - sum(step.lots for step in steps), 8)
    if missing <= ENOUGH:
        return list(steps)
    return [*steps, Step(steps[-1].price if steps else best, missing)]


def worth_closing(kind: int, quote: tuple[float, float]) -> float:
    """Return the price at which a position of this kind would be closed: a buy at the bid, a sell at the ask."""
    return quote[0] if kind == BUY else quote[1]
