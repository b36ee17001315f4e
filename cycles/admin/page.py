"""What the page of a cycle draws: its bars, fills, coming levels, zone, target and worst case."""

from typing import Any

from django.urls import reverse

from accounts.admincells import projection_of
from accounts.models import DesiredState
from accounts.selectors import digits_of
from core.clock import Clock
from cycles.models import Cycle, CycleStatus
from marketdata.bars import TIMEFRAMES, bars_between, kept_bars
from orders.selectors import fills

DIGITS_UNKNOWN = 5
BARS_OF_A_LIFE = 300
BARS_AROUND = 40


def chart_of(cycle: Cycle, clock: Clock) -> dict[str, Any]:
    """Return the data of the chart: the timeframe is the shortest in which the cycle's life fits."""
    ends = cycle.closed_at or clock.now()
    life = (ends - cycle.opened_at).total_seconds()
    seconds = next((s for s in TIMEFRAMES if life / s <= BARS_OF_A_LIFE), max(TIMEFRAMES))
    is_open = cycle.status != CycleStatus.CLOSED
    source = cycle.account.server
    if is_open:
        bars = kept_bars(source, cycle.symbol, seconds)
    else:
        bars = bars_between(source, cycle.symbol, seconds, cycle.opened_at, ends, around=BARS_AROUND)
    return {
        "bars": bars,
        "fills": fills(cycle.account_id, cycle.symbol, since=None, cycle_id=cycle.pk),
        "lines": lines_of(cycle) if is_open else zone_of(cycle),
        "account": cycle.account_id,
        "symbol": cycle.symbol,
        "cycle": cycle.pk,
        "is_open": is_open,
        "seconds": seconds,
        "digits": digits_of(cycle.account_id, cycle.symbol) or DIGITS_UNKNOWN,
        "bars_url": reverse("chart-bars"),
        "fetch_url": reverse("chart-fetch"),
        "runs": is_open and cycle.account.desired_state != DesiredState.STOPPED,
    }


def lines_of(cycle: Cycle) -> list[dict[str, Any]]:
    """Return what the engine's projection says of an open cycle, as lines: levels, target, money stop, worst case."""
    found = projection_of(cycle.account, "cycles", cycle.pk) or {}
    lines = zone_of(cycle)
    for level in found.get("levels", []):
        title = f"level {level['level']}: {level['side']} {level['lots']:.2f}"
        lines.append({"kind": "level", "title": title, "price": level["price"]})
    for awaited in found.get("awaited", []):
        kind = {"target": "target", "money stop": "stop"}.get(awaited["what"])
        if kind is not None:
            lines.append({"kind": kind, "title": awaited["what"], "price": awaited["price"]})
    if found.get("levels_left"):
        lines.append({"kind": "worst", "title": f"worst {found['worst_change']:+,.2f}", "price": found["last_price"]})
    return lines


def zone_of(cycle: Cycle) -> list[dict[str, Any]]:
    """Return the edges of a hedged cycle's zone, from its memory; none for other cycles."""
    if "zone" not in cycle.memory:
        return []
    first = cycle.orders.order_by("level", "id").values_list("price_open", flat=True).first()
    anchor = cycle.memory.get("anchor") or (float(first) if first else None)
    if anchor is None:
        return []
    sign = 1 if cycle.side == "buy" else -1
    edges = (("zone: first entry", anchor), ("zone: far edge", anchor - sign * cycle.memory["zone"]))
    return [{"kind": "zone", "title": title, "price": price} for title, price in edges]
