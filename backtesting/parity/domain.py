"""Compare the legs that a bot really traded with those of a replay, and say what the difference comes from.

Money is in account currency, minus for what the live account did worse. The parts of a leg add up to its whole
difference, and those of a day to the day's: what no cause explains is `other`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# A leg of the replay is the same as a live one when it was opened at most so long before or after it
SAME_SECONDS = 300.0


class Cause(StrEnum):
    """Why live and replay differ.

    Spread: it was wider or narrower when live decided. Slippage: the fill was not at the price that was asked for.
    Latency: the price moved between decision and send. Missed tick: the engine never saw a price that the broker's
    candles have. Guard: entries were held back, or something was closed. Gap: nobody looked. Other: swap, commission,
    hand actions, rounding, and what nothing else explains.
    """

    SPREAD = "spread"
    SLIPPAGE = "slippage"
    LATENCY = "latency"
    MISSED_TICK = "missed_tick"
    GUARD = "guard"
    GAP = "gap"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Moment:
    """A price as it was seen: UTC epoch seconds, bid, ask."""

    at: float
    bid: float
    ask: float

    def price(self, *, buying: bool) -> float:
        """Return the side at which one trades."""
        return self.ask if buying else self.bid


@dataclass(frozen=True, slots=True)
class Step:
    """An entry or exit: its price, the market when it was decided, and when it was sent."""

    price: float
    decided: Moment
    sent: Moment


@dataclass(frozen=True, slots=True)
class TradedLeg:
    """A leg of either side. `money` is account currency per 1.0 of price of its volume; `net` as of the day's end."""

    symbol: str
    side: str
    level: int
    volume: float
    money: float
    net: float
    entry: Step
    exit: Step | None
    held_back: bool = False
    """Whether a guard or a person closed it."""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.symbol, self.side, self.level

    @property
    def opened_at(self) -> float:
        return self.entry.decided.at


@dataclass(frozen=True, slots=True)
class Pair:
    """A live leg, its twin in the replay, or one without the other; `parts` add up to `drift`."""

    live: TradedLeg | None
    ideal: TradedLeg | None
    parts: Mapping[Cause, float]

    @property
    def drift(self) -> float:
        return sum(self.parts.values())


Evidence = Callable[[str, float], Cause | None]


def split_step(live: Step, ideal: Step, *, buying: bool, money: float) -> dict[Cause, float]:
    """Split the difference between two prices of one entry or exit; the parts add up to it exactly."""
    worth = -money if buying else money
    seen, known = live.decided, ideal.decided
    own_slip = live.price - live.sent.price(buying=buying)
    ideal_slip = ideal.price - ideal.decided.price(buying=buying)
    half = ((seen.ask - seen.bid) - (known.ask - known.bid)) / 2
    parts = {
        Cause.SLIPPAGE: own_slip - ideal_slip,
        Cause.LATENCY: live.sent.price(buying=buying) - seen.price(buying=buying),
        Cause.SPREAD: half if buying else -half,
        Cause.MISSED_TICK: (seen.bid + seen.ask) / 2 - (known.bid + known.ask) / 2,
    }
    return {cause: moved * worth for cause, moved in parts.items()}


def compare(live: Sequence[TradedLeg], ideal: Sequence[TradedLeg], evidence: Evidence) -> list[Pair]:
    """Pair legs of one symbol, side and level that were opened at about the same time, and split every difference.

    `evidence` says what was the matter with a symbol at a time. A leg without a twin is what its evidence says; without
    any, what the last one of its symbol was, because one missed entry lets everything after it go another way.
    """
    paired, alone = _matched(live, ideal)
    blamed: dict[str, Cause] = {}
    found: list[tuple[float, Pair]] = []
    for leg, is_live in sorted(alone, key=lambda item: item[0].opened_at):
        cause = evidence(leg.symbol, leg.opened_at) or blamed.get(leg.symbol, Cause.OTHER)
        blamed[leg.symbol] = cause
        drift = leg.net if is_live else -leg.net
        pair = Pair(leg, None, {cause: drift}) if is_live else Pair(None, leg, {cause: drift})
        found.append((leg.opened_at, pair))
    found += [(one.opened_at, Pair(one, other, _parts(one, other, evidence))) for one, other in paired]
    return [pair for _, pair in sorted(found, key=lambda item: item[0])]


