"""The risk review as a type: only what it approved can be planned and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from brokers.domain import AccountState, Quote, Side, SymbolSpec
from orders.approval import Approved, approve
from risk.domain.exposure import add_exposure
from risk.domain.settings import GuardSettings

# S2: BID_ASK_EXPIRATION_IN_SECONDS
QUOTE_VALID = timedelta(seconds=5)
GUARD_AGE_MAX = timedelta(seconds=10)
RETRY_FIRST = timedelta(seconds=2)
RETRY_LONGEST = timedelta(seconds=60)
URGENT_RETRY_LONGEST = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for: does it raise exposure, and how often was the same refused before, the last time when.

    `opens_cycle`: it is a new cycle, not a level of one. `config_set`: which set of pseudo positions it trades, if any.
    `urgent`: a guard closes, so refusals are tried again sooner.
    """

    bot_id: int | None
    raises_exposure: bool
    volume: float
    refused_times: int = 0
    refused_at: datetime | None = None
    symbol: str = ""
    side: Side = Side.BUY
    opens_cycle: bool = False
    urgent: bool = False
    config_set: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What an account carries already, orders under way included; lots by symbol, money in account currency.

    `sets_open` counts the open cycles of each set of the symbol, `sets_closed` says when one of it last closed.
    """

    cycles: int = 0
    orders: int = 0
    lots: Mapping[str, float] = field(default_factory=dict)
    margin_under_way: float = 0.0
    exposure: Mapping[str, float] = field(default_factory=dict)
    entries_minute: int = 0
    entries_day: int = 0
    sets_open: Mapping[str, int] = field(default_factory=dict)
    sets_closed: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account stands at. `blocks` are (bot or None, cause, reason, symbol or "") of the standing ones.

    `guarded_at`: when the guards last looked without an error. `no_new_cycles`: (bot or None, reason) of kill switches.
    `spread_max`: the widest spread that is not dangerous, in price units. `worst_case`: why adding exposure could end
    in a stop-out. `quote_valid`: how old a price may be.
    """

    now: datetime
    account: AccountState
    quote: Quote
    spec: SymbolSpec
    blocks: Sequence[tuple[int | None, str, str, str]]
    unknown_outcomes: int = 0
    guarded_at: datetime | None = None
    settings: GuardSettings = field(default_factory=GuardSettings)
    load: Load = field(default_factory=Load)
    no_new_cycles: Sequence[tuple[int | None, str]] = ()
    spread_max: float | None = None
    worst_case: str | None = None
    quote_valid: timedelta = QUOTE_VALID


@dataclass(frozen=True, slots=True)
class Vetoed:
    """Why nothing was sent: a stable code and the facts in words."""

    code: str
    detail: str


def retry_wait(refused_times: int, *, urgent: bool = False) -> timedelta:
    """Return how long to wait after a refusal before asking for the same again: doubling, at most a minute."""
    longest = URGENT_RETRY_LONGEST if urgent else RETRY_LONGEST
    return min(longest, RETRY_FIRST * int(2 ** min(10, max(0, refused_times - 1))))


def entry_objection(bot_id: int | None, standing: Standing) -> Vetoed | None:
    """Say why entries are forbidden at all right now, or None."""
    for bot, cause, reason, symbol in standing.blocks:
        if bot in (None, bot_id) and symbol in ("", standing.spec.name):
            return Vetoed("blocked", f"{cause}: {reason}")
    if standing.guarded_at is None or standing.now - standing.guarded_at > GUARD_AGE_MAX:
        return Vetoed("unguarded", "the guards have not looked at the account without an error for 10 s")
    if standing.unknown_outcomes:
        return Vetoed("unknown_outcome", f"{standing.unknown_outcomes} intent(s) with an unknown outcome")
    if not standing.account.trade_allowed:
        return Vetoed("trade_disabled", "the account may not trade")
    if not standing.spec.tradable:
        return Vetoed("symbol_closed", f"{standing.spec.name} can't be traded now")
    if standing.spread_max is not None and standing.quote.spread > standing.spread_max + standing.spec.point / 2:
        return Vetoed("spread", f"{standing.quote.spread / standing.spec.pip:.1f} pips are dangerous")
    age = standing.now - standing.quote.at
    if age > standing.quote_valid:
        return Vetoed("stale_quote", f"the last price of {standing.quote.symbol} is {age.total_seconds():.0f} s old")
    return None


