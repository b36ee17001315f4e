"""What the page of a symbol's sets shows: every set with its results, best first, and why it is traded or not."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from marketdata.indications import Kind
from strategies import registry
from strategies.models import Bot, PseudoBook
from strategies.pseudo.results import SetResult, read_results
from strategies.pseudo.store import grid_of, settings_of
from strategies.pseudo.verdicts import Follower, Verdict, verdict

SIGNAL_TRADER = "signal-trader"


@dataclass(frozen=True, slots=True)
class Ranked:
    """One row of the page."""

    rank: int
    result: SetResult
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Ranking:
    """A symbol's sets as of the last stored row; `stale` when the settings have changed since."""

    at: datetime
    stale: bool
    atr: float | None
    signals: dict[str, float]
    rows: tuple[Ranked, ...]


def ranking_of(book: PseudoBook, pip: float) -> Ranking:
    """Read a symbol's ranking from its row."""
    settings = settings_of(book.account_id)
    grids = (grid_of(settings, pip), grid_of(settings, pip, 60))
    grid = next((g for g in grids if g.fingerprint == book.fingerprint), None)
    signals = {kind.label: float(book.signals.get(kind.label, 0.0)) for kind in Kind}
    if grid is None:
        return Ranking(book.at, True, book.atr, signals, ())
    count = len(grid.sets)
    sets = np.frombuffer(bytes(book.sets), np.float64).reshape(count, -1)
    results = np.frombuffer(bytes(book.results), np.float32).reshape(count, -1)
    followers = followers_of(book.account_id, book.symbol)
    rows = tuple(
        Ranked(
            rank,
            result,
            verdict(
                result,
                valid=book.valid,
                min_profit_factor=settings.min_profit_factor,
                min_trades=settings.min_trades,
                followers=followers,
            ),
        )
        for rank, result in enumerate(read_results(grid.sets, sets, results), 1)
    )
    return Ranking(book.at, False, book.atr, signals, rows)


def followers_of(account_id: int, symbol: str) -> list[Follower]:
    """Read the bots that trade sets on a symbol, with the sets that they trade now."""
    params = registry.get(SIGNAL_TRADER).params
    found = []
    bots = Bot.objects.filter(
        account_id=account_id, strategy=SIGNAL_TRADER, symbols__contains=[symbol], config__isnull=False
    )
    for bot in bots.select_related("config").order_by("name"):
        assert bot.config is not None
        values = params.model_validate(bot.config.values).model_dump()
        cycles = bot.cycles.filter(symbol=symbol, status__in=("open", "closing"))
        trading = {c.memory["set"]: f"{bot.name} #{c.number}" for c in cycles if "set" in c.memory}
        found.append(
            Follower(
                name=bot.name,
                state=bot.desired_state,
                indication=values["indication"],
                min_profit_factor=values["min_profit_factor"],
                min_trades=values["min_trades"],
                max_cycles=values["max_cycles"],
                open_cycles=len(cycles),
                trading=trading,
            )
        )
    return found
