"""What happens in one simulated run, made from a seed: prices, bots, and the faults with their moments."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SECONDS = 300.0
QUIET_SECONDS = 100.0
TICK_SECONDS = 1.0
START_PRICE, SPREAD = 1.10000, 0.00010
PIP = 0.0001
HAPPENINGS_MAX = 8


@dataclass(frozen=True, slots=True)
class Happening:
    """At `at` seconds, the fault `name` with one number, whose meaning is the fault's own."""

    at: float
    name: str
    value: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:7.2f} s  {self.name} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. `ticks` are (second, bid, ask); `bots` are parameters of CycleTrader; `balance` in account currency."""

    seed: int
    seconds: float
    ticks: tuple[tuple[float, float, float], ...]
    bots: tuple[dict[str, Any], ...]
    happenings: tuple[Happening, ...]
    balance: float = 10_000.0
    is_netting: bool = False

    def without(self, index: int) -> "Scenario":
        """Return the same run with one happening less."""
        return replace(self, happenings=self.happenings[:index] + self.happenings[index + 1 :])


def make(seed: int, names: Sequence[str], *, seconds: float = SECONDS) -> Scenario:
    """Make the run of a seed, with faults of these names only."""
    chance = random.Random(seed)
    until = seconds + QUIET_SECONDS
    return Scenario(
        seed=seed,
        seconds=seconds,
        ticks=tuple(_walk(chance, seconds, until)),
        bots=tuple(_bot(chance) for _ in range(chance.choice((1, 1, 2)))),
        happenings=tuple(
            sorted(
                (
                    Happening(round(chance.uniform(2.0, seconds - 10.0), 2), chance.choice(names), chance.random())
                    for _ in range(chance.randint(1, HAPPENINGS_MAX))
                ),
                key=lambda h: h.at,
            )
            if names
            else ()
        ),
        balance=chance.choice((10_000.0, 10_000.0, 600.0)),
    )


def _walk(chance: random.Random, seconds: float, until: float) -> list[tuple[float, float, float]]:
    """A random walk with pull to its start, now and then a jump or a silence; calm once the faults are over."""
    price, at, ticks = START_PRICE, 0.0, []
    volatility = chance.choice((0.6, 1.5, 3.0))
    while at <= until:
        ticks.append((at, round(price, 5), round(price + SPREAD, 5)))
        if at < seconds:
            price += chance.gauss(0, volatility) * PIP + (START_PRICE - price) * 0.01
            if chance.random() < 0.01:
                price += chance.choice((-1, 1)) * chance.uniform(10, 40) * PIP
            if chance.random() < 0.004:
                at += chance.uniform(6, 25)
        at += TICK_SECONDS
    return ticks


def _bot(chance: random.Random) -> dict[str, Any]:
    return {
        "lot_size": chance.choice((0.01, 0.1)),
        "distance": chance.choice((3.0, 6.0)),
        "target_profit": chance.choice((0.3, 3.0, 20.0)),
        "direction": chance.choice(("buy", "sell", "both")),
        "max_cycles": chance.choice((1, 2, 3)),
        "max_levels": chance.choice((3, 6)),
        "entry_cooldown": chance.choice((0.0, 5.0, 20.0)),
        "pending": chance.random() < 0.25,
        **({"take_profit": chance.choice((4.0, 8.0))} if chance.random() < 0.4 else {}),
    }
