"""What the books know of a bot's day: where it stood flat, by which configuration it traded, and its legs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Q

from accounts.models import AccountSnapshot, Symbol
from accounts.selectors import broker_offsets
from backtesting.parity.domain import Cause, Evidence, Moment, Step, TradedLeg
from backtesting.parity.prices import Recorded
from brokers.simulator.account import SymbolSetup
from brokers.simulator.formulas import CFD_LEVERAGE, FOREX
from cycles.models import Cycle
from orders.models import IntentState, NotSent, Order, OrderIntent, OrderStatus
from risk.models import Block
from strategies.models import Bot, BotConfig

START_UP = "startup"
# A cause counts for what happened so shortly before or after it
AROUND_SECONDS = 5.0
# The price that led to an entry came so shortly before it
BEFORE = timedelta(seconds=AROUND_SECONDS)
TRADED = (OrderStatus.OPEN, OrderStatus.CLOSED)
CURRENCY_PAIR = 6


def day_of(account_id: int, now: datetime) -> date:
    """Return the last day that is over, on the broker's clock."""
    return (now + _ahead(account_id)).date() - timedelta(days=1)


def span_of(account_id: int, day: date) -> tuple[datetime, datetime]:
    """Return from when to when a day of the broker's clock lasts, in UTC."""
    begin = datetime.combine(day, time(), UTC) - _ahead(account_id)
    return begin, begin + timedelta(days=1)


def _ahead(account_id: int) -> timedelta:
    return timedelta(seconds=broker_offsets([account_id]).get(account_id, 0))


def config_of(bot: Bot, end: datetime) -> BotConfig | None:
    """Return the configuration that was in force at the end of a day."""
    return bot.configs.filter(created_at__lt=end).order_by("-version").first()


def flat_from(bot: Bot, begin: datetime, end: datetime, *, earliest: datetime) -> datetime | None:
    """Return where a replay may begin: shortly before the last moment up to `begin` at which no cycle was open.

    Not before `earliest`; else the first such moment after that; None when there is none before `end`.
    """
    cycles = list(
        Cycle.objects.filter(Q(closed_at__isnull=True) | Q(closed_at__gt=earliest), bot=bot, opened_at__lt=end)
        .order_by("opened_at")
        .values_list("opened_at", "closed_at")
    )
    at = begin
    while at > earliest and (opened := [a for a, b in cycles if a < at and (b is None or b > at)]):
        at = min(opened) - BEFORE
    if at > earliest:
        return at
    at = earliest
    while covering := [b for a, b in cycles if a < at and (b is None or b > at)]:
        if None in covering:
            return None
        at = max(b for b in covering if b is not None)
    return at if at < end else None


def balance_before(account_id: int, at: datetime) -> float | None:
    """Return the account's balance at a time; None when nothing is known of it."""
    rows = AccountSnapshot.objects.filter(account_id=account_id).order_by("at").values_list("balance", flat=True)
    found = rows.filter(at__lte=at).last() or rows.filter(at__gt=at).first()
    return None if found is None else float(found)


def setup_of(bot: Bot, symbol: str) -> SymbolSetup:
    """Return a symbol as the account's broker trades it, as far as it is known, with the commission that was paid."""
    row = Symbol.objects.filter(account_id=bot.account_id, name=symbol).first()
    terms: Mapping[str, Any] = row.terms if row is not None else {}
    base, profit = terms.get("currency_base", symbol[:3]), terms.get("currency_profit", symbol[3:6])
    is_pair = len(symbol) == CURRENCY_PAIR and base != profit
    known: dict[str, Any] = {}
    if row is not None:
        columns = ("digits", "contract_size", "volume_min", "volume_max", "volume_step")
        known = {name: value for name in columns if (value := getattr(row, name)) is not None}
    return SymbolSetup(
        symbol,
        **known,
        currency_base=base,
        currency_profit=profit,
        calc_mode=FOREX if is_pair else CFD_LEVERAGE,
        stops_level=terms.get("stops_level_points", 0),
        freeze_level=terms.get("freeze_level_points", 0),
        filling_mask=terms.get("filling_mask", 3),
        execution=terms.get("execution_mode", 2),
        swap_long=terms.get("swap_long", 0.0),
        swap_short=terms.get("swap_short", 0.0),
        commission_per_lot=_commission(bot, symbol),
    )


