"""Named reads of cycles, and the views that strategies decide on."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, F, Max, Q, Sum, Value
from django.db.models.functions import Coalesce

from brokers.domain import Side
from cycles.domain import CycleFigures
from cycles.models import Cycle, CycleStatus
from events.prepared import NUMBER, TIME, Prepared
from orders.domain import KnownIntent
from orders.models import AccountMarks, Order
from orders.selectors import intents_under_way
from strategies.domain import CycleView, InFlight, Leg

ACTIVE = (CycleStatus.OPEN, CycleStatus.CLOSING)


_active = Prepared(
    lambda account_id: Cycle.objects.filter(account_id=account_id, status__in=ACTIVE).order_by("opened_at", "id"),
    NUMBER,
)


def active_cycles(account_id: int) -> list[Cycle]:
    """Read the open and closing cycles of an account, oldest first."""
    return _active(account_id)


def figures_by_cycle(cycle_ids: Iterable[int]) -> dict[int, CycleFigures]:
    """Add up the orders of cycles, in the database; a cycle without orders is left out."""
    closed, opened, alive = Q(status="closed"), Q(status="open"), Q(status__in=("open", "pending"))
    zero = Value(Decimal(0), DecimalField())
    rows = (
        Order.objects.filter(cycle_id__in=list(cycle_ids))
        .values("cycle_id")
        .annotate(
            realized=Coalesce(Sum(F("profit") + F("swap") + F("commission"), filter=closed), zero),
            lots=Coalesce(Sum("volume", filter=opened), zero),
            live=Count("id", filter=alive),
            last_level=Max("level"),
        )
        .order_by()
    )
    return {r["cycle_id"]: CycleFigures(r["realized"], r["lots"], r["live"], r["last_level"]) for r in rows}


_swaps = Prepared(
    lambda account_id: AccountMarks.objects.filter(account_id=account_id).values_list("identifiers", "swaps"), NUMBER
)
_legs = Prepared(
    lambda account_id: (
        Order.objects.filter(account_id=account_id, status__in=("open", "pending"), cycle__isnull=False)
        .order_by("opened_at", "id")
        .values_list(
            "cycle_id",
            "id",
            "ticket",
            "level",
            "side",
            "volume",
            "price_open",
            "sl",
            "tp",
            "identifier",
            "commission",
            "opened_at",
            "status",
            "swap",
            "profit",
        )
    ),
    NUMBER,
)


def legs_by_cycle(account_id: int) -> dict[int, list[Leg]]:
    """Read the open and pending legs of all cycles of an account; swaps come from the marks."""
    swaps: dict[int, float] = {}
    for identifiers, values in _swaps(account_id):
        swaps = dict(zip(identifiers, values, strict=True))
    legs: dict[int, list[Leg]] = defaultdict(list)
    for r in _legs(account_id):
        legs[r[0]].append(
            Leg(
                order_id=r[1],
                ticket=r[2],
                level=r[3],
                side=Side(r[4]),
                volume=float(r[5]),
                price_open=float(r[6]),
                sl=float(r[7]),
                tp=float(r[8]),
                swap=swaps.get(r[9], 0.0) + float(r[13]) + float(r[14]),
                commission=float(r[10]),
                opened_at=r[11],
                pending=r[12] == "pending",
            )
        )
    return legs


_floating = Prepared(
    lambda account_id: AccountMarks.objects.filter(account_id=account_id).values_list(
        "identifiers", "profits", "swaps"
    ),
    NUMBER,
)
_open_orders = Prepared(
    lambda account_id: Order.objects.filter(account_id=account_id, status="open", cycle__isnull=False).values_list(
        "cycle_id", "identifier"
    ),
    NUMBER,
)


def floating_by_cycle(account_id: int) -> dict[int, float]:
    """Add up the floating profit and swap of each cycle's open orders, as last marked."""
    value: dict[int, float] = {}
    for identifiers, profits, swaps in _floating(account_id):
        value = {i: p + s for i, p, s in zip(identifiers, profits, swaps, strict=True)}
    found: dict[int, float] = {}
    if value:
        for cycle_id, identifier in _open_orders(account_id):
            found[cycle_id] = found.get(cycle_id, 0.0) + value.get(identifier, 0.0)
    return found


def in_flight_of(intents: Iterable[KnownIntent]) -> list[InFlight]:
    """Turn intents under way into what a decision counts as exposure; a resting order counts as its leg instead."""
    return [
        InFlight(i.kind, i.cycle_id, i.level, Side(i.side), i.volume, i.order_id)
        for i in intents
        if not (i.kind == "place" and i.state == "accepted")
    ]


