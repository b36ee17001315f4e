"""What a what-if replays: recorded equity, and between two readings what was held at the prices of the time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from accounts.models import AccountSnapshot, TradingAccount
from marketdata.bars import bars_between
from marketdata.selectors import tick_store
from marketdata.tickstore import GAP_SECONDS
from orders.models import Deal
from risk.domain.brokertime import broker_day
from risk.domain.pricepath import (
    MINUTE,
    Stretch,
    Trade,
    floating_lows,
    floating_seen,
    least_by_minute,
    minutes_held,
    realized_by,
    stretches,
)
from risk.domain.whatif import Recorded
from risk.peaks import readings_since

Low = tuple[datetime, float]
# Of the looks before and after a day, to tell whether one paused at its edges
AROUND = timedelta(seconds=GAP_SECONDS)


@dataclass(frozen=True, slots=True)
class History:
    """Readings to replay, and by what prices the minutes between them are known: ticks, candles, or none."""

    records: list[Recorded]
    by_ticks: int = 0
    by_candles: int = 0
    unknown: int = 0


def recorded(account_id: int, *, since: datetime, zone: str) -> History:
    """Read what a what-if replays, with the broker's day of each reading; without a zone the days are UTC's."""
    readings = list(readings_since(account_id, since))
    if not readings:
        return History([])
    until = readings[-1].at
    held, path = _path(account_id, until)
    held = [s for s in held if s.until > since.timestamp()]
    ticks = list(path.by_ticks(account_id, held, since, until))
    known = {int(at.timestamp() // MINUTE) for at, _ in ticks}
    candles = [low for low in path.by_candles(account_id, held, since, until) if _minute_before(low[0]) not in known]
    lows = sorted([*ticks, *candles])
    found, next_low = [], 0
    for n, reading in enumerate(readings):
        begin = next_low
        while next_low < len(lows) and lows[next_low][0] <= reading.at:
            next_low += 1
        own = tuple(lows[begin:next_low]) if n and reading.complete else ()
        found.append(Recorded(reading, broker_day(reading.at, zone, None), own))
    in_all = minutes_held(held, since.timestamp(), until.timestamp())
    return History(found, len(ticks), len(candles), max(0, in_all - len(lows)))


def _minute_before(end: datetime) -> int:
    return int(end.timestamp() // MINUTE) - 1


@dataclass(frozen=True, slots=True)
class _Path:
    """An account's ledger and known balances, from which its equity at any moment follows."""

    trades: Sequence[Trade]
    worth: dict[str, float]
    moments: np.ndarray
    balances: np.ndarray

    def by_ticks(self, account_id: int, held: Sequence[Stretch], since: datetime, until: datetime) -> Iterator[Low]:
        """Give the least equity of each minute that the account's recorded ticks tell, day by day."""
        store, begin = tick_store(account_id), since
        while begin < until:
            end = min(until, datetime.combine(begin.date() + timedelta(days=1), datetime.min.time(), UTC))
            symbols = {s.symbol for s in held if s.until > begin.timestamp() and s.since < end.timestamp()}
            seen = {symbol: store.between(symbol, begin - AROUND, end + AROUND) for symbol in sorted(symbols)}
            moments, floating, whole = floating_seen(held, self.worth, seen)
            inside = (moments >= begin.timestamp()) & (moments < end.timestamp())
            yield from self._lows(*least_by_minute(*self._equity(moments[inside], floating[inside], whole[inside])), 0)
            begin = end

    def by_candles(self, account_id: int, held: Sequence[Stretch], since: datetime, until: datetime) -> Iterator[Low]:
        """Give the equity at the worst prices of each minute that the kept candles tell, at the minute's end."""
        server = TradingAccount.objects.values_list("server", flat=True).get(pk=account_id)
        bars = {}
        for symbol in sorted({s.symbol for s in held}):
            rows = bars_between(server, symbol, int(MINUTE), since, until, around=0)
            bars[symbol] = np.array([(at, low, high) for at, _, high, low, _ in rows], dtype=float).reshape(-1, 3)
        starts, floating = floating_lows(held, self.worth, bars)
        inside = starts >= since.timestamp()
        moments, equity, _ = self._equity(starts[inside], floating[inside], np.ones(int(inside.sum()), dtype=bool))
        yield from self._lows(moments, equity, MINUTE)

    def _equity(
        self, moments: np.ndarray, floating: np.ndarray, whole: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what the account was worth at moments, from the last balance that was read before each."""
        index = np.searchsorted(self.moments, moments, side="right") - 1
        usable = index >= 0
        moments, index = moments[usable], index[usable]
        paid = realized_by(self.trades, moments) - realized_by(self.trades, self.moments[index])
        return moments, self.balances[index] + paid + floating[usable], whole[usable]

    @staticmethod
    def _lows(moments: np.ndarray, equity: np.ndarray, later: float) -> Iterator[Low]:
        for at, low in zip(moments.tolist(), equity.tolist(), strict=True):
            yield datetime.fromtimestamp(at + later, UTC), round(low, 2)


def _path(account_id: int, until: datetime) -> tuple[list[Stretch], _Path]:
    """Read the ledger and the balances up to a time."""
    deals = Deal.objects.filter(account_id=account_id, kind__in=("buy", "sell"), at__lte=until).order_by("at", "ticket")
    trades = [
        Trade(
            at.timestamp(), position, symbol, float(volume) * (1 if kind == "buy" else -1), float(price), float(profit),
            float(profit + swap + commission + fee),
        )
        for at, position, symbol, kind, volume, price, profit, swap, commission, fee in deals.values_list(
            "at", "position_id", "symbol", "kind", "volume", "price", "profit", "swap", "commission", "fee"
        )
    ]  # fmt: skip
    held, worth = stretches(trades, until.timestamp())
    snapshots = AccountSnapshot.objects.filter(account_id=account_id, complete=True, at__lte=until).order_by("at")
    known = [(at.timestamp(), float(balance)) for at, balance in snapshots.values_list("at", "balance")]
    moments, balances = np.array(known, dtype=float).reshape(-1, 2).T
    return held, _Path(trades, worth, moments, balances)
