"""Pseudo positions in the database: the grid of an account, and one row of arrays a symbol."""

from datetime import UTC, datetime

import numpy as np

from marketdata.indications import IndicationSettings, Indicator
from strategies.models import PseudoBook, SignalSettings
from strategies.pseudo.sets import SetGrid, SymbolSets


def settings_of(account_id: int) -> SignalSettings:
    """Read an account's settings; the defaults when it has none of its own."""
    found = SignalSettings.objects.filter(account_id=account_id).first()
    return found or SignalSettings(account_id=account_id)


def grid_of(settings: SignalSettings, pip: float, candle_seconds: int | None = None) -> SetGrid:
    """Return the grid of a symbol with this pip (price units); a broker without short candles has longer ones."""
    return SetGrid(
        take_profits=tuple(sorted(settings.take_profits)),
        stop_losses=tuple(sorted(settings.stop_losses)),
        cooldown_seconds=settings.cooldown_seconds,
        min_profit_factor=settings.min_profit_factor,
        min_trades=settings.min_trades,
        commission=settings.commission_pips * pip,
        indications=IndicationSettings(
            min_move=settings.min_move,
            pullback=settings.pullback,
            active_threshold=settings.active_threshold_percent / 100,
            active_window_seconds=settings.active_window_seconds,
            validation_seconds=settings.validation_seconds,
            candle_seconds=candle_seconds or settings.candle_seconds,
        ),
    )


def store(account_id: int, symbol: str, sets: SymbolSets, *, at: datetime) -> None:
    """Write a symbol's row, inside the caller's transaction."""
    PseudoBook.objects.update_or_create(
        account_id=account_id,
        symbol=symbol,
        defaults={
            "fingerprint": sets.grid.fingerprint,
            "at": datetime.fromtimestamp(sets.at, UTC),
            "indicator": sets.indicator.state.tobytes(),
            "sets": sets.sets.tobytes(),
            "results": sets.results.tobytes(),
            "valid": [int(sign) for sign in sets.valid],
            "signals": sets.signals(),
            "atr": sets.indicator.atr,
            "updated_at": at,
        },
    )


def restore(account_id: int, symbol: str, grid: SetGrid, *, since: datetime) -> SymbolSets | None:
    """Read a symbol's row back, ready to go on; None when there is none of this grid that is newer than `since`."""
    row = PseudoBook.objects.filter(account_id=account_id, symbol=symbol, fingerprint=grid.fingerprint).first()
    if row is None or row.at < since:
        return None
    sets = SymbolSets(grid)
    sets.indicator = Indicator(grid.indications, np.frombuffer(bytes(row.indicator), np.float64))
    sets.sets[:] = np.frombuffer(bytes(row.sets), np.float64).reshape(sets.sets.shape)
    sets.results[:] = np.frombuffer(bytes(row.results), np.float32).reshape(sets.results.shape)
    sets.valid = np.array(row.valid, np.int8)
    sets.at = row.at.timestamp()
    return sets
