"""Stops that follow: where a leg's stop belongs, and when to look again. The stop itself rests at the broker."""

import math

from brokers.domain import Side
from strategies.domain import ChangeLeg, CycleView, Leg, View
from strategies.toolkit import Answer, closing_price, closing_touch

HALF_A_POINT = 0.5


def follow(cycle: CycleView, answer: Answer, *, start: float, distance: float, step: float) -> None:
    """Let each leg's stop follow the price, once its profit is `start`, at `distance`, in steps; never back.

    All three are price units per leg; the stop is `leg.sl` at the broker, so it holds while nobody watches.
    """
    for leg in cycle.positions:
        if leg.order_id in cycle.under_way:
            continue
        wanted = followed_stop(leg, closing_price(leg.side, answer.view), start, distance, step, answer.view)
        if wanted is not None and better(leg, wanted, answer.view):
            move_stop(cycle, leg, wanted, answer, "trail")
        else:
            watch_next_step(leg, answer, start=start, distance=distance, step=step)


def followed_stop(leg: Leg, price: float, start: float, distance: float, step: float, view: View) -> float | None:
    """Return where the stop belongs at a closing price: in whole steps, less `distance`; None before `start`."""
    profit = (price - leg.price_open) * leg.side.sign
    if profit < start - view.spec.point / 1000:
        return None
    steps = math.floor((profit - start) / step + 1e-6)
    return view.spec.price(leg.price_open + leg.side.sign * (start + steps * step - distance))


def better(leg: Leg, stop: float, view: View) -> bool:
    """Tell whether a stop protects more than the leg's own, by at least half a point."""
    return leg.sl == 0 or (stop - leg.sl) * leg.side.sign > HALF_A_POINT * view.spec.point


def move_stop(cycle: CycleView, leg: Leg, stop: float, answer: Answer, reason: str) -> None:
    """Set a leg's stop; while the price is beyond it, or too near for the broker, watch for more room."""
    spec = answer.view.spec
    least = (spec.stops_level_points + 1) * spec.point
    room = closing_touch(leg.side, stop + leg.side.sign * least, falling=leg.side is Side.SELL, note="room for a stop")
    if not answer.touched(room):
        answer.refuse("stop_too_near", f"{stop:g} is within {spec.stops_level_points + 1} points", leg.side)
        return
    answer.actions.append(ChangeLeg(cycle.id, leg.order_id, stop, leg.tp, reason))


def watch_next_step(leg: Leg, answer: Answer, *, start: float, distance: float, step: float) -> None:
    """Watch the closing price at which the stop would be set for the first time, or move on."""
    spec = answer.view.spec
    level = start
    if leg.sl:
        held = (leg.sl - leg.price_open) * leg.side.sign
        steps = math.floor((held + distance - start) / step + 1e-6) + 1
        level = start + max(0, steps) * step
    # Half a point early: fired early it is only looked at, fired late it would be too late
    price = leg.price_open + leg.side.sign * (level - HALF_A_POINT * spec.point)
    answer.watches.append(closing_touch(leg.side, price, falling=leg.side is Side.SELL, note="the stop follows"))
