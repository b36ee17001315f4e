"""Pure rules about cycles: their type, their figures, and whether they are complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """One order of a cycle as the books have it; money in account currency, volume in lots."""

    cycle_id: int
    status: str
    volume: Decimal
    booked: Decimal


@dataclass(frozen=True, slots=True)
class CycleFigures:
    """What a cycle's orders add up to."""

    realized: Decimal
    volume: Decimal
    live_orders: int


def kind_of(cycle_type: str, hedge_levels: Sequence[object]) -> str:
    """Tell AdaptiveHedging from CycleTrader: hedge levels present, or the type says HEDGE (S0)."""
    return "HEDGE" if hedge_levels or cycle_type == "HEDGE" else "CT"


def figures_of(orders: Sequence[OrderFigures]) -> CycleFigures:
    """Add up a cycle: what its deals booked so far, its open volume, and how many orders are open or pending."""
    alive = [o for o in orders if o.status in ("open", "pending")]
    return CycleFigures(
        realized=sum((o.booked for o in orders if o.status == "closed"), Decimal(0)),
        volume=sum((o.volume for o in alive if o.status == "open"), Decimal(0)),
        live_orders=len(alive),
    )
