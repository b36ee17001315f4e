"""The configuration sets of a symbol and what each would have earned.

A set is one indication, side, take profit, stop loss and trailing or not; distances are multiples of the ATR at entry.
Results are in R, multiples of what the stop would have cost: with a fixed share of equity at risk they are money.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from brokers.candles import Candles
from brokers.domain import Side
from marketdata.indications import Floats, Indicated, IndicationSettings, Indicator, Kind, Signal
from strategies.domain import Setup
from strategies.pseudo import kernels
from strategies.pseudo.results import SetResult, read_results

SETUPS_MAX = 10


@dataclass(frozen=True)
class SetGrid:
    """Which sets there are, and the limits that one must pass to be traded. Commission: price units, in and out."""

    take_profits: tuple[float, ...] = (1.0, 2.0, 3.0)
    stop_losses: tuple[float, ...] = (1.0, 1.5, 2.0)
    trailing: tuple[bool, ...] = (False, True)
    cooldown_seconds: float = 20.0
    min_profit_factor: float = 1.2
    min_trades: int = 20
    commission: float = 0.0
    indications: IndicationSettings = field(default_factory=IndicationSettings)

    @cached_property
    def sets(self) -> tuple["SetKey", ...]:
        """Return every set; Direction comes before Optimal, whose limits it sets."""
        return tuple(
            SetKey(kind, side, take, stop, follows)
            for kind, side, take, stop, follows in product(
                Kind, (Side.BUY, Side.SELL), self.take_profits, self.stop_losses, self.trailing
            )
        )

    @cached_property
    def fingerprint(self) -> str:
        """Return a short name of all that results depend on: stored ones of another grid are not continued."""
        plain = json.dumps([asdict(self), kernels.FIELDS, kernels.KEPT], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()[:16]

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Return kinds, sides, takes, stops, follows and siblings as the kernels read them."""
        keys = self.sets
        places = {key: i for i, key in enumerate(keys)}
        siblings = [places[key.direction] if key.kind is Kind.OPTIMAL else -1 for key in keys]
        return (
            np.array([key.kind for key in keys], np.int64),
            np.array([key.side.sign for key in keys], np.int64),
            np.array([key.take_profit for key in keys], np.float64),
            np.array([key.stop_loss for key in keys], np.float64),
            np.array([key.trailing for key in keys], np.bool_),
            np.array(siblings, np.int64),
        )

    def limits(self) -> Floats:
        """Return the limits as the kernels read them."""
        return np.array([self.cooldown_seconds, self.commission, self.min_profit_factor, self.min_trades], np.float64)


@dataclass(frozen=True, slots=True)
class SetKey:
    """What makes a set: at most one pseudo position is open for each."""

    kind: Kind
    side: Side
    take_profit: float
    stop_loss: float
    trailing: bool

    @property
    def direction(self) -> "SetKey":
        """Return the Direction set with the same side and exits."""
        return SetKey(Kind.DIRECTION, self.side, self.take_profit, self.stop_loss, self.trailing)

    def __str__(self) -> str:
        exits = f"TP {self.take_profit:g} SL {self.stop_loss:g}"
        return f"{self.kind.label} {self.side} {exits}{' trailing' if self.trailing else ''}"


class SymbolSets:
    """Indications and sets of one symbol, fed with closed candles. `at` is the last candle's opening time."""

    def __init__(self, grid: SetGrid) -> None:
        count = len(grid.sets)
        self.grid = grid
        self.at = 0.0
        self.indicator = Indicator(grid.indications)
        self.sets = np.zeros((count, kernels.FIELDS))
        self.results = np.zeros((count, kernels.KEPT), np.float32)
        self.valid: NDArray[np.int8] = np.zeros(4, np.int8)
        self._setups: tuple[Setup, ...] | None = None
        self._arrays = grid.arrays()
        self._limits = grid.limits()

    def take(self, candles: Candles) -> Indicated:
        """Take closed candles that follow the last ones; many at once are a jump, with the same end."""
        indicated = self.indicator.take(candles)
        if len(candles) > 1:
            kernels.history(
                self.sets, self.results, *self._arrays, self._limits, candles.at, candles.open, candles.high,
                candles.low, candles.close, candles.spread, indicated.atr, indicated.valid,
            )  # fmt: skip
        elif len(candles):
            kernels.advance(
                self.sets, self.results, *self._arrays, self._limits, candles.at[0], candles.open[0], candles.high[0],
                candles.low[0], candles.close[0], candles.spread[0], indicated.atr[0], indicated.valid, 0,
            )  # fmt: skip
        if len(candles):
            self.at = float(candles.at[-1])
            self.valid = indicated.valid[-1].copy()
            self._setups = None
        return indicated

    def ranking(self) -> list[SetResult]:
        """Return every set with its results, best first."""
        return read_results(self.grid.sets, self.sets, self.results)

    def signals(self) -> dict[str, float]:
        """Return the indications by name, -1…1; Optimal only while some set of its side passes the limits."""
        found = {signal.kind.label: signal.value for signal in self.indicator.now()}
        optimal = self._signal(Kind.OPTIMAL)
        if optimal.sign and not any(
            key.kind is Kind.DIRECTION and key.side.sign == optimal.sign and self._passes(i)
            for i, key in enumerate(self.grid.sets)
        ):
            found[Kind.OPTIMAL.label] = 0.0
        return found

    def setups(self) -> tuple[Setup, ...]:
        """Return the sets that have a valid signal now and pass the limits, best first, at most ten."""
        if self._setups is None:
            self._setups = self._find_setups()
        return self._setups

    def _find_setups(self) -> tuple[Setup, ...]:
        atr = self.indicator.atr
        if atr is None or not self.valid.any():
            return ()
        keys = self.grid.sets
        ready = [i for i, key in enumerate(keys) if self.valid[key.kind] == key.side.sign and self._passes(i)]
        found = read_results([keys[i] for i in ready], self.sets[ready], self.results[ready])
        return tuple(
            Setup(
                key=str(result.key),
                indication=result.key.kind.label,
                side=result.key.side,
                take_profit=result.key.take_profit * atr,
                stop_loss=result.key.stop_loss * atr,
                trailing=result.key.trailing,
                profit_factor=result.profit_factor,
                trades=result.recent,
            )
            for result in found[:SETUPS_MAX]
        )

    def _signal(self, kind: Kind) -> Signal:
        return self.indicator.now()[kind]

    def _passes(self, place: int) -> bool:
        return bool(kernels.qualifies(self.sets, self.results, place, self._limits))


def warm(grid: SetGrid | None = None) -> None:
    """Compile, or load, every kernel on a moment of nothing, so that no session waits for it."""
    one = np.ones(2)
    candles = Candles(np.array([60.0, 61.0]), one, one, one, one, one, one * 0)
    made = SymbolSets(grid or SetGrid())
    made.take(candles)
    made.take(candles.part(0, 1))
    made.signals()
    made._passes(0)