def totals(pairs: Iterable[Pair]) -> dict[Cause, float]:
    """Return the sum of each cause, to the cent."""
    sums: dict[Cause, float] = dict.fromkeys(Cause, 0.0)
    for pair in pairs:
        for cause, part in pair.parts.items():
            sums[cause] += part
    return {cause: round(total, 2) + 0.0 for cause, total in sums.items()}


def as_row(pair: Pair) -> dict[str, Any]:
    """Return a pair as plain values, for the page."""
    some = pair.live or pair.ideal
    assert some is not None
    return {
        "symbol": some.symbol,
        "side": some.side,
        "level": some.level,
        "volume": some.volume,
        "live": _plain(pair.live),
        "replay": _plain(pair.ideal),
        "drift": round(pair.drift, 2) + 0.0,
        "parts": {cause.value: round(part, 2) + 0.0 for cause, part in pair.parts.items() if round(part, 2)},
    }


def _plain(leg: TradedLeg | None) -> dict[str, Any] | None:
    if leg is None:
        return None
    return {
        "at": leg.opened_at,
        "open": leg.entry.price,
        "close": None if leg.exit is None else leg.exit.price,
        "closed_at": None if leg.exit is None else leg.exit.decided.at,
        "net": round(leg.net, 2),
    }


def _matched(
    live: Sequence[TradedLeg], ideal: Sequence[TradedLeg]
) -> tuple[list[tuple[TradedLeg, TradedLeg]], list[tuple[TradedLeg, bool]]]:
    """Pair in the order of time: the first that fits is the twin."""
    waiting: dict[tuple[str, str, int], list[TradedLeg]] = defaultdict(list)
    for leg in sorted(ideal, key=lambda known: known.opened_at):
        waiting[leg.key].append(leg)
    paired, alone = [], []
    for leg in sorted(live, key=lambda known: known.opened_at):
        near = [other for other in waiting[leg.key] if abs(other.opened_at - leg.opened_at) <= SAME_SECONDS]
        if near:
            twin = min(near, key=lambda other: abs(other.opened_at - leg.opened_at))
            waiting[leg.key].remove(twin)
            paired.append((leg, twin))
        else:
            alone.append((leg, True))
    return paired, alone + [(leg, False) for legs in waiting.values() for leg in legs]


def _parts(live: TradedLeg, ideal: TradedLeg, evidence: Evidence) -> dict[Cause, float]:
    is_buy = live.side == "buy"
    parts: dict[Cause, float] = defaultdict(float)
    for cause, part in split_step(live.entry, ideal.entry, buying=is_buy, money=live.money).items():
        parts[cause] += part
    rest = Cause.OTHER
    if live.exit is not None and ideal.exit is not None and not live.held_back:
        if abs(live.exit.decided.at - ideal.exit.decided.at) <= SAME_SECONDS:
            for cause, part in split_step(live.exit, ideal.exit, buying=not is_buy, money=live.money).items():
                parts[cause] += part
        else:
            rest = _of_exit(live, ideal, evidence)
    elif (live.exit is None) != (ideal.exit is None) or live.held_back:
        rest = _of_exit(live, ideal, evidence)
    parts[rest] += (live.net - ideal.net) - sum(parts.values())
    return dict(parts)


def _of_exit(live: TradedLeg, ideal: TradedLeg, evidence: Evidence) -> Cause:
    """Say why one of two legs was closed and the other was not, or much later."""
    if live.held_back:
        return Cause.GUARD
    first = min(step.decided.at for step in (live.exit, ideal.exit) if step is not None)
    return evidence(live.symbol, first) or Cause.OTHER
