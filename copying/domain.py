"""What a provider's position is worth to a subscriber: pure rules. Volumes in lots, money in account currency."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from brokers.domain import Quote, Side, SymbolSpec
from core.numbers import floor_to_step

HALF_STEP = 0.5


class Scaling(StrEnum):
    """How lots follow the provider's: by the accounts' equities, as a number of lots, or as a multiple."""

    EQUITY = "equity"
    FIXED = "fixed"
    MULTIPLIER = "multiplier"


@dataclass(frozen=True, slots=True)
class Rules:
    """A subscription's terms. `factor` multiplies the ratio of equities, is the lots, or the multiple."""

    scaling: Scaling
    factor: float
    symbol_map: Mapping[str, str]
    reverse: bool
    volume_max: float
    positions_max: int
    age_max: timedelta
    deviation_pips_max: float


@dataclass(frozen=True, slots=True)
class Position:
    """A position of the provider; `contract_size` of its symbol is None while it is not known."""

    symbol: str
    side: Side
    volume: float
    price: float
    sl: float
    tp: float
    opened_at: datetime
    contract_size: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The subscriber at a moment; the equities are None while they are not known."""

    now: datetime
    quote: Quote
    spec: SymbolSpec
    equity: float | None
    equity_provider: float | None
    open_copies: int


@dataclass(frozen=True, slots=True)
class Enter:
    """Open so much; 0 for no stop."""

    side: Side
    volume: float
    sl: float
    tp: float


@dataclass(frozen=True, slots=True)
class Later:
    """Not now; it is tried again until the position is too old."""

    why: str


@dataclass(frozen=True, slots=True)
class Never:
    """Not at all."""

    why: str


def symbol_of(rules: Rules, symbol: str, traded: Collection[str]) -> str | Never:
    """Return our name of a provider's symbol, or why it is not copied."""
    ours = rules.symbol_map.get(symbol, symbol)
    return ours if ours in traded else Never(f"{symbol}: {ours} is none of the bot's symbols")


def too_old(rules: Rules, opened_at: datetime, now: datetime) -> Never | None:
    """Say that a position was opened too long ago, or None."""
    age = now - opened_at
    if age <= rules.age_max:
        return None
    return Never(f"seen {age.total_seconds():.1f} s after it was opened, at most {rules.age_max.total_seconds():g} s")


def plan(rules: Rules, position: Position, standing: Standing) -> Enter | Later | Never:
    """Say what a position of the provider asks for."""
    old = too_old(rules, position.opened_at, standing.now)
    if old is not None:
        return old
    if standing.open_copies >= rules.positions_max:
        return Later(f"{standing.open_copies} copies are open, at most {rules.positions_max}")
    side = mirrored(position.side, rules.reverse)
    price = standing.quote.ask if side is Side.BUY else standing.quote.bid
    away = abs(price - position.price) / standing.spec.pip
    if away > rules.deviation_pips_max:
        return Later(f"the price is {away:.1f} pips from the provider's, at most {rules.deviation_pips_max:g}")
    volume = scaled(rules, position, standing)
    if isinstance(volume, Later | Never):
        return volume
    sl, tp = stops_of(position.sl, position.tp, rules.reverse)
    return Enter(side, volume, sl, tp)


def scaled(rules: Rules, position: Position, standing: Standing) -> float | Later | Never:
    """Return the lots to open: scaled, cut to `volume_max` and to the broker's steps, never rounded up."""
    spec = standing.spec
    ours, theirs = standing.equity or 0.0, standing.equity_provider or 0.0
    wanted = position.volume * rules.factor * _contracts(position, spec)
    if rules.scaling is Scaling.FIXED:
        wanted = rules.factor
    elif rules.scaling is Scaling.EQUITY:
        if min(ours, theirs) <= 0:
            return Later("the equity of provider or subscriber is not known, or nothing is left of it")
        wanted *= ours / theirs
    cut = min(wanted, rules.volume_max, spec.volume_max)
    volume = floor_to_step(cut, spec.volume_step)
    if volume <= 0 or volume < spec.volume_min:
        return Never(f"{cut:.4f} lots are less than the broker's least, {spec.volume_min:g}")
    return volume


def _contracts(position: Position, spec: SymbolSpec) -> float:
    """Return how many of our contracts one of the provider's is: brokers differ in what a lot is."""
    return position.contract_size / spec.contract_size if position.contract_size and spec.contract_size else 1.0


def mirrored(side: Side, reverse: bool) -> Side:
    """Return the side to take."""
    if not reverse:
        return side
    return Side.SELL if side is Side.BUY else Side.BUY


def stops_of(sl: float, tp: float, reverse: bool) -> tuple[float, float]:
    """Return stop loss and take profit to set: turned around, the provider's target is where we lose."""
    return (tp, sl) if reverse else (sl, tp)


def excess(ours: float, ours_initial: float, theirs: float, theirs_initial: float, spec: SymbolSpec) -> float:
    """Return the lots to close so that we hold no larger share of our position than the provider of theirs.

    0 while less than a step is too much. The broker's least volume is never closed by it: that follows the end.
    """
    step = spec.volume_step
    if theirs_initial <= 0 or theirs >= theirs_initial:
        return 0.0
    wanted = ours_initial * theirs / theirs_initial
    kept = max(spec.volume_min, floor_to_step(wanted + step * HALF_STEP, step))
    return floor_to_step(max(0.0, ours - kept), step)