def limit_objection(ask: Ask, standing: Standing) -> Vetoed | None:
    """Say which limit an entry would pass, or None; what is under way counts as done."""
    limits, load = standing.settings, standing.load
    symbol_lots = load.lots.get(standing.spec.name, 0.0) + ask.volume
    lots = sum(load.lots.values()) + ask.volume
    if ask.opens_cycle and load.cycles >= limits.max_cycles:
        return Vetoed("max_cycles", f"{load.cycles} open cycles, at most {limits.max_cycles}")
    found = _set_objection(ask, standing) if ask.opens_cycle and ask.config_set else None
    if found is not None:
        return found
    if load.orders >= limits.max_orders:
        return Vetoed("max_orders", f"{load.orders} open orders, at most {limits.max_orders}")
    for code, value, limit in (
        ("max_order_lots", ask.volume, limits.max_order_lots),
        ("max_symbol_lots", symbol_lots, limits.max_symbol_lots),
        ("max_lots", lots, limits.max_lots),
    ):
        if value > limit + 1e-9:
            return Vetoed(code, f"{value:g} lots, at most {limit:g}")
    if load.entries_minute >= limits.orders_per_minute or load.entries_day >= limits.orders_per_day:
        return Vetoed("order_rate", f"{load.entries_minute} entries in a minute, {load.entries_day} in a day")
    found = _margin_objection(ask, standing) or _exposure_objection(ask, standing)
    if found is None and standing.worst_case is not None:
        return Vetoed("worst_case", standing.worst_case)
    return found


def _set_objection(ask: Ask, standing: Standing) -> Vetoed | None:
    """Hold a set of pseudo positions to its positions, whichever bots trade it, and to its wait after a close (S4)."""
    limits, load = standing.settings, standing.load
    count = load.sets_open.get(ask.config_set, 0)
    if count >= limits.max_positions_per_set:
        return Vetoed("max_per_set", f"set {ask.config_set} has {count} open, at most {limits.max_positions_per_set}")
    closed = load.sets_closed.get(ask.config_set)
    if closed is not None and standing.now - closed < timedelta(seconds=limits.set_cooldown):
        return Vetoed("set_cooldown", f"set {ask.config_set} closed less than {limits.set_cooldown:g} s ago")
    return None


def _margin_objection(ask: Ask, standing: Standing) -> Vetoed | None:
    account, needed = standing.account, ask.volume * standing.spec.margin_per_lot + standing.load.margin_under_way
    if needed > account.margin_free:
        return Vetoed("margin", f"needs {needed:.2f} margin, {account.margin_free:.2f} is free")
    after = account.margin + needed
    if after > 0 and account.equity / after * 100 < standing.settings.margin_after:
        level, least = account.equity / after * 100, standing.settings.margin_after
        return Vetoed("margin_after", f"leaves a margin level of {level:.0f} %, below {least:g} %")
    return None


def _exposure_objection(ask: Ask, standing: Standing) -> Vetoed | None:
    """Refuse what enlarges a currency's net exposure beyond its limit; what makes it smaller passes."""
    before, after = standing.load.exposure, dict(standing.load.exposure)
    add_exposure(after, ask.side.sign * ask.volume, standing.quote, standing.spec)
    allowed = standing.settings.max_currency_leverage * max(0.0, standing.account.equity)
    for currency, amount in after.items():
        if abs(amount) > allowed and abs(amount) > abs(before.get(currency, 0.0)):
            return Vetoed("exposure", f"{amount:+,.0f} net in {currency}, at most {allowed:,.0f}")
    return None


def review(ask: Ask, standing: Standing) -> Approved | Vetoed:
    """Approve or veto one ask. Closing is only ever held back by the wait after a refusal."""
    if not ask.raises_exposure:
        return review_exit(ask, standing.now)
    waiting = _still_waiting(ask, standing.now)
    if waiting is not None:
        return waiting
    for bot, reason in standing.no_new_cycles:
        if ask.opens_cycle and bot in (None, ask.bot_id):
            return Vetoed("kill_switch", f"no new cycles: {reason}")
    objection = entry_objection(ask.bot_id, standing) or limit_objection(ask, standing)
    if objection is not None:
        return objection
    return approve(bot_id=ask.bot_id, symbol=standing.spec.name, volume=ask.volume, raises_exposure=True)


def review_exit(ask: Ask, now: datetime) -> Approved | Vetoed:
    """Approve or veto what only lowers exposure; it needs no price and no permission."""
    waiting = _still_waiting(ask, now)
    if waiting is not None:
        return waiting
    return approve(bot_id=ask.bot_id, symbol=ask.symbol, volume=ask.volume, raises_exposure=False)


def _still_waiting(ask: Ask, now: datetime) -> Vetoed | None:
    wait = retry_wait(ask.refused_times, urgent=ask.urgent)
    if ask.refused_at is not None and now - ask.refused_at < wait:
        return Vetoed("retry_wait", f"refused {ask.refused_times} time(s), asking again later")
    return None