def _commission(bot: Bot, symbol: str) -> float:
    """Return what a lot of the symbol cost on each deal lately."""
    rows = Order.objects.filter(account_id=bot.account_id, symbol=symbol, status__in=TRADED).order_by("-opened_at")
    paid = deals = 0.0
    for status, commission, volume in rows.values_list("status", "commission", "volume_initial")[:100]:
        paid -= float(commission)
        deals += float(volume) * (2 if status == OrderStatus.CLOSED else 1)
    return round(paid / deals, 4) if deals and paid > 0 else 0.0


def live_legs(
    bot: Bot, begin: datetime, end: datetime, prices: Mapping[str, Recorded], worth: Mapping[str, float]
) -> list[TradedLeg]:
    """Return the legs that the bot opened from `begin` on and before `end`, as they stood at the end.

    `worth` is account currency per 1.0 of price and lot, by symbol.
    """
    rows = Order.objects.filter(bot=bot, opened_at__gte=begin, opened_at__lt=end, status__in=TRADED, symbol__in=prices)
    return [_live_leg(order, end, prices[order.symbol], worth[order.symbol]) for order in rows.select_related("intent")]


def _live_leg(order: Order, end: datetime, prices: Recorded, worth: float) -> TradedLeg:
    is_buy, money = order.side == "buy", float(order.volume_initial) * worth
    entry = _step(order.intent, order.opened_at, float(order.price_open), prices)
    is_over = order.closed_at is not None and order.closed_at < end and order.price_close is not None
    leaving = (
        order.closing_intents.filter(kind="close", state__in=(IntentState.FILLED, IntentState.ADOPTED)).last()
        if is_over
        else None
    )
    left = None
    if is_over and order.closed_at is not None and order.price_close is not None:
        left = _step(leaving, order.closed_at, float(order.price_close), prices)
    net = float(order.profit + order.swap + order.commission)
    return TradedLeg(
        order.symbol, order.side, order.level, float(order.volume_initial), money,
        net if left is not None else marked(is_buy, entry.price, money, prices, end.timestamp()), entry, left,
        held_back=leaving is not None and leaving.trace.get("woken_by") == "guard",
    )  # fmt: skip


def marked(is_buy: bool, opened: float, money: float, prices: Recorded, at: float) -> float:
    """Return what an open leg would bring at a time, without its costs."""
    moved = prices.full_at(at).price(buying=not is_buy) - opened
    return (moved if is_buy else -moved) * money


def _step(intent: OrderIntent | None, at: datetime, price: float, prices: Recorded) -> Step:
    """Return an entry or exit; one that the broker made by itself has no intent, and is decided when it happens."""
    decided = at if intent is None else intent.created_at
    sent = decided if intent is None or intent.sent_at is None else intent.sent_at
    return Step(price, _seen(prices, decided), _seen(prices, sent))


def _seen(prices: Recorded, at: datetime) -> Moment:
    seen = prices.seen_at(at.timestamp())
    return Moment(at.timestamp(), seen.bid, seen.ask)


def evidence_of(bot: Bot, begin: datetime, end: datetime, prices: Mapping[str, Recorded]) -> Evidence:
    """Return what says what was the matter with a symbol of the bot at a time (UTC epoch seconds)."""
    blocks = Block.objects.filter(
        Q(bot=None) | Q(bot=bot), Q(lifted_at=None) | Q(lifted_at__gt=begin), account_id=bot.account_id,
        raised_at__lt=end,
    )  # fmt: skip
    held: list[tuple[float, float, str, Cause]] = []
    for block in blocks:
        cause = Cause.GAP if block.cause == START_UP else Cause.GUARD
        held.append((block.raised_at.timestamp(), (block.lifted_at or end).timestamp(), block.symbol, cause))
    vetoes = NotSent.objects.filter(bot=bot, last_at__gte=begin, first_at__lt=end)
    held += [(v.first_at.timestamp(), v.last_at.timestamp(), v.symbol, Cause.GUARD) for v in vetoes]

    def evidence(symbol: str, at: float) -> Cause | None:
        known = prices[symbol]
        if any(since - AROUND_SECONDS <= at <= until + AROUND_SECONDS for since, until in known.gaps):
            return Cause.GAP
        standing = _causes(held, symbol, at)
        if standing:
            return Cause.GAP if Cause.GAP in standing else Cause.GUARD
        return Cause.MISSED_TICK if int(at // 60) * 60 in known.missed else None

    return evidence


def _causes(held: Sequence[tuple[float, float, str, Cause]], symbol: str, at: float) -> set[Cause]:
    return {
        cause
        for since, until, about, cause in held
        if about in ("", symbol) and since - AROUND_SECONDS <= at <= until + AROUND_SECONDS
    }
