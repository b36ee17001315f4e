"""The risk review as a type: only what it approved can be planned and sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokers.domain import AccountState, Quote, SymbolSpec

QUOTE_AGE_MAX = timedelta(seconds=5)
RETRY_FIRST = timedelta(seconds=2)
RETRY_LONGEST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: does it raise exposure, and how often was the same refused before, the last time when."""

    bot_id: int | None
    raises_exposure: bool
    volume: float
    refused_times: int = 0
    refused_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account stands at. `blocks` are (bot or None, cause, reason) of the standing ones."""

    now: datetime
    account: AccountState
    quote: Quote
    spec: SymbolSpec
    blocks: Sequence[tuple[int | None, str, str]]
    unknown_outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Approved:
    """Only `review` makes one; only an approved ask becomes an intent."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Vetoed:
    """Why nothing was sent: a stable code and the facts in words."""

    code: str
    detail: str


def retry_wait(refused_times: int) -> timedelta:
    """Return how long to wait after a refusal before asking for the same again: doubling, at most a minute."""
    return min(RETRY_LONGEST, RETRY_FIRST * int(2 ** min(10, max(0, refused_times - 1))))


def entry_objection(bot_id: int | None, standing: Standing) -> Vetoed | None:
    """Say why entries are forbidden at all right now, or None."""
    for bot, cause, reason in standing.blocks:
        if bot is None or bot == bot_id:
            return Vetoed("blocked", f"{cause}: {reason}")
    if standing.unknown_outcomes:
        return Vetoed("unknown_outcome", f"{standing.unknown_outcomes} intent(s) with an unknown outcome")
    if not standing.account.trade_allowed:
        return Vetoed("trade_disabled", "the account may not trade")
    if not standing.spec.tradable:
        return Vetoed("symbol_closed", f"{standing.spec.name} can't be traded now")
    age = standing.now - standing.quote.at
    if age > QUOTE_AGE_MAX:
        return Vetoed("stale_quote", f"the last price of {standing.quote.symbol} is {age.total_seconds():.0f} s old")
    return None


def review(ask: Ask, standing: Standing) -> Approved | Vetoed:
    """Approve or veto one ask. Closing is only ever held back by the wait after a refusal."""
    if ask.refused_at is not None and standing.now - ask.refused_at < retry_wait(ask.refused_times):
        return Vetoed("retry_wait", f"refused {ask.refused_times} time(s), asking again later")
    if not ask.raises_exposure:
        return Approved(ask)
    objection = entry_objection(ask.bot_id, standing)
    if objection is not None:
        return objection
    needed = ask.volume * standing.spec.margin_per_lot
    if needed > standing.account.margin_free:
        return Vetoed("margin", f"needs {needed:.2f} margin, {standing.account.margin_free:.2f} is free")
    return Approved(ask)