def hedge_levels_of(cycle_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """Read the hedges of cycles as S0 records them: every leg above the first level, closed ones included."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rows = Order.objects.filter(cycle_id__in=list(cycle_ids), level__gte=1).exclude(status="cancelled")
    for cycle_id, level, side, price, volume, ticket, opened_at in rows.order_by("level", "id").values_list(
        "cycle_id", "level", "side", "price_open", "volume_initial", "identifier", "opened_at"
    ):
        found[cycle_id].append(
            {
                "level": level,
                "side": side,
                "price": float(price),
                "volume": float(volume),
                "ticket": ticket,
                "opened_at": opened_at.isoformat(),
            }
        )
    return found


def cycle_views(account_id: int) -> dict[tuple[int, str], tuple[CycleView, ...]]:
    """Read every bot's open cycles by (bot, symbol), oldest first, with legs and what is in flight."""
    legs = legs_by_cycle(account_id)
    flights = in_flight_of(intents_under_way(account_id))
    views: dict[tuple[int, str], list[CycleView]] = defaultdict(list)
    cycles = active_cycles(account_id)
    figures = figures_by_cycle(c.pk for c in cycles)
    for cycle in cycles:
        found = figures.get(cycle.pk)
        views[(cycle.bot_id, cycle.symbol)].append(
            CycleView(
                id=cycle.pk,
                symbol=cycle.symbol,
                side=Side(cycle.side),
                opened_at=cycle.opened_at,
                legs=tuple(legs.get(cycle.pk, ())),
                in_flight=tuple(f for f in flights if f.cycle_id == cycle.pk),
                realized=float(found.realized) if found is not None else 0.0,
                best_net=cycle.best_net,
                closing=cycle.status == CycleStatus.CLOSING,
                memory=cycle.memory,
                last_level=found.last_level if found is not None else -1,
            )
        )
    return {key: tuple(value) for key, value in views.items()}


_last_entries = Prepared(
    lambda account_id: (
        Cycle.objects.filter(account_id=account_id)
        .order_by("bot_id", "symbol", "-opened_at")
        .distinct("bot_id", "symbol")
        .values_list("bot_id", "symbol", "opened_at")
    ),
    NUMBER,
)


def last_entries(account_id: int) -> dict[tuple[int, str], datetime]:
    """Read when each bot last opened a cycle on each symbol, for the entry cooldown."""
    return {(bot_id, symbol): at for bot_id, symbol, at in _last_entries(account_id)}


_sets_open = Prepared(
    lambda account_id: Cycle.objects.filter(
        account_id=account_id, status__in=ACTIVE, memory__has_key="set"
    ).values_list("symbol", "memory__set"),
    NUMBER,
)
_sets_closed = Prepared(
    lambda account_id, since: (
        Cycle.objects.filter(
            account_id=account_id, status=CycleStatus.CLOSED, closed_at__gt=since, memory__has_key="set"
        )
        .order_by("closed_at")
        .values_list("symbol", "memory__set", "closed_at")
    ),
    NUMBER,
    TIME,
)


def sets_traded(account_id: int, since: datetime) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], datetime]]:
    """Count the cycles that are not closed by (symbol, set of pseudo positions), and say when one last closed."""
    closed = {(symbol, name): at for symbol, name, at in _sets_closed(account_id, since) if at}
    return dict(Counter(_sets_open(account_id))), closed


def wrongly_closed(account_id: int, since: datetime) -> list[int]:
    """Find cycles closed since `since` that have an order the books still hold as open or pending."""
    return list(
        Cycle.objects.filter(
            account_id=account_id,
            status=CycleStatus.CLOSED,
            closed_at__gte=since,
            orders__status__in=("open", "pending"),
        )
        .distinct()
        .values_list("id", flat=True)
    )


def misbooked(account_id: int, since: datetime) -> list[tuple[Cycle, CycleFigures]]:
    """Find cycles closed since `since` to whose orders a late execution added money, with what they add up to now."""
    closed = list(Cycle.objects.filter(account_id=account_id, status=CycleStatus.CLOSED, closed_at__gte=since))
    figures = figures_by_cycle(c.pk for c in closed)
    return [
        (c, figures[c.pk])
        for c in closed
        if c.pk in figures and (c.realized_profit, c.total_volume) != (figures[c.pk].realized, figures[c.pk].volume)
    ]


def orphaned_orders(account_id: int) -> list[tuple[int, int]]:
    """Find orders whose intent belongs to a cycle that they do not name: (order, cycle)."""
    rows = Order.objects.filter(
        account_id=account_id, cycle__isnull=True, intent__cycle__isnull=False, status__in=("open", "pending")
    )
    return list(rows.values_list("id", "intent__cycle_id"))


def open_business(account_id: int) -> set[int | None]:
    """Return the bots that have a cycle or an order open on an account, or a request of whatever kind under way.

    None among them stands for a request that is no bot's.
    """
    cycles = Cycle.objects.filter(account_id=account_id, status__in=ACTIVE).values_list("bot_id", flat=True)
    orders = Order.objects.filter(account_id=account_id, status__in=("open", "pending"), bot__isnull=False)
    return {*cycles, *orders.values_list("bot_id", flat=True), *(i.bot_id for i in intents_under_way(account_id))}


def has_open_business(account_id: int) -> bool:
    """Tell whether anything of ours is open or under way on an account."""
    return bool(open_business(account_id))
