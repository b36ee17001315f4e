"""Pure rules about cycles: their type, their figures, and whether they are complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CycleFigures:
    """What a cycle's orders add up to: money booked by closed ones, lots of open ones, open and resting ones.

    `last_level` is the highest level of any order, -1 while there is none.
    """

    realized: Decimal
    volume: Decimal
    live_orders: int
    last_level: int = -1


def kind_of(cycle_type: str, hedge_levels: Sequence[object]) -> str:
    """Tell AdaptiveHedging from CycleTrader: hedge levels present, or the type says HEDGE (S0)."""
    return "HEDGE" if hedge_levels or cycle_type == "HEDGE" else "CT"
