"""Evaluate watches: all watches of an account in one vectorised step."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from brokers.domain import Quote, Side, SymbolSpec
from strategies.domain import (
    CandleClosed,
    CycleView,
    EveryTick,
    LegsReach,
    NetFallsFromBest,
    NetReached,
    PriceField,
    PriceTouch,
    Setup,
    SetupsChanged,
    SignalChanged,
    SpreadAtMost,
    TimeReached,
    View,
    Watch,
)

Key = TypeVar("Key", bound=Hashable)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plane:
    """A condition `bid·bids + ask·asks ≥ level` on one symbol's prices: every price watch is one of these."""

    symbol: str
    bids: float
    asks: float
    level: float


def net_plane(
    cycle: CycleView, spec: SymbolSpec, symbol: str, weights: Mapping[int, float] | None = None
) -> tuple[Plane, float]:
    """Return net profit as a plane of bid and ask (level 0.0), and its constant part.

    With `weights` by order it is the weighted sum of these legs' nets, without what is realized.
    """
    bids = asks = 0.0
    constant = cycle.realized if weights is None else 0.0
    for leg in cycle.positions:
        weight = 1.0 if weights is None else weights.get(leg.order_id, 0.0)
        slope = weight * leg.side.sign * leg.volume * spec.value_per_price
        constant += weight * (leg.swap + leg.commission) - slope * leg.price_open
        if leg.side is Side.BUY:
            bids += slope
        else:
            asks += slope
    return Plane(symbol, bids, asks, 0.0), constant


def plane_of(watch: Watch, view: View) -> Plane | None:
    """Turn a watch on prices into its half-plane; None for watches on time, candles and signals."""
    symbol = view.quote.symbol
    match watch:
        case PriceTouch():
            sign = -1.0 if watch.falling else 1.0
            on_bid = watch.field is PriceField.BID
            return Plane(symbol, sign if on_bid else 0.0, 0.0 if on_bid else sign, sign * watch.level)
        case SpreadAtMost():
            return Plane(symbol, 1.0, -1.0, -watch.spread)
        case NetReached() | NetFallsFromBest() | LegsReach():
            return _net_condition(watch, view)
        case _:
            return None


def _net_condition(watch: NetReached | NetFallsFromBest | LegsReach, view: View) -> Plane | None:
    cycle = next((c for c in view.cycles if c.id == watch.cycle_id), None)
    if cycle is None:
        return None
    if isinstance(watch, LegsReach):
        plane, constant = net_plane(cycle, view.spec, view.quote.symbol, dict(watch.weights))
        return Plane(plane.symbol, plane.bids, plane.asks, watch.amount - constant)
    plane, constant = net_plane(cycle, view.spec, view.quote.symbol)
    if isinstance(watch, NetReached):
        amount, falling = watch.amount, watch.falling
    else:
        best = max(cycle.best_net if cycle.best_net is not None else float("-inf"), cycle.net(view.quote, view.spec))
        if best < watch.armed_at:
            return None
        amount, falling = watch.lock * best, True
    sign = -1.0 if falling else 1.0
    return Plane(plane.symbol, sign * plane.bids, sign * plane.asks, sign * (amount - constant))


def explain(watch: Watch, quote: Quote | None) -> str:
    """Say in words what fired: "level 3 at 1.08421"."""
    note = watch.note or type(watch).__name__
    if isinstance(watch, PriceTouch) and quote is not None:
        return f"{note} at {quote.bid if watch.field is PriceField.BID else quote.ask:g}"
    if isinstance(watch, NetReached):
        return f"{note} {watch.amount:+g}"
    return note


@dataclass(slots=True)
class WatchSet(Generic[Key]):
    """Every watch of an account, its price conditions as arrays."""

    _planes: list[tuple[Key, Watch, Plane]] = field(default_factory=list)
    _others: list[tuple[Key, Watch, View]] = field(default_factory=list)
    _symbols: list[str] = field(default_factory=list)
    _index: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    _coefficients: Floats = field(default_factory=lambda: np.empty((0, 3)))

    @classmethod
    def build(cls, items: Sequence[tuple[Key, Sequence[Watch], View]]) -> "WatchSet[Key]":
        """Compile (key, watches, the view they were made on) of all instances."""
        made: WatchSet[Key] = cls()
        for key, watches, view in items:
            for watch in watches:
                plane = plane_of(watch, view)
                if plane is not None:
                    made._planes.append((key, watch, plane))
                elif isinstance(watch, TimeReached | CandleClosed | SignalChanged | SetupsChanged | EveryTick):
                    made._others.append((key, watch, view))
        made._symbols = sorted({p.symbol for _, _, p in made._planes})
        made._index = np.array([made._symbols.index(p.symbol) for _, _, p in made._planes], dtype=np.intp)
        made._coefficients = np.array([(p.bids, p.asks, p.level) for _, _, p in made._planes], dtype=float).reshape(
            -1, 3
        )
        return made

    def check(
        self,
        now: datetime,
        quotes: Mapping[str, Quote],
        signals: Mapping[str, Mapping[str, float]] | None = None,
        setups: Mapping[str, tuple[Setup, ...]] | None = None,
    ) -> list[tuple[Key, Watch, str]]:
        """Return what fired, with an explanation each. A symbol without a quote fires nothing."""
        fired: list[tuple[Key, Watch, str]] = []
        if self._planes:
            bids = np.array([q.bid if (q := quotes.get(s)) else np.nan for s in self._symbols])[self._index]
            asks = np.array([q.ask if (q := quotes.get(s)) else np.nan for s in self._symbols])[self._index]
            c = self._coefficients
            # A hair of slack: firing early is allowed, firing late is not.
            slack = 1e-9 * (np.abs(c[:, 2]) + 1.0)
            for i in np.flatnonzero(c[:, 0] * bids + c[:, 1] * asks >= c[:, 2] - slack):
                key, watch, plane = self._planes[i]
                fired.append((key, watch, explain(watch, quotes.get(plane.symbol))))
        for key, watch, view in self._others:
            if _other_fired(watch, view, now, signals or {}, setups or {}):
                fired.append((key, watch, explain(watch, None)))
        return fired


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _other_fired(
    watch: Watch,
    view: View,
    now: datetime,
    signals: Mapping[str, Mapping[str, float]],
    setups: Mapping[str, tuple[Setup, ...]],
) -> bool:
    match watch:
        case TimeReached():
            return now >= watch.at
        case CandleClosed():
            return int(now.timestamp()) // watch.seconds > int(view.now.timestamp()) // watch.seconds
        case SignalChanged():
            before = view.signals.get(watch.name, 0.0)
            return _sign(signals.get(view.quote.symbol, {}).get(watch.name, before)) != _sign(before)
        case SetupsChanged():
            return setups.get(view.quote.symbol, view.setups) != view.setups
        case EveryTick():
            return True
        case _:
            return False
