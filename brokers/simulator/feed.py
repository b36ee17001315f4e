"""Prices as a pure function of time: two processes, or one before and after a restart, see the same ticks.

A recorded feed expands bars into ticks along a seeded path (open, the two extremes in a seeded order, close) and runs
`speed` times faster than life from its anchor on; weekends are not in the recording, and at its end it runs backwards,
so that prices never jump. A tick feed replays recorded ticks, weekends included, and ends with them. A model feed makes
prices from a seed (model.py). A script says each tick.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brokers.simulator.model import TICK_MS, Market, noise
from brokers.simulator.recordings import load, load_ticks
from brokers.simulator.scan import Floats, Ticks

TICK_SECONDS = TICK_MS / 1000


class Prices(Protocol):
    """The ticks of one symbol, whatever they come from."""

    def between(self, after: float, until: float, *, history: bool = False) -> Ticks:
        """Return the ticks with after < time ≤ until; with `history` also what charts show from before the feed."""
        ...

    def latest(self, at: float) -> tuple[float, float, float] | None:
        """Return the newest tick at or before a time, (time, bid, ask); None before the first."""
        ...


class TickPrices:
    """Ticks that are known beforehand."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks

    def between(self, after: float, until: float, *, history: bool = False) -> Ticks:
        first, last = np.searchsorted(self.ticks.at, (after, until), side="right")
        part = slice(int(first), int(last))
        return Ticks(self.ticks.at[part], self.ticks.bid[part], self.ticks.ask[part])

    def latest(self, at: float) -> tuple[float, float, float] | None:
        number = int(np.searchsorted(self.ticks.at, at, side="right")) - 1
        if number < 0:
            return None
        return float(self.ticks.at[number]), float(self.ticks.bid[number]), float(self.ticks.ask[number])


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """Where prices come from. `anchor` is the UTC time at which the feed begins."""

    kind: str
    anchor: datetime
    seed: int = 1
    speed: float = 1.0
    dataset: str = ""
    spread_points: int = 10
    start_price: float = 1.1
    volatility_points: float = 3.0
    scripts: Mapping[str, Sequence[tuple[float, float, float]]] = field(default_factory=dict)
    first_bar: int = 0

    @classmethod
    def recorded(
        cls,
        dataset: str,
        *,
        anchor: datetime,
        speed: float = 1.0,
        seed: int = 1,
        spread_points: int = 10,
        first_bar: int = 0,
    ) -> "FeedSpec":
        """Replay recorded bars, from `first_bar` on, `speed` times faster than life."""
        return cls("recorded", anchor, seed, speed, dataset, spread_points, first_bar=first_bar)

    @classmethod
    def ticks(cls, dataset: str, *, anchor: datetime, speed: float = 1.0, first_tick: int = 0) -> "FeedSpec":
        """Replay recorded ticks from `first_tick` on, `speed` times faster than life."""
        return cls("ticks", anchor, 1, speed, dataset, first_bar=first_tick)

    @classmethod
    def model(
        cls,
        *,
        anchor: datetime,
        seed: int,
        start_price: float = 1.1,
        volatility_points: float = 3.0,
        spread_points: int = 10,
    ) -> "FeedSpec":
        """Make prices from a seed.

        `volatility_points` is the typical move from tick to tick, `spread_points` the spread, both in a normal hour.
        """
        return cls("model", anchor, seed, 1.0, "", spread_points, start_price, volatility_points)

    @classmethod
    def script(cls, ticks: Mapping[str, Sequence[tuple[float, float, float]]], *, anchor: datetime) -> "FeedSpec":
        """Say every tick: (seconds after the anchor, bid, ask) per symbol."""
        return cls("script", anchor, scripts=ticks)

    def to_json(self) -> dict[str, Any]:
        """Return the specification as plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "anchor": self.anchor.astimezone(UTC).isoformat(),
            "scripts": {k: [list(t) for t in v] for k, v in self.scripts.items()},
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "FeedSpec":
        """Read what `to_json` wrote."""
        scripts = {k: [(t[0], t[1], t[2]) for t in v] for k, v in plain["scripts"].items()}
        return cls(**{**plain, "anchor": datetime.fromisoformat(plain["anchor"]), "scripts": scripts})


class Feed:
    """The ticks of one symbol. `pushed` are extra ticks said from outside (tests), (epoch, bid, ask)."""

    def __init__(
        self, spec: FeedSpec, symbol: str, point: float, pushed: Sequence[tuple[float, float, float]] = ()
    ) -> None:
        self.spec = spec
        self.symbol = symbol
        self.point = point
        self._anchor = spec.anchor.timestamp()
        self._said: list[tuple[float, float, float]] = sorted(
            [(self._anchor + s, b, a) for s, b, a in spec.scripts.get(symbol, ())] + list(pushed)
        )

        self._market = Market(round(self._anchor * 1000), self._seed)
        self._known = self._replayed() if spec.kind == "ticks" else None

    @property
    def _seed(self) -> np.uint64:
        return np.uint64(self.spec.seed) ^ np.uint64(sum(ord(c) * 257**i for i, c in enumerate(self.symbol)) % 2**32)

    def _replayed(self) -> TickPrices:
        ticks = load_ticks(self.spec.dataset).ticks
        first = float(ticks.at[self.spec.first_bar])
        return TickPrices(Ticks(self._anchor + (ticks.at - first) / self.spec.speed, ticks.bid, ticks.ask))

    def push(self, at: float, bid: float, ask: float) -> None:
        """Say one more tick."""
        self._said.append((at, bid, ask))
        self._said.sort()

    def between(self, after: float, until: float, *, history: bool = False) -> Ticks:
        """Return the ticks with after < time ≤ until; with `history` also what charts show from before the anchor."""
        if self._known is not None:
            return self._known.between(after if history else max(after, self._before), until)
        if self.spec.kind == "script":
            found = [t for t in self._said if after < t[0] <= until]
            table = np.array(found, dtype=float).reshape(-1, 3)
            return Ticks(table[:, 0], table[:, 1], table[:, 2])
        first = int(np.floor((after - self._anchor) / TICK_SECONDS + 1e-9)) + 1
        first = first if history else max(0, first)
        last = int(np.floor((until - self._anchor) / TICK_SECONDS + 1e-9))
        return self._numbered(np.arange(first, last + 1, dtype=np.int64))

    @property
    def _before(self) -> float:
        """The last moment before the anchor."""
        return math.nextafter(self._anchor, -math.inf)

    def latest(self, at: float) -> tuple[float, float, float] | None:
        """Return the newest tick at or before a time, (time, bid, ask); None before the first."""
        if self._known is not None:
            return self._known.latest(at) if at >= self._anchor else None
        if self.spec.kind == "script":
            return next((t for t in reversed(self._said) if t[0] <= at), None)
        number = int(np.floor((at - self._anchor) / TICK_SECONDS + 1e-9))
        if number >= 0 and self.spec.kind == "model":
            anchor = self._market.anchor_ms
            number = (self._market.last_open(anchor + number * TICK_MS) - anchor) // TICK_MS
        if number < 0:
            return None
        tick = self._numbered(np.array([number], dtype=np.int64))
        return float(tick.at[0]), float(tick.bid[0]), float(tick.ask[0])

    def _numbered(self, numbers: NDArray[np.int64]) -> Ticks:
        digits = round(-math.log10(self.point))
        spread = self.spec.spread_points * self.point
        at = np.asarray(self._anchor + numbers * TICK_SECONDS, dtype=np.float64)
        if self.spec.kind == "recorded":
            ask = np.round(_recorded(self.spec, numbers, self._seed, self.point), digits)
            return Ticks.of(at, ask - spread, ask, digits)
        market, tenths, is_open = self._market.at(self._market.anchor_ms + numbers * TICK_MS)
        jitter = noise(numbers.astype(np.uint64), self._seed + np.uint64(3)) - 0.5
        moved = (self._market.walk(market) + jitter) * self.spec.volatility_points * self.point
        bid = np.round(self.spec.start_price + moved - spread / 2, digits)
        points = np.maximum(1, self.spec.spread_points * tenths // 10)
        ask = bid + points * self.point
        return Ticks.of(at[is_open], bid[is_open], ask[is_open], digits)


def _recorded(spec: FeedSpec, numbers: NDArray[np.int64], seed: np.uint64, point: float) -> Floats:
    recording = load(spec.dataset)
    bars = recording.bars
    place = spec.first_bar + numbers * (TICK_SECONDS * spec.speed / recording.seconds)
    lap, within = np.divmod(place, len(bars))
    backwards = lap.astype(np.int64) % 2 == 1
    within = np.where(backwards, len(bars) - within, within)
    index = np.clip(within.astype(np.int64), 0, len(bars) - 1)
    share = np.clip(within - index, 0.0, 1.0)
    o, h, low, c = (bars[index, i] for i in range(4))
    high_first = noise(index.astype(np.uint64), seed) < 0.5
    first, second = np.where(high_first, h, low), np.where(high_first, low, h)
    third = 1 / 3
    path = np.where(
        share < third,
        o + (first - o) * share / third,
        np.where(
            share < 2 * third,
            first + (second - first) * (share - third) / third,
            second + (c - second) * (share - 2 * third) / third,
        ),
    )
    jitter = (noise(numbers.astype(np.uint64), seed + np.uint64(1)) - 0.5) * 6 * point
    return np.asarray(path + jitter, dtype=np.float64)
